"""Prints what became of the files of sources."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from schemas.file_status import FileStatus, StatusOfFile
from schemas.ingest_report import FileState, TableReport
from tidegate.show.labels import number, size_text
from tidegate.show.output import Output

_WORDS = {
    FileState.PLANNED: "to be read",
    FileState.DONE: "done",
    FileState.FAILED: "failed",
    FileState.DUPLICATE: "with content that is there already",
    FileState.UNFINISHED: "still being written",
}
_MOST_SHOWN = 20
_STYLES = {FileStatus.PENDING: "cyan", FileStatus.DONE: "green", FileStatus.FAILED: "bold red"}


def show_files(output: Output, found: Sequence[StatusOfFile], unreachable: Mapping[str, str]) -> None:
    """Print a line for each file, the reasons of those that failed, and what could not be asked."""
    console = output.console
    if found:
        console.print(_table(found))
    else:
        console.print("There are no such files.")
    for one in found:
        if one.error:
            console.print(f"{one.source}, {one.table}: {_printable(one.path)}:", style="bold")
            console.print("\n".join(f"  {line}" for line in one.error.splitlines()))
    for name, error in unreachable.items():
        output.messages.print(f"What is pending of {name} is not known: {error}", style="bold red")
    counts = Counter(one.status for one in found)
    if counts[FileStatus.FAILED]:
        console.print(f"Next: {output.command('files', 'retry')}")
    elif counts[FileStatus.PENDING]:
        console.print(f"Next: {output.command('ingest')}")


def show_retried(output: Output, chosen: Sequence[StatusOfFile]) -> None:
    """Print which files the next run reads again."""
    if not chosen:
        output.console.print("No file has failed; there is nothing to try again.")
        return
    for one in chosen:
        output.console.print(f"{one.source}, {one.table}: {_printable(one.path)}")
    files = "1 file" if len(chosen) == 1 else f"{len(chosen)} files"
    output.console.print(f"The next run tries {files} again.")
    output.console.print(f"Next: {output.command('ingest', *sorted({one.source for one in chosen}))}")


def show_files_of(output: Output, table: TableReport) -> None:
    """Print how many files a run read, and what there is to say of single ones; nothing if it looked at none."""
    if not table.files:
        return
    console = output.console
    old = [file for file in table.files if file.known]
    counts = Counter(file.state for file in table.files if not file.known)
    told = [f"{number(counts[state])} {words}" for state, words in _WORDS.items() if counts[state]]
    told += [f"{len(old)} failed before, and not tried again"] if old else []
    console.print(f"Files of {table.source}, {table.table}: {', '.join(told)}.")
    shown = [file for file in table.files if file.note or (file.error and not file.known)]
    for file in shown[:_MOST_SHOWN]:
        # The reasons of all that failed are in the error at the end, which is told in any case.
        first = (file.error or "").splitlines()[:1]
        console.print(f"  {_printable(file.path)}: {'; '.join([*first, *filter(None, [file.note])])}")
    if len(shown) > _MOST_SHOWN:
        console.print(f"  and {len(shown) - _MOST_SHOWN} more: {output.command('files')}")
    if old and not counts[FileState.FAILED]:
        console.print(f"  To have them tried again: {output.command('files', 'retry')}")


def _table(found: Sequence[StatusOfFile]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("source", "table", "file", "status"):
        table.add_column(name)
    for name in ("rows", "size", "seconds", "attempts"):
        table.add_column(name, justify="right")
    table.add_column("when")
    table.add_column("")
    for one in found:
        table.add_row(
            one.source,
            one.table,
            Text(_printable(one.path)),
            Text(one.status.value, style=_STYLES[one.status]),
            number(one.rows),
            size_text(one.size_bytes),
            f"{one.seconds:.1f}" if one.seconds else "·",
            number(one.attempts),
            f"{one.at.astimezone():%Y-%m-%d %H:%M}" if one.at else "",
            Text(one.note),
        )
    return table


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
