"""What checks kept out of the shop's tables, counted by the reason that stands beside each row."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from blocks.duck import duck, read_files
from blocks.ledger import Ledger, datasets
from blocks.open_lake import open_lake
from schemas.config import Settings
from tidegate.show.labels import number


def put_aside(settings: Settings) -> Table:
    """Return a table of the reasons, with the number of rows of each."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("why")
    for dataset, rows, reason in _reasons(settings):
        table.add_row(dataset, number(rows), reason)
    return table


def _reasons(settings: Settings) -> Iterator[tuple[str, int, str]]:
    lake = open_lake(settings.lake, settings.temp_dir)
    with duck(settings) as connection:
        lake.attach(connection)
        for dataset in datasets(lake):
            aside = [file.path for generation in Ledger(lake, dataset).generations() for file in generation.quarantine]
            if aside:
                files = read_files([lake.duckdb_path(path) for path in aside])
                query = f"SELECT count(*), _reason FROM {files} GROUP BY _reason ORDER BY ALL DESC"
                for rows, reason in connection.execute(query).fetchall():
                    yield dataset, rows, reason
