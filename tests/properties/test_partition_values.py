"""Whatever a partition key's values are, the rows are found again, and the files name them as readers expect."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from pg_types import TYPES
from typed_table import TypedTable

from schemas.errors import UnsupportedValue

LONGEST = 60  # characters: in a path, each may become nine


@pytest.mark.parametrize("declared", ["text", "char(5)", "boolean", "smallint", "bigint", "date", "uuid", "interval"])
def test_rows_survive_a_partition_key_of_hostile_values(declared: str, typed_database: str, tmp_path: Path) -> None:
    pg_type = next(known for known in TYPES if known.sql == declared)
    values = [*(value for value in pg_type.nasty if len(value) < LONGEST), None]
    table = TypedTable(typed_database, tmp_path, pg_type)
    table.bench.configure(partition_by=["value", "month"])
    table.fill(values)
    generation = table.archive()
    assert table.bench.purge(generation.manifest.path).deleted == len(values)
    table.restore()
    assert table.differences() == []
    for file in generation.manifest.files:
        (part,) = [part for part in Path(file.path).parts if part.startswith("value=")]
        told = file.partition["value"]
        assert unquote(part.removeprefix("value=")) == ("__HIVE_DEFAULT_PARTITION__" if told is None else told)


def test_a_value_that_is_too_long_for_a_folder_is_refused(typed_database: str, tmp_path: Path) -> None:
    table = TypedTable(typed_database, tmp_path, next(known for known in TYPES if known.sql == "text"))
    table.bench.configure(partition_by=["value"])
    table.fill(["a" * 10_000])
    with pytest.raises(UnsupportedValue, match="'value' is too long for the name of a folder"):
        table.archive()
    assert (table.bench.generations(), table.bench.count("typed")) == ([], 1)
