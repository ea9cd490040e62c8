"""`tidegate publish`: copy tables of the lake to PostgreSQL, and show them in a DuckDB file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.options import command
from tidegate.show.output import Output

if TYPE_CHECKING:
    from schemas.publish_report import PublishReport


@command(
    "publish",
    "Publish tables to PostgreSQL or a DuckDB file.",
    examples=[
        "tidegate publish --dry-run",
        "tidegate publish warehouse",
        "tidegate publish warehouse bi --full",
        "tidegate publish --json",
    ],
)
@click.argument("publications", metavar="[NAME]...", nargs=-1)
@click.option("--full", is_flag=True, help="Publish tables also if nothing in them has changed.")
@click.option("--dry-run", is_flag=True, help="Only show what would be published; nothing is written.")
def publish(output: Output, config_dir: Path, *, publications: tuple[str, ...], full: bool, dry_run: bool) -> None:
    """Publish what each NAME in config/publish.yaml says, or all of them; only what has changed is copied.

    \b
    publications:
      - name: warehouse
        type: postgresql
        connection: {host: db, database: dwh, user: me, password: "${PW}"}
        grants: {reporting: [select]}
        tables:
          - "consume/*"                # consume/bi/top becomes consume.top
          - {dataset: raw/shop/orders, as: raw.orders,
             mode: upsert, key: [id], indexes: [[placed_at]]}
      - {name: bi, type: duckdb, path: ./lake.duckdb}

    mode: replace (the default) writes a new table and swaps it in at once, with the indexes, rights, comments and views
    of the old one; readers see the old rows or the new ones. mode: upsert changes and adds rows by their key; rows that
    are not in the lake any more, erased ones too, stay in the table. A DuckDB file has views of the lake's tables
    (consume/bi/top is consume.bi_top); any DuckDB from 1.1 on opens it.
    """  # noqa: D301 (click wants the character)
    from schemas.project import Project
    from schemas.publish_report import PublishFailed
    from tasks.publish.plan_publications import chosen_publications

    # What is wrong with the configuration is said at once, before Prefect takes its seconds to start.
    chosen_publications(Project.load(config_dir), publications)

    from tidegate.call_flow import call_flow
    from tidegate.show.publish import show_publish

    try:
        report: PublishReport = call_flow(
            output,
            "flows.publish:publish_tables",
            publications=list(publications) or None,
            full=full,
            dry_run=dry_run,
            config_dir=config_dir,
        )
    except PublishFailed as failure:
        if not output.as_json:
            show_publish(output, failure.report)
        raise
    output.give(report.as_json(), lambda _: show_publish(output, report))
