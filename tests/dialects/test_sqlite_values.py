"""Values of every declared type of SQLite survive exactly, or are refused by column and key; every change is caught."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forgery import changes, forged, same_bits
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlite_bench import SqliteBench
from sqlite_types import MOMENTS, TYPES, SqliteType, moment_type

from blocks.dialects.sqlite.moments import Value, guess_format
from schemas.column_plan import Column, quote_identifier
from schemas.errors import UnsupportedValue
from tasks.check_generation import check_generation

ALL = [*TYPES, *(moment_type(name) for name in MOMENTS)]
GROUP = 11  # columns of a table: Hypothesis gives up on more random values than a few thousand bytes can decide
EXAMPLES = settings(  # the first one is always that of the simplest values
    max_examples=2, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


def typed(folder: Path, columns: dict[str, SqliteType], values: dict[str, Sequence[Value]]) -> SqliteBench:
    """Make a table `typed (id, at, …)` with these values below each other, and its project."""
    bench = SqliteBench.in_folder(folder)
    bench.configure(name="typed", table="typed", time_column="at", partition_by=["year"], window="year")
    declared = "".join(f", {quote_identifier(name)} {known.sql}" for name, known in columns.items())
    rows = max(map(len, values.values()))
    with bench.connected() as connection:
        connection.execute(f"CREATE TABLE typed (id INTEGER PRIMARY KEY, at DATETIME{declared})")
        connection.execute("BEGIN")
        for row in range(rows):
            given_ = [values[name][row] if row < len(values[name]) else None for name in columns]
            places = ", ".join("?" for _ in given_)
            connection.execute(f"INSERT INTO typed VALUES (?, '2024-02-29 12:00:00', {places})", (row, *given_))
        connection.execute("COMMIT")
    return bench


@pytest.mark.parametrize("first", range(0, len(ALL), GROUP))
@EXAMPLES
@given(data=st.data())
def test_values_of_every_type_are_archived_purged_by_digest_and_restored_as_they_were(
    first: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = {f"c{number}": known for number, known in enumerate(ALL[first : first + GROUP])}
    values = {name: [*known.nasty, *data.draw(known.random(8, 12)), None] for name, known in columns.items()}
    bench = typed(tmp_path_factory.mktemp("values"), columns, values)
    before = bench.content("typed")
    (exported,) = bench.export()
    assert exported.manifest is not None
    archived = {column.name: column for column in bench.generations()[0].manifest.columns}
    for name, known in columns.items():
        assert (archived[name].kind, archived[name].exact_text) == (known.kind, known.exact_text), known
    receipt = bench.purge(exported.manifest)
    assert (receipt.deleted, bench.count("typed")) == (len(before), 0)
    assert bench.restore().rows == len(before)
    assert bench.content("typed") == before


@pytest.mark.parametrize("name", MOMENTS)
def test_the_format_of_a_column_of_moments_is_found(name: str) -> None:
    assert guess_format(moment_type(name).nasty) == name


@pytest.mark.parametrize("known", [*(known for known in TYPES if known.unfit), moment_type(MOMENTS[0])], ids=str)
def test_a_value_of_another_kind_is_refused_by_column_and_key(known: SqliteType, tmp_path: Path) -> None:
    bench = typed(tmp_path, {"value": known}, {"value": [known.nasty[0], None, known.nasty[-1]]})
    job = bench.job()
    for value in known.unfit:
        bench.sql("UPDATE typed SET value = ? WHERE id = 1", value)
        with pytest.raises(UnsupportedValue) as refusal:
            bench.export(job)
        told = refusal.value
        column = known.sql.removesuffix(" COLLATE NOCASE")
        assert told.what.startswith(f"Column value ({column}) holds the "), told.what
        assert "in the row with key {'id': 'the integer 1'}" in told.what
        assert "columns.as_text: [value]" in told.next_step
    assert (bench.generations(), bench.count("typed")) == ([], 3)


@pytest.mark.parametrize("declared", ["TEXT", "DATE", "INTEGER", "REAL", "BLOB", "BOOLEAN", "DATETIME"])
def test_text_that_is_no_utf8_is_refused(declared: str, tmp_path: Path) -> None:
    known = SqliteType(declared, TYPES[0].kind, (), TYPES[0].random)
    bench = typed(tmp_path, {"value": known}, {"value": [None, None, None]})
    bench.sql("UPDATE typed SET value = CAST(x'61ff62' AS TEXT) WHERE id = 1")
    with pytest.raises(UnsupportedValue, match=r"Column value .* no UTF-8 \(its bytes are 61ff62\).*'id': '1'"):
        bench.export()


def test_literals_keep_even_text_that_is_no_utf8(tmp_path: Path) -> None:
    known = next(known for known in TYPES if not known.sql)
    bench = typed(tmp_path, {"value": known}, {"value": [1, "it's", None, b"\0"]})
    bench.sql("UPDATE typed SET value = CAST(x'61ff62' AS TEXT) WHERE id = 2")
    before = bench.sql("SELECT id, typeof(value), hex(value) FROM typed")
    assert bench.run().state == "done"
    assert bench.lake_rows("value") == [("1",), ("'it''s'",), ("CAST(x'61ff62' AS TEXT)",), ("x'00'",)]
    bench.restore()
    assert bench.sql("SELECT id, typeof(value), hex(value) FROM typed") == before


CHANGED = ("REAL", "TEXT", "BLOB", "DECIMAL(12,4)", "")


@pytest.mark.parametrize("known", [known for known in ALL if known.sql in CHANGED] + [moment_type(MOMENTS[0])], ids=str)
def test_one_value_changed_in_the_lake_fails_the_proof(known: SqliteType, tmp_path: Path) -> None:
    values = [*known.nasty[:9], *known.nasty[:2], None]
    bench = typed(tmp_path, {"value": known, "other": known}, {"value": values, "other": values[::-1]})
    bench.export()
    (generation,) = bench.generations()
    (file,) = bench.lake_files()
    rows, project = pq.read_table(file), bench.project
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    caught = 0
    for name, changed in changes(rows, "value", "other", 0, 1):
        if changed.num_rows == rows.num_rows and same_bits(changed, rows):
            continue
        found = check_generation(bench.lake, forged(generation, file, changed), project.settings, scratch)
        assert "digest" in {finding.check for finding in found}, name
        caught += 1
    assert caught >= 5


def mutations(name: str, column: Column) -> list[str]:
    """Return SQL values that a row's column may be set to, each another value than that of the rows."""
    if name == "amount":
        return ["137", "1.38", "-1.37", "NULL", "'n/a'", "1.37001"]
    as_stored = {
        "placed_at": ["datetime(placed_at, '+1 second')", "replace(placed_at, ' ', 'T')", "placed_at || '.5'",
                      "CAST(placed_at AS BLOB)", "placed_at || 'Z'"],
        "shop": ["upper(shop)", "shop || ' '", "CAST(shop AS BLOB)", "NULL", "''", "CAST(x'ff' AS TEXT)"],
        "note": ["''", "NULL", "'~'", "note || char(0)", "x''", "x'41'"],
        "weight": ["weight + 1e-9", "-weight", "NULL", "'heavy'", "9e999"],
        "picture": ["CAST(picture AS TEXT)", "x''", "picture || x'00'", "NULL", "1"],
        "open": ["1 - open", "2", "NULL", "'true'", "0.5"],
        "day": ["date(day, '+1 day')", "day || ' 00:00:00'", "NULL", "20240101", "replace(day, '-', '/')"],
    }  # fmt: skip
    return as_stored.get(column.name, [])


def test_a_row_changed_in_the_source_in_whatever_way_stays_there(tmp_path: Path) -> None:
    bench = SqliteBench.in_folder(tmp_path)
    bench.fill_orders(60)
    bench.configure(window="year")
    (exported,) = bench.export()
    assert exported.manifest is not None
    changed, number = [], 1
    for column in bench.job().columns:
        for value in mutations(column.name, column):
            looks = f"SELECT typeof({column.name}), hex({column.name}) FROM orders WHERE id = {number}"
            before = bench.sql(looks)
            bench.sql(f"UPDATE orders SET {column.name} = {value} WHERE id = {number}")
            if bench.sql(looks) != before:
                changed.append(number)
            number += 1
    kept = bench.content()
    receipt = bench.purge(exported.manifest)
    assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == (60 - len(changed), len(changed), 0)
    assert [row[0] for row in bench.sql("SELECT id FROM orders ORDER BY id")] == changed
    assert bench.content() < kept
    assert len(changed) >= 36
