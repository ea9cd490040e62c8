"""`tidegate query`: SQL over the archived rows. Reads the lake only."""

from pathlib import Path

import click

from tidegate.options import command
from tidegate.show.output import Output

TABLE_ROWS = 100


@command(
    "query",
    "Ask the lake with SQL.",
    examples=[
        'tidegate query "SELECT carrier, count(*) FROM flights GROUP BY carrier ORDER BY 2 DESC"',
        'tidegate query "SELECT * FROM flights WHERE year = 2013 AND month = 1" --limit 20',
        'tidegate query --csv "SELECT * FROM flights__history" > flights.csv',
        'tidegate query --json "SHOW TABLES"',
    ],
)
@click.argument("sql", metavar="SQL")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Rows at most.  [default: {TABLE_ROWS} in a table, all with --json and --csv]",
)
@click.option("--csv", "as_csv", is_flag=True, help='Print CSV: NULL is an empty field, empty text is "".')
def query(output: Output, config_dir: Path, *, sql: str, limit: int | None, as_csv: bool) -> None:
    """Run one SQL query, in DuckDB's dialect, over the archived rows.

    Each dataset is a view of its committed rows, the newest version of each key; NAME__history has all versions. A
    condition on the partition keys reads those partitions' files only. With --json the answer is {"columns": [...],
    "rows": [[...], ...]}; values that JSON cannot hold exactly (decimals, times, integers beyond 2^53) are text.
    """
    if as_csv and output.as_json:
        raise click.UsageError("--csv and --json are two forms of the same answer; give one of them.")
    from tasks.views import query_lake
    from tidegate.project_lake import project_lake
    from tidegate.query_answer import Answer
    from tidegate.show.answer import print_csv, show_answer

    with project_lake(output, config_dir) as place, query_lake(place.lake, place.settings, sql) as relation:
        answer = Answer(relation)
        if output.as_json:
            output.give({"columns": answer.columns, "rows": list(answer.rows(limit))}, show=lambda _: None)
        elif as_csv:
            print_csv(answer, limit)
        else:
            show_answer(output, answer, TABLE_ROWS if limit is None else limit, told=limit is not None)
