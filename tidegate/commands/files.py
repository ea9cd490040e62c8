"""`tidegate files`: the files of sources, and whether they are in the lake. Reads; `retry` notes what to try again."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output


@command(
    "files",
    "Show the files of sources, and retry those that failed.",
    examples=[
        "tidegate files",
        "tidegate files --source partner --status failed",
        "tidegate files --status pending --json",
        'tidegate files retry "sales_2026-*.csv"',
        "tidegate files retry",
    ],
)
@click.argument("words", metavar="[retry [PATTERN]...]", nargs=-1)
@click.option("--source", metavar="SOURCE", help="Only files of this source.")
@click.option("--status", type=click.Choice(["pending", "done", "failed"]), help="Only files of this state.")
def files(output: Output, config_dir: Path, *, words: tuple[str, ...], source: str | None, status: str | None) -> None:
    """List the files of sources: `pending` if the next run reads them, `done`, or `failed`, with the reason.

    A file that failed is not tried again until it changes, or what sources.yaml says of its table. `tidegate files
    retry` has all of them tried again by the next `tidegate ingest`, or those whose path, or name, fits a PATTERN.
    What is pending is asked of the places where the files lie; what is done or failed, the lake knows.
    """
    if words and words[0] != "retry":
        raise click.UsageError(f"There is no action {words[0]!r}; `tidegate files retry [PATTERN]` is the only one.")
    if words and status:
        raise click.UsageError("retry takes files that have failed, and no --status.")
    from schemas.file_status import FileStatus
    from schemas.project import Project
    from tasks.ingest.file_status import file_statuses, file_tables, retry_files
    from tidegate.project_lake import project_lake
    from tidegate.show.files import show_files, show_retried

    requests = file_tables(Project.load(config_dir), source)
    with project_lake(output, config_dir, must_exist=False) as place:
        if words:
            chosen = retry_files(requests, place.lake, words[1:])
            retried = {"retried": [one.as_json() for one in chosen]}
            output.give(retried, lambda _: show_retried(output, chosen))
            return
        found, unreachable = file_statuses(requests, place.lake, FileStatus(status) if status else None)
        errors = [{"source": name, "error": error} for name, error in unreachable.items()]
        body = {"lake": place.lake.url, "files": [one.as_json() for one in found], "unreachable": errors}
        output.give(body, lambda _: show_files(output, found, unreachable))
