"""A MariaDB table's way into the lake and back: snapshots, windows, odd names, predicates, settings, keys, errors."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from forgery import forged
from mysql_bench import MySQLBench

from blocks.dialects.mysql.source import MySQL
from blocks.source import Slice
from schemas.errors import ConfigError, ProofFailed, SourceUnavailable, UnsupportedValue
from schemas.restore_target import fit
from schemas.window import Window
from tasks.verify import prove
from tidegate.demo.mariadb import MariaDB

YEAR = Slice(Window(start=datetime(2024, 1, 1), end=datetime(2025, 1, 1)))


def test_rows_go_into_the_lake_and_come_back(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(200)
    bench.configure(window="year")
    before = bench.content()
    report = bench.run()
    assert (report.state, bench.count(), len(bench.lake_rows())) == ("done", 0, 200)
    records = bench.records()
    assert bench.run().state == "done"
    assert bench.records() == records
    assert bench.restore().rows == 200
    assert bench.content() == before
    assert bench.restore(on_conflict="skip").skipped == 200
    assert bench.run().state == "done"
    assert (bench.count(), len(bench.lake_rows())) == (0, 200)


def test_what_is_counted_and_read_is_of_one_moment(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(500)
    job = bench.job()
    with MySQL(bench.url).snapshot() as snapshot:
        bench.sql("DELETE FROM orders WHERE id % 2 = 0")
        bench.sql("UPDATE orders SET note = 'later'")
        bench.sql("INSERT INTO orders (id, placed_at) VALUES (9999, '2024-01-02')")
        rows = sum(batch.rows.num_rows for batch in snapshot.read(job, YEAR, digest=True))
        assert snapshot.count(job, YEAR) == rows == 500
        assert not snapshot.vouches_for(snapshot.record)


def test_rows_that_came_or_changed_after_the_export_become_a_further_generation(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(30)
    bench.configure(window="year", purge=None)
    assert [one.rows for one in bench.export()] == [30]
    bench.sql("UPDATE orders SET note = 'changed' WHERE id <= 3")
    bench.sql("INSERT INTO orders (id, placed_at) VALUES (1000, '2024-03-01')")
    assert [one.rows for one in bench.export()] == [4]
    assert [one.rows for one in bench.export()] == [0]
    bench.configure(purge={"mode": "delete"})
    assert bench.run().state == "done"
    assert (bench.count(), len(bench.lake_rows())) == (0, 34)


def test_a_connection_that_is_lost_while_rows_are_read_is_an_error(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date, note text)")
    bench.sql("INSERT INTO orders SELECT seq, '2024-01-01', REPEAT('x', 20000) FROM seq_1_to_3000")
    job = bench.job()
    with pytest.raises(SourceUnavailable), MySQL(bench.url).snapshot() as snapshot:
        (number,) = snapshot.connection.one("SELECT CONNECTION_ID()")
        for batch in snapshot.read(job, YEAR, digest=True):
            assert batch.rows.num_rows < 3000
            bench.sql(f"KILL {number}")


@pytest.mark.parametrize(
    ("kind", "zone", "unit", "windows"),
    [
        ("timestamp", "Asia/Kolkata", "day", {"2024-01-01T18:30": 1, "2024-01-02T18:30": 2}),
        ("datetime", "Asia/Kolkata", "day", {"2024-01-02T00:00": 3}),
        ("datetime", "UTC", "hour", {"2024-01-02T18:00": 3}),
        ("timestamp", "Asia/Kathmandu", "hour", {"2024-01-02T18:15": 3}),
        ("date", "UTC", "month", {"2024-01-01T00:00": 3}),
    ],
)
def test_windows_begin_where_the_time_zone_says(
    kind: str, zone: str, unit: str, windows: dict[str, int], mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    bench.settings = {"timezone": zone}
    bench.configure(window=unit)
    bench.sql(f"CREATE TABLE orders (id int PRIMARY KEY, placed_at {kind})")
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for number, clock in enumerate(("18:29:59", "18:31:00", "18:32:00")):
            cursor.execute(f"INSERT INTO orders VALUES ({number}, '2024-01-02 {clock}')")
    assert {f"{w.window.start:%Y-%m-%dT%H:%M}": w.rows for w in bench.plan().windows} == windows
    assert bench.run().state == "done"
    assert bench.count() == 0


def test_a_time_zone_of_long_ago_with_odd_seconds_hides_no_window(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.settings = {"timezone": "Africa/Monrovia"}  # until 1972 it was 44 minutes and 30 seconds behind
    bench.configure(window="day")
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at timestamp)")
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("INSERT INTO orders VALUES (1, '1971-01-02 00:44:00'), (2, '1971-01-02 00:44:40')")
    assert [w.rows for w in bench.plan().windows] == [1, 1]


def test_rows_with_times_that_no_window_can_hold_are_told(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date)")
    bench.sql("INSERT INTO orders VALUES (1, NULL), (2, '0000-00-00'), (3, '9999-12-31'), (4, '2024-03-00')")
    plan = bench.plan()
    assert (plan.rows_without_time, plan.rows_beyond_time) == (1, 2)
    assert [(str(w.window), w.rows) for w in plan.windows] == [("[2024-02-01, 2024-03-01)", 1)]
    with pytest.raises(UnsupportedValue, match=r"Column placed_at \(date\) holds 2024-03-00"):
        bench.export()


def test_a_predicate_is_read_as_mysql_reads_it(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(50)
    bench.configure(where='shop = "shop 1" || note LIKE "note _" -- or what else\n# it takes', window="year")
    assert [one.rows for one in bench.export()] == [22]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("id > 1) OR (true", "closes a bracket"), ("(id > 1", "opens a bracket"), ("id > 1; DELETE FROM orders", ";"),
        ("id > '1", "'"), ("nothing = 1", "Unknown column 'nothing'"), ("COUNT(*) > 1", "Invalid use of group"),
        ("id = 1 /*! OR true */", "/*"),
    ],
)  # fmt: skip
def test_a_predicate_that_is_no_expression_is_refused(where: str, told: str, mysql_bench: MySQLBench) -> None:
    mysql_bench.fill_orders(2)
    mysql_bench.configure(where=where)
    assert told in mysql_bench.refusal().what


def test_columns_are_derived_computed_hidden_and_left_out(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql(
        "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, placed_at datetime, amount decimal(8,2), "
        "twice decimal(9,2) AS (amount * 2) STORED, half double AS (amount / 2) VIRTUAL, "
        "secret int INVISIBLE DEFAULT 7, left_out text)"
    )
    bench.sql(
        "INSERT INTO orders (placed_at, amount, left_out) VALUES ('2024-01-01', 1.25, 'x'), ('2024-01-02', NULL, '')"
    )
    bench.sql("UPDATE orders SET id = 0 WHERE id = 2")
    derive = {
        "day": "DATE(placed_at)", "thirds": "amount / 3", "big": "CAST(id AS UNSIGNED) + 9223372036854775808",
        "said": "CONCAT('ü', id)", "at": "placed_at + INTERVAL 1 MICROSECOND", "raw": "UNHEX('ff')",
        "float": "id / 3e0", "how_long": "TIMEDIFF(placed_at, CAST('2023-12-01' AS DATETIME))",
    }  # fmt: skip
    bench.configure(
        columns={"exclude": ["left_out"], "derive": derive},
        purge={"mode": "delete", "discard_columns": ["left_out"]},
    )
    assert bench.run().state == "done"
    stored = 'id, amount, twice, half, secret, "day"::VARCHAR, big, said, "at", raw, how_long'
    first, second = bench.lake_rows(stored)
    assert str(second) == str(
        (1, pa.scalar("1.25").cast(pa.decimal128(8, 2)).as_py(), pa.scalar("2.50").cast(pa.decimal128(9, 2)).as_py(),
         0.625, 7, "2024-01-01", pa.scalar("9223372036854775809").cast(pa.decimal128(20, 0)).as_py(), "ü1",
         datetime(2024, 1, 1, 0, 0, 0, 1), b"\xff", "744:00:00")
    )  # fmt: skip
    assert (first[0], first[1], bench.count()) == (0, None, 0)
    report = bench.restore()
    assert (report.rows, set(report.not_proven)) == (2, set(derive))
    assert bench.sql("SELECT id, twice, secret FROM orders ORDER BY id")[0] == (0, None, 7)


NAMES = (
    "select",
    "a`b",
    'a"b',
    "a'b",
    "x%sy%",
    "ü😀"[:1],
    "a b.c",
    "digest",
    "c0",
    "tidegate",
    "$1",
    "\\",
    "t",
    "s",
    "?",
)


def test_table_and_columns_may_have_any_name(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    quoted = ["`" + name.replace("`", "``") + "`" for name in NAMES]
    bench.configure(table='"odd `name; 100%"', folder="odd", time_column="select", key=["a`b", "x%sy%"])
    declared = ", ".join(f"{name} varchar(9) NOT NULL" for name in quoted[1:])
    table = "`odd ``name; 100%`"
    with bench.connected() as connection:
        connection.query(
            f"CREATE TABLE {table} (`select` datetime, {declared}, PRIMARY KEY ({quoted[4]}, {quoted[1]}))"
        )
        values = ", ".join(["'2024-01-01'", *(f"'v {number}'" for number in range(1, len(NAMES)))])
        connection.query(f"INSERT INTO {table} VALUES ({values})")
    assert bench.run().state == "done"
    (row,) = bench.lake_rows("*", "1")
    assert row == (datetime(2024, 1, 1), *(f"v {number}" for number in range(1, len(NAMES))))
    assert bench.restore().rows == 1
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        assert cursor.fetchall() == (row,)


@contextmanager
def hostile_settings(mariadb: MariaDB) -> Iterator[None]:
    """Give every new session settings that Tidegate would not choose."""
    hostile = {
        "sql_mode": "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,"
                    "NO_ZERO_IN_DATE,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION,SIMULTANEOUS_ASSIGNMENT'",
        "time_zone": "'+05:45'", "lc_time_names": "'de_DE'", "character_set_server": "latin1", "sql_safe_updates": "1",
        "sql_select_limit": "3", "max_statement_time": "0.5", "autocommit": "0", "tx_isolation": "'READ-UNCOMMITTED'",
        "div_precision_increment": "1", "in_predicate_conversion_threshold": "2", "net_write_timeout": "1",
        "init_connect": "'SET @nothing = 1'", "innodb_lock_wait_timeout": "1", "foreign_key_checks": "0",
        "unique_checks": "0", "check_constraint_checks": "0", "completion_type": "'RELEASE'",
        "sql_quote_show_create": "0",
    }  # fmt: skip
    (before,) = mariadb.sql(f"SELECT {', '.join(f'@@global.{name}' for name in hostile)}")
    try:
        mariadb.sql(f"SET {', '.join(f'GLOBAL {name} = {value}' for name, value in hostile.items())}")
        yield
    finally:
        mariadb.sql(f"SET {', '.join(f'GLOBAL {name} = %s' for name in hostile)}", *before)


@pytest.mark.parametrize("step", ["export", "purge", "restore"])
def test_settings_of_the_server_do_not_matter(step: str, mariadb: MariaDB, mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, placed_at timestamp NULL, c char(5), d double, t time(3), "
        "n decimal(9,3), v varchar(9) CHARACTER SET latin1, e enum('a','\\\\'), b blob)"
    )
    bench.sql(
        "INSERT INTO orders SELECT seq, '2024-01-01' + INTERVAL seq DAY, 'a', seq / 7e0, '-12:00:00.5', seq / 3, "
        "'ü\\\\''', '\\\\', X'00ff' FROM seq_1_to_20"
    )
    bench.configure(where="id <> 100 AND c = 'a'", purge={"mode": "delete", "batch_rows": 8})
    before = bench.content()

    @contextmanager
    def during(name: str) -> Iterator[None]:
        if step == name:
            with hostile_settings(mariadb):
                yield
        else:
            yield

    with during("export"):
        (one,) = bench.export()
    assert one.manifest is not None
    with during("purge"):
        assert bench.purge(one.manifest).deleted == 20
    with during("restore"):
        assert bench.restore().rows == 20
    assert bench.content() == before


def test_rows_that_others_refer_to_stay_also_where_the_server_checks_no_foreign_keys(
    mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    bench.fill_orders(5)
    bench.sql("CREATE TABLE items (id int PRIMARY KEY, o bigint, FOREIGN KEY (o) REFERENCES orders (id))")
    bench.sql("INSERT INTO items VALUES (1, 3)")
    bench.configure(purge={"mode": "delete", "references": "check"})
    with hostile_settings(mariadb):
        assert "a foreign key constraint fails" in str(bench.failed_run())
    assert bench.count() == 5


def test_a_restore_into_a_table_without_transactions_is_refused_and_writes_nothing(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(5)
    bench.run()
    bench.sql("ALTER TABLE orders ENGINE = MyISAM")
    bench.sql("CREATE TRIGGER alters BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = 'altered'")
    with pytest.raises(ConfigError, match="of the engine MyISAM, which has no transactions") as refusal:
        bench.restore()
    assert "ENGINE = InnoDB" in refusal.value.next_step
    assert bench.count() == 0
    with MySQL(bench.url).session() as session, pytest.raises(ConfigError, match="MyISAM"):  # before anything is read
        session.target(bench.project.archives[0].table)


def test_a_table_that_loses_its_transactions_during_a_restore_takes_no_row(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(5)
    bench.run()
    with MySQL(bench.url).session() as session:
        target = session.target(bench.project.archives[0].table)
        (generation,) = bench.generations()
        bench.sql("ALTER TABLE orders ENGINE = Aria")
        manifest = generation.manifest
        with pytest.raises(ConfigError, match="of the engine Aria"), session.transaction():
            session.staging(target, fit(target, manifest.columns, "It"), manifest.key, manifest.time_column, 0)


def test_a_failed_proof_names_the_rows_and_columns_that_differ(mysql_bench: MySQLBench, tmp_path: Path) -> None:
    bench = mysql_bench
    bench.sql(
        "CREATE TABLE orders (id varbinary(4), f float, placed_at timestamp(3) NULL, note text, PRIMARY KEY (id, f))"
    )
    bench.sql(
        "INSERT INTO orders VALUES (X'00ff', 0.1, '2024-01-01 00:00:00.5', 'x'), (X'01', -1e30, '2024-01-02', 'y')"
    )
    (one,) = bench.export()
    (generation,), (file,) = bench.generations(), bench.lake_files()
    rows = pq.read_table(file)
    notes = pc.replace_substring(rows["note"], "x", "z")
    altered = forged(generation, file, rows.set_column(3, "note", notes))
    (bench.folder / "lake" / altered.manifest.path).write_bytes(altered.manifest.to_bytes())
    assert one.manifest is not None
    with pytest.raises(ProofFailed, match=r"\\x00ff, 0.1 \(note\)"):
        prove(bench.job(), one.manifest, tmp_path)


KEY_TEXTS = (
    ("int", "007", "7"), ("int", "-7", "-7"), ("int", "1.5", None), ("int", "3000000000", None), ("int", "seven", ""),
    ("bigint unsigned", "18446744073709551615", "18446744073709551615"), ("tinyint unsigned", "-1", None),
    ("decimal(8,2)", "1.5", "1.50"), ("decimal(8,2)", "1.555", None), ("decimal(8,2)", "1,5", ""),
    ("float", "0.1", "0.1"), ("double", "1e3", "1000.0"), ("double", "x", ""), ("date", "2024-02-29", "2024-02-29"),
    ("date", "2024-02-30", ""), ("datetime", "2024-01-01T10:00", "2024-01-01 10:00:00"),
    ("timestamp(3) NULL", "2024-01-01 02:00:00.5+02:00", "2024-01-01 00:00:00.5+00"),
    ("timestamp NULL", "yesterday", ""), ("time", "25:00:01", "25:00:01"), ("year", "2024", "2024"),
    ("bit(4)", "5", "5"), ("bit(4)", "16", None), ("varchar(3)", "it's", None), ("varchar(9)", "it's \\ ", "it's \\ "),
    ("char(9)", "a  ", "a"), ("varbinary(4)", "\\x00FF", "\\x00ff"), ("varbinary(4)", "aü", "\\x61c3bc"),
    ("varbinary(2)", "0x000000", None), ("enum('a','b')", "b", "b"),
    ("uuid", "123E4567-e89b-12d3-a456-426655440000", "123e4567-e89b-12d3-a456-426655440000"),
)  # fmt: skip


def test_keys_that_people_write_are_read_as_the_server_reads_them(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    declared = ", ".join(f"k{number} {sql}" for number, (sql, _, _) in enumerate(KEY_TEXTS))
    bench.sql(f"CREATE TABLE orders ({declared})")
    with MySQL(bench.url).session() as session:
        columns = session.describe(bench.project.archives[0].table).columns
        for column, (_, written, found) in zip(columns, KEY_TEXTS, strict=True):
            if found == "":
                with pytest.raises(ConfigError, match=f"is no value of {column.name} "):
                    session.canonical_key((column,), (written,))
            else:
                expected = [found] if found is not None else None
                assert session.canonical_key((column,), (written,)) == expected, column


def test_single_rows_come_back_by_their_keys(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(40)
    before = bench.content()
    bench.run()
    report = bench.restore(from_=None, keys=["7", "0012", "999"])
    assert (report.rows, report.missing_keys) == (2, ("999",))
    assert bench.content() == [row for row in before if row[0] in (b"7", b"12")]


def test_rows_of_a_table_without_a_key_are_known_by_their_content(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql("CREATE TABLE orders (n int, placed_at datetime(3))")
    rows = "(1, '2024-01-01'), (1, '2024-01-01'), (2, '2024-01-01 00:00:00.5'), (3, '2024-02-01')"
    bench.sql(f"INSERT INTO orders VALUES {rows}")
    bench.configure(purge=None)
    assert bench.run(purging=False).state == "done"
    bench.sql("DELETE FROM orders WHERE n <> 2")
    report = bench.restore(on_conflict="skip")
    assert (report.rows, report.skipped) == (3, 1)
    assert sorted(bench.sql("SELECT n FROM orders")) == [(1,), (1,), (2,), (3,)]


def test_a_trigger_that_changes_restored_rows_is_noticed(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(10)
    bench.run()
    bench.sql("CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = 'restored'")
    with pytest.raises(ProofFailed, match="They differ in: note"):
        bench.restore()
    assert bench.count() == 0


def test_digests_are_those_of_the_canonical_text(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, placed_at timestamp(6) NULL, f float, d double, note varchar(9), "
        "n int, b blob)"
    )
    with bench.connected() as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("INSERT INTO orders VALUES (1, '2024-01-01 00:00:00.5', 1.5, -2, 'ü,~', NULL, '')")
    text = "1,2024-01-01 00:00:00.5+00,3fc00000,c000000000000000,4:ü,~,~," + hashlib.md5(b"").hexdigest()
    job = bench.job()
    whole = Slice(Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2025, 1, 1, tzinfo=UTC)))
    with MySQL(bench.url).snapshot() as snapshot:
        (batch,) = snapshot.read(job, whole, digest=True)
    expected: Any = int.from_bytes(hashlib.md5(text.encode()).digest()[:8], "little")
    assert batch.digests is not None
    assert batch.digests.tolist() == [expected]
