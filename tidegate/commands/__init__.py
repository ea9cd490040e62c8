"""One command a file. Their modules import click only; what a command needs is imported when it runs."""
