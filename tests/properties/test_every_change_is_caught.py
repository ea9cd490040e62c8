"""Whatever happens to one value of whatever type in the lake, the proof fails, and so nothing is deleted."""

import pyarrow.parquet as pq
import pytest
from forgery import changes, forged, same_bits
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg_types import TYPES, PgType
from typed_table import TypedTable, Value

from blocks.ledger import Generation
from schemas.finding import Finding
from tasks.check_generation import check_generation

ALWAYS = {"NULL", "dropped", "duplicated", "given three times", "replaced by a copy of another row"}


class Check:
    """`check_generation` over one table's archive."""

    def __init__(self, table: TypedTable) -> None:
        self._lake, self._settings = table.bench.lake, table.bench.project.settings
        self._scratch = table.bench.folder / "scratch"
        self._scratch.mkdir()

    def __call__(self, generation: Generation) -> list[Finding]:
        return check_generation(self._lake, generation, self._settings, self._scratch)


@pytest.mark.parametrize("pg_type", TYPES, ids=str)
@settings(
    max_examples=1, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_one_changed_value_fails_the_proof(
    pg_type: PgType, data: st.DataObject, typed_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = TypedTable(typed_database, tmp_path_factory.mktemp("project"), pg_type)
    values: list[Value] = [*data.draw(pg_type.random(5, 9)), *pg_type.nasty[:9], None]
    table.fill(values, values[::-1])
    generation = table.archive()
    findings = Check(table)
    assert findings(generation) == []
    (file,) = table.bench.lake_files()
    as_written = file.read_bytes()
    rows = pq.read_table(file)

    places = st.integers(0, len(values) - 2)
    row = data.draw(places)
    another = data.draw(places.filter(lambda place: place != row))
    caught = set()
    for name, changed in changes(rows, "value", "other", row, another):
        if changed.num_rows == rows.num_rows and same_bits(changed, rows):
            continue  # the two values were the same
        found = {finding.check for finding in findings(forged(generation, file, changed))}
        assert found, name
        # Of a moment before all that it can print, DuckDB says that it cannot read it.
        assert found <= {"digest", "key"} or found == {"unreadable"}, name
        assert found != {"key"}, name
        caught.add(name)
    assert caught >= ALWAYS

    place = data.draw(st.integers(0, len(as_written) * 8 - 1))
    flipped = bytearray(as_written)
    flipped[place // 8] ^= 1 << place % 8
    file.write_bytes(flipped)
    assert [finding.check for finding in findings(generation)] == ["checksum"]
