"""Keeps work on a busy database gentle: how large its batches are, and when it waits. Knows no archive and no table."""
