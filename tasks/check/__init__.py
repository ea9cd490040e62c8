"""Tries out what the configuration names, before a night does: nothing is read but to look, nothing is written."""
