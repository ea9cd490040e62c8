"""Values of every type of MariaDB survive exactly, or are refused by column and key; every change is caught."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forgery import changes, forged, same_bits
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mysql_bench import MySQLBench
from mysql_types import TYPES, MySQLType

from blocks.dialects.mysql.catalog import collations
from blocks.dialects.mysql.source import MySQL
from blocks.dialects.mysql.statements import among_keys, indexed, portions
from schemas.column_plan import exchange_text
from schemas.errors import UnsupportedValue
from tasks.check_generation import check_generation
from tidegate.demo.mariadb import MariaDB

GROUP = 9  # columns of a table: Hypothesis gives up on more random values than a few thousand bytes can decide
ONCE = settings(
    max_examples=2, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
GROUPS = range(0, len(TYPES), GROUP)


def typed(
    mariadb: MariaDB, name: str, folder: Path, columns: dict[str, MySQLType], values: dict[str, Sequence[str]]
) -> MySQLBench:
    """Make a table `typed (id, at, …)` with these values below each other, and its project."""
    bench = MySQLBench(mariadb.url(name), folder)
    bench.configure(name="typed", table="typed", time_column="at", partition_by=["year"], window="year")
    declared = "".join(f", {column} {known.sql}" for column, known in columns.items())
    bench.sql("DROP TABLE IF EXISTS typed")
    bench.sql(f"CREATE TABLE typed (id int PRIMARY KEY, at datetime(6) NOT NULL{declared}) CHARACTER SET utf8mb4")
    rows = max(map(len, values.values()))
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'")
        for row in range(rows):
            given_ = [values[column][row] if row < len(values[column]) else "NULL" for column in columns]
            cursor.execute(f"INSERT INTO typed VALUES ({row}, '2024-02-29 12:00:00.000001', {', '.join(given_)})")
    return bench


@pytest.mark.parametrize("first", GROUPS)
@ONCE
@given(data=st.data())
def test_values_of_every_type_are_archived_purged_by_digest_and_restored_as_they_were(
    first: int,
    data: st.DataObject,
    mariadb: MariaDB,
    mariadb_database: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    columns = {f"c{number}": known for number, known in enumerate(TYPES[first : first + GROUP])}
    values = {name: [*known.nasty, *data.draw(known.random(12, 20)), "NULL"] for name, known in columns.items()}
    bench = typed(mariadb, mariadb_database, tmp_path_factory.mktemp("values"), columns, values)
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


@pytest.mark.parametrize(
    ("declared", "value", "told"),
    [
        ("date", "'0000-00-00'", "0000-00-00"),
        ("date", "'2024-00-10'", "2024-00-10"),
        ("date", "'0000-01-01'", "0000-01-01"),
        ("datetime(3)", "'2024-02-31 01:02:03.5'", "2024-02-31 01:02:03.500"),
        ("timestamp null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
    ],
)
def test_a_date_that_is_none_is_refused_by_column_and_key_or_kept_as_text(
    declared: str, value: str, told: str, mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    bench.configure(name="typed", table="typed", time_column="at")
    bench.sql(f"CREATE TABLE typed (id int PRIMARY KEY, at datetime, value {declared})")
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        cursor.execute(f"INSERT INTO typed VALUES (1, '2024-01-01', '2024-02-29'), (2, '2024-01-01', {value})")
    with pytest.raises(UnsupportedValue) as refusal:
        bench.export()
    assert f"Column value ({declared.split()[0]}) holds {told} in the row with key {{'id': '2'}}" in refusal.value.what
    assert "columns.as_text" in refusal.value.next_step
    assert (bench.generations(), bench.count("typed")) == ([], 2)

    bench.configure(columns={"as_text": ["value"]})
    before = bench.content("typed")
    assert bench.run().state == "done"
    assert (bench.count("typed"), bench.lake_rows("value")[1]) == (0, (told,))
    assert bench.restore().rows == 2
    assert bench.content("typed") == before


def test_floats_years_and_times_may_be_kept_as_the_text_that_says_them_exactly(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.configure(name="typed", table="typed", time_column="at", columns={"as_text": ["f", "d", "y", "m", "z", "b"]})
    bench.sql(
        "CREATE TABLE typed (id int PRIMARY KEY, at datetime, f float, d double(10,2), y year, m timestamp(6) NULL, "
        "z int(6) zerofill, b bit(3))"
    )
    bench.sql("INSERT INTO typed VALUES (1, '2024-01-01', 0.1, 1.1, 0, '2024-01-01 01:02:03.5', 7, 5)")
    before = bench.content("typed")
    assert bench.run().state == "done"
    assert bench.lake_rows("f, d, y, z, b") == [("0.10000000149011612", "1.1", "0", "7", "5")]
    bench.restore()
    assert bench.content("typed") == before


def test_text_that_does_not_come_back_from_unicode_is_refused(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.configure(name="typed", table="typed", time_column="at")
    bench.sql("CREATE TABLE typed (id int PRIMARY KEY, at datetime, value varchar(9) CHARACTER SET cp932)")
    bench.sql("INSERT INTO typed VALUES (1, '2024-01-01', _cp932 X'93FA'), (2, '2024-01-01', _cp932 X'FA5B')")
    with pytest.raises(UnsupportedValue, match=r"another one when it is converted .* in the row with key {'id': '2'}"):
        bench.export()
    bench.configure(where="id = 1")
    assert [exported.rows for exported in bench.export()] == [1]


def test_a_row_that_the_server_cannot_attest_is_refused(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.configure(name="typed", table="typed", time_column="at")
    bench.sql("CREATE TABLE typed (id int PRIMARY KEY, at datetime, a longtext, b longtext)")
    bench.sql("INSERT INTO typed VALUES (1, '2024-01-01', REPEAT('a', 9000000), REPEAT('b', 9000000))")
    with pytest.raises(UnsupportedValue, match=r"row with key {'id': '1'} is, as text, larger than the server's"):
        bench.export()


def test_rows_of_many_megabytes_are_read_whole(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.configure(name="typed", table="typed", time_column="at", proof="rows")
    bench.sql("CREATE TABLE typed (id int PRIMARY KEY, at datetime, a longtext, b longblob, c longblob)")
    for number, size in enumerate((0, 250, 251, 65_535, 65_536)):
        texts = f"REPEAT('ä', {size // 2}), REPEAT('b', {size}), REPEAT('c', 3)"
        bench.sql(f"INSERT INTO typed VALUES ({number}, '2024-01-01', {texts})")
    bench.sql("INSERT INTO typed VALUES (99, '2024-01-01', 'a', REPEAT('b', 16777100), REPEAT('c', 300))")
    before = [tuple(row) for row in bench.sql("SELECT id, MD5(a), MD5(b), MD5(c) FROM typed ORDER BY id")]
    assert bench.run().state == "done"
    assert (bench.count("typed"), bench.lake_rows("id, md5(a), md5(b), md5(c)")) == (0, before)


CHANGED = ("bigint unsigned", "float", "datetime(6)", "varchar(20)")


def test_one_value_changed_in_the_lake_fails_the_proof(mariadb: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    types = [next(known for known in TYPES if known.sql == sql) for sql in CHANGED]
    values = {f"value{number}": [*known.nasty[-2:], "NULL"] for number, known in enumerate(types)}
    values |= {name.replace("value", "other"): texts[::-1] for name, texts in values.items()}
    columns = {name: types[int(name[-1])] for name in values}
    bench = typed(mariadb, mariadb_database, tmp_path / "project", columns, values)
    bench.export()
    (generation,) = bench.generations()
    (file,) = bench.lake_files()
    rows, project = pq.read_table(file), bench.project
    (scratch := tmp_path / "scratch").mkdir()
    for number, known in enumerate(types):
        caught = 0
        for name, changed in changes(rows, f"value{number}", f"other{number}", 0, 1):
            if changed.num_rows == rows.num_rows and same_bits(changed, rows):
                continue
            found = check_generation(bench.lake, forged(generation, file, changed), project.settings, scratch)
            assert "digest" in {finding.check for finding in found}, (known, name)
            caught += 1
        assert caught >= 5, known


KEYS = [known for known in TYPES if known.is_key]


@pytest.mark.parametrize("first", range(0, len(KEYS), 20))
def test_rows_are_found_by_keys_of_every_type_in_an_index(
    first: int, mariadb: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    columns = {f"c{number}": known for number, known in enumerate(KEYS[first : first + 20])}
    values = {name: list(dict.fromkeys(v for v in known.nasty if len(v) < 500)) for name, known in columns.items()}
    bench = typed(mariadb, mariadb_database, tmp_path, columns, values)
    bench.sql(f"ALTER TABLE typed {', '.join(f'ADD KEY {name} ({name})' for name in columns)}")
    bench.export()
    job = bench.job()
    stored = [column for column in job.columns if column.name in columns]
    rows = bench.lake_rows(", ".join(exchange_text(column) for column in stored))
    with MySQL(bench.url).session() as session:
        collated = collations(session.connection, job.table)
        for i, column in enumerate(stored):
            ones = keys_of([(row[i],) for row in rows])
            assert session.count_keys(job.table, (column,), ones) == len(values[column.name]) == len(ones[0]), column
            ((_, _, literals),) = portions((column,), ones, collated)
            table, predicate = indexed("typed", column.name), among_keys((column,), literals)
            plan = session.connection.rows(f"EXPLAIN SELECT 1 FROM {table} WHERE {predicate}")
            assert plan[0][3] in {"ref", "range", "index"}, (column, plan)
            pairs = keys_of([(row[i], row[i - 1]) for row in rows])
            assert session.count_keys(job.table, (column, stored[i - 1]), pairs) == len(pairs[0]) > 0, column


def keys_of(rows: list[tuple[str | None, ...]]) -> tuple[pa.StringArray, ...]:
    """Return the keys, none of them NULL, as a purge has them."""
    whole = [row for row in rows if None not in row]
    return tuple(pa.array(list(texts), pa.string()) for texts in zip(*whole, strict=True))


def test_rows_are_found_and_deleted_by_keys_of_several_columns(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.configure(name="keyed", table="keyed", time_column="at", purge={"mode": "delete", "batch_rows": 7})
    bench.sql(
        "CREATE TABLE keyed (a varchar(9), at datetime(6), f float, b varbinary(9), n int, "
        "PRIMARY KEY (f, a, at, b)) CHARACTER SET latin1"
    )
    texts, moments, floats, octets = ("a", "b ", "O''Brien", "ü", "\\\\"), ("0", "000001"), (0.1, -1e30), ("", "00")
    values = ",".join(
        f"('{a}', '2024-01-01 00:00:00.{us}', {f}, X'{b}', {us})"
        for a, us, f, b in product(texts, moments, floats, octets)
    )
    bench.sql(f"INSERT INTO keyed VALUES {values}")
    assert bench.run().state == "done"
    assert (bench.count("keyed"), len(bench.lake_rows("n", "n"))) == (0, 40)
