"""Values of every type survive exactly: written by Hypothesis, archived, proven, purged, restored, compared."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg_types import TYPES, PgType
from typed_table import TypedTable, Value

from schemas.errors import UnsupportedValue


@pytest.mark.parametrize("pg_type", TYPES, ids=str)
@settings(
    max_examples=2, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_values_are_archived_purged_by_their_digest_and_restored_as_they_were(
    pg_type: PgType, data: st.DataObject, typed_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values: list[Value] = [*pg_type.nasty, None, *data.draw(pg_type.random(40, 60)), None]
    table = TypedTable(typed_database, tmp_path_factory.mktemp("project"), pg_type)
    table.fill(values, values[::-1])
    generation = table.archive()
    columns = {column.name: column for column in generation.manifest.columns}
    assert (columns["value"].kind, columns["value"].exact_text) == (pg_type.kind, pg_type.exact_text)
    # The same values in younger row versions: the fence cannot vouch for them, their content has to.
    table.bench.sql("UPDATE typed SET other = other")
    receipt = table.bench.purge(generation.manifest.path)
    assert (receipt.deleted, receipt.by_fence, table.bench.count("typed")) == (len(values), 0, 0)
    assert table.restore().rows == len(values)
    assert table.differences() == []


NAN, TOO_LATE = "holds NaN", "holds a time beyond the year 294246"


@pytest.mark.parametrize(
    ("declared", "printed", "value", "told"),
    [
        ("numeric(12,4)", "numeric(12,4)", "NaN", NAN),
        ("price", "public.price", "NaN", NAN),
        ("timestamp", "timestamp without time zone", "294276-12-31 23:59:59.999999", TOO_LATE),
        ("timestamptz", "timestamp with time zone", "294247-01-10 04:00:54.775807+00", TOO_LATE),
        ("moment", "public.moment", "294276-12-31", TOO_LATE),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_column_and_key(
    declared: str, printed: str, value: str, told: str, typed_database: str, tmp_path: Path
) -> None:
    pg_type = next(known for known in TYPES if known.sql == declared)
    table = TypedTable(typed_database, tmp_path, pg_type)
    table.fill([pg_type.nasty[0], None, value, None], [None] * 4)
    table.bench.sql("ALTER TABLE typed DROP CONSTRAINT typed_pkey, ADD PRIMARY KEY (at, id)")
    with pytest.raises(UnsupportedValue) as refusal:
        table.archive()
    key = "{'id': '2', 'at': '2024-02-29 12:00:00.000001Z'}"
    assert f"Column value ({printed}) {told} in the row with key {key}" in refusal.value.what
    assert (table.bench.generations(), table.bench.count("typed")) == ([], 4)


def test_the_last_moments_that_fit_are_kept(typed_database: str, tmp_path: Path) -> None:
    pg_type = next(known for known in TYPES if known.sql == "timestamp")
    table = TypedTable(typed_database, tmp_path, pg_type)
    table.fill(["294247-01-10 04:00:54.775806", "4714-11-24 00:00:00 BC", "infinity", "-infinity"])
    table.bench.purge(table.archive().manifest.path)
    table.restore()
    assert (table.bench.count("typed"), table.differences()) == (4, [])
