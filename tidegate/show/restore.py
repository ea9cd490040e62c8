"""Prints what a restore did."""

from rich.console import Console

from schemas.restore import RestoreReport


def show_restore(console: Console, report: RestoreReport) -> None:
    """Print the report of a restore."""
    console.print(
        f"{report.rows:,} rows of {report.archive} are back in {report.table}, in {report.seconds:.1f} seconds."
    )
    if report.rows and report.digest_equal:
        console.print("The database digested them: they are equal to the archived rows.", style="green")
    for count, what in (
        (report.skipped, "rows were in the table already and were left as they are there."),
        (report.superseded, "older versions of the rows stay in the lake only."),
    ):
        if count:
            console.print(f"{count:,} {what}")
    for names, what in (
        (report.missing_keys, "The lake holds no row with key"),
        (report.not_proven, "No part of the proof, because the table does not hold what was archived"),
        (report.defaulted, "Not archived with all of the rows, so these have the column's default"),
    ):
        if names:
            console.print(f"{what}: {', '.join(names)}", style="yellow")
    if report.hint:
        console.print(report.hint)
