"""Prints what `check` found: a line for each thing, and what is wrong with what to do about it."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tasks.check.checked import Checked


def show_checked(console: Console, checked: Sequence[Checked], *, offline: bool) -> None:
    """Print a line for each thing that was tried; below what is wrong, what to do about it."""
    width = max((len(one.subject) for one in checked), default=0)
    for one in checked:
        mark = Text("ok   ", style="green") if one.ok else Text("wrong", style="bold red")
        indent = " " * (len("wrong") + 2)
        found = one.found.replace("\n", f"\n{indent}  ")
        console.print(Text.assemble(mark, "  ", one.subject.ljust(width), "  ", found))
        if one.next_step:
            console.print(f"{indent}Next: {one.next_step}".replace("\n", f"\n{indent}  "))
    wrong = sum(not one.ok for one in checked)
    left_out = "; nothing was connected to" if offline else ""
    console.print(f"{len(checked) - wrong} of {len(checked)} are right{left_out}.")
