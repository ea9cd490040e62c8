"""Prints the answer to a query for people, and as CSV."""

import sys
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.query_answer import Answer, Value
from tidegate.show.output import Output
from tidegate.show.printable import printable

_QUOTED_IN_CSV = frozenset(',"\r\n')


def show_answer(output: Output, answer: Answer, limit: int, *, told: bool) -> None:
    """Print a table of at most `limit` rows, and say if there are more.

    Args:
        output: Where to.
        answer: What to print.
        limit: Rows at most.
        told: Whether the limit was given, so that nobody has to be told of it.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for name, numeric in zip(answer.columns, answer.numeric, strict=True):
        table.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    rows = list(answer.rows(limit + 1))
    for row in rows[:limit]:
        table.add_row(*(_cell(value) for value in row))
    console: Console = output.console
    console.print(table)
    if len(rows) > limit and not told:
        output.messages.print(f"The first {limit} rows; --limit N shows more, --csv and --json give all.", style="dim")


def print_csv(answer: Answer, limit: int | None) -> None:
    """Write CSV as RFC 4180 has it, a line a row, in UTF-8: NULL is an empty field, empty text is `""`."""
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    _write_line(answer.columns)
    for row in answer.rows(limit):
        _write_line(row)


def _write_line(values: Iterable[Value]) -> None:
    sys.stdout.write(",".join(_field(value) for value in values) + "\r\n")


def _field(value: Value) -> str:
    text = "" if value is None else _text(value)
    quoted = text == "" if value is not None else False
    return '"' + text.replace('"', '""') + '"' if quoted or _QUOTED_IN_CSV & set(text) else text


def _cell(value: Value) -> Text:
    return Text("NULL", style="dim") if value is None else Text(printable(_text(value)))


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
