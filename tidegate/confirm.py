"""Asks a person before something goes for good: the answer is a word to be typed, not a key to be hit."""

import sys

import click

from tidegate.show.output import Output


def can_ask(output: Output) -> bool:
    """Return whether there is a person to ask."""
    return not output.as_json and sys.stdin.isatty() and sys.stderr.isatty()


def refuse_unasked(what: str) -> None:
    """Refuse to do for good what nobody was asked about.

    Raises:
        UsageError: Always.
    """
    raise click.UsageError(f"{what} for good: look at it with --dry-run, then say --yes.")


class NotConfirmed(click.ClickException):
    """Something else than the word was typed."""


def confirm(word: str, what: str) -> None:
    """Ask for the word.

    Raises:
        NotConfirmed: It was not typed.
    """
    if click.prompt(f"{what} Type {word} to go on", default="", show_default=False, err=True) != word:
        raise NotConfirmed(f"That was not {word}: nothing was done.")
