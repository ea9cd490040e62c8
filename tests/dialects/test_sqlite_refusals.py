"""What SQLite sources refuse, by name and with what to do about it, before anything is touched."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from service_disks import without_root
from sqlite_bench import SqliteBench

from blocks.dialects.sqlite.dependents import delete_triggers
from blocks.dialects.sqlite.session import database_path
from blocks.dialects.sqlite.source import SQLite
from blocks.source import Slice
from schemas.errors import ConfigError, SourceError, SourceUnavailable
from schemas.window import Window


def test_a_file_that_is_not_there_is_not_made(shop: SqliteBench) -> None:
    shop.file.unlink()
    assert f"The database file {shop.file} is not there" in shop.refusal().what
    assert not shop.file.exists()
    shop.file.mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        shop.job()


@pytest.mark.parametrize(
    "content", [b"id,placed_at\n1,2024-01-01\n" * 100, os.urandom(8192)], ids=["text", "encrypted"]
)
def test_a_file_that_is_no_database_is_refused(content: bytes, shop: SqliteBench) -> None:
    shop.file.write_bytes(content)
    with pytest.raises(ConfigError, match="file is not a database") as refusal:
        shop.job()
    assert "encrypted" in refusal.value.next_step
    assert shop.file.read_bytes() == content


def test_a_damaged_database_is_named(shop: SqliteBench) -> None:
    shop.fill_orders(2000)
    shop.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(shop.file.read_bytes())
    content[8192:-4096] = os.urandom(len(content) - 8192 - 4096)
    shop.file.write_bytes(content)
    with pytest.raises(SourceError, match="malformed") as failure:
        shop.run()
    assert "integrity_check" in failure.value.next_step


def test_a_database_in_utf16_is_refused(shop: SqliteBench) -> None:
    shop.file.unlink()
    with shop.connected() as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at DATETIME)")
    assert "is encoded in UTF-16le" in shop.refusal().what


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:////tmp/a.db?mode=ro", "sqlite:////tmp/"])
def test_a_url_that_names_no_file_is_refused(url: str, shop: SqliteBench) -> None:
    shop.url = url
    shop.configure()
    with pytest.raises(ConfigError) as refusal:
        shop.job()
    assert "sqlite:////absolute/path.db" in refusal.value.next_step


def test_a_relative_file_is_counted_from_the_project_folder(shop: SqliteBench) -> None:
    shop.fill_orders(3)
    name = "odd name? #%1.db"
    shop.file.rename(shop.folder / name)
    shop.url = f"sqlite:///{quote(name)}"
    shop.configure()
    assert shop.job().key == ("id",)
    assert database_path(f"sqlite:///{quote(str(shop.folder / name))}") == shop.folder / name


def test_links_lead_to_one_database_with_one_lock(shop: SqliteBench, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(shop.file)
    assert database_path(f"sqlite:///{tmp_path}/link.db") == shop.file


def test_a_file_with_two_names_is_refused_under_both(shop: SqliteBench, tmp_path: Path) -> None:
    shop.fill_orders(3)
    table, other = shop.job().table, tmp_path / "other name.db"
    with SQLite(shop.url).locked(table):
        other.hardlink_to(shop.file)
        with (
            pytest.raises(ConfigError, match=r"has 2 names \(hard links\)"),
            SQLite(f"sqlite:///{other}").locked(table),
        ):
            pass
    refusal = shop.refusal()
    assert f"find / -xdev -samefile {shop.file}" in refusal.next_step
    other.unlink()
    assert shop.run().state == "done"


def test_parts_of_a_server_are_refused(shop: SqliteBench) -> None:
    source = {"name": "shop", "type": "sqlite", "connection": {"host": "db", "database": "shop"}}
    shop._write("sources", {"sources": [source]})
    with pytest.raises(ConfigError, match="a SQLite source has no host"):
        shop.job()


@pytest.fixture
def read_only() -> Iterator[SqliteBench]:
    """A project over a file that nobody else may write, in a folder that everybody may read."""
    with TemporaryDirectory() as folder:
        bench = SqliteBench.in_folder(Path(folder), wal=False)
        bench.fill_orders(10)
        for path in (bench.file, bench.file.parent):
            path.chmod(0o555)
        yield bench
        bench.file.parent.chmod(0o755)


def test_a_file_that_may_not_be_written_is_read_but_not_purged(read_only: SqliteBench) -> None:
    with without_root():
        with pytest.raises(ConfigError, match="This user may not write") as refusal:
            read_only.job()
        assert "--no-purge" in refusal.value.next_step
        job = read_only.job(purge=False)
        with SQLite(read_only.url).session() as session:
            assert session.count(job, Slice(Window(start=datetime(2024, 1, 1), end=datetime(2025, 1, 1)))) == 10
        with pytest.raises(ConfigError, match=r"The lock file .* cannot be opened"):
            SQLite(read_only.url).locked(job.table).__enter__()
    assert read_only.count() == 10


TABLES: dict[str, tuple[str, dict[str, Any], str]] = {
    "a view": ("CREATE VIEW t AS SELECT 1 AS id, '2024-01-01' AS placed_at", {}, "t is a view"),
    "a virtual table": ("CREATE VIRTUAL TABLE t USING fts5(id, placed_at)", {}, "t is not a table (it is a virtual"),
    "another case": ('CREATE TABLE "T" (id INTEGER PRIMARY KEY, placed_at DATETIME)', {}, "There is no table t in"),
    "another schema": ("CREATE TABLE t (id)", {"table": "shop.t"}, "There is no schema shop in"),
    "no such column": ("CREATE TABLE t (id INTEGER PRIMARY KEY)", {}, "has no column 'placed_at'"),
    "time as a real": ("CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at REAL)", {}, "placed_at is of type REAL"),
    "no key": ("CREATE TABLE t (id INTEGER, placed_at DATETIME)", {}, "has no primary key"),
    "a key with NULLs": ("CREATE TABLE t (id TEXT PRIMARY KEY, placed_at DATETIME)", {}, "no unique index"),
    "a partial key": (
        "CREATE TABLE t (id TEXT NOT NULL, placed_at DATETIME);"
        "CREATE UNIQUE INDEX i ON t (id) WHERE placed_at > '2024'",
        {"key": ["id"]},
        "no unique index",
    ),
    "a key of an expression": (
        "CREATE TABLE t (id TEXT NOT NULL, placed_at DATETIME); CREATE UNIQUE INDEX i ON t (lower(id))",
        {"key": ["id"]},
        "no unique index",
    ),
    "a cascade": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME);"
        "CREATE TABLE item (id INTEGER PRIMARY KEY, t_id REFERENCES T (id) ON DELETE CASCADE)",
        {},
        "would change rows of another table: the foreign key on main.item (t_id), ON DELETE CASCADE",
    ),
    "a reference": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME);"
        'CREATE TABLE "It\'s" (id INTEGER PRIMARY KEY, one, two, FOREIGN KEY (two) REFERENCES T)',
        {},
        'Rows of another table refer to those of "main"."t": the foreign key on main."It\'s" (two), '
        "ON DELETE NO ACTION",
    ),
    "a reference to itself": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME, parent REFERENCES t (id) ON DELETE RESTRICT)",
        {},
        "the foreign key on main.t (parent), ON DELETE RESTRICT",
    ),
    "a reference to what is no key": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME, name);"
        "CREATE TABLE item (id INTEGER PRIMARY KEY, t_name REFERENCES t (name))",
        {"purge": {"mode": "delete", "references": "check"}},
        'No row of "main"."t" can be deleted: foreign key mismatch',
    ),
    "a limit that it cannot keep": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME)",
        {"purge": {"mode": "delete", "max_active_sessions": 5}},
        "purge.max_active_sessions: SQLite cannot say that",
    ),
}


TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, placed_at DATETIME, parent)"
# Statements, and the names of those triggers that fire when a row of `t` is deleted.
TRIGGERS = {
    "elsewhere": ("CREATE TRIGGER gone AFTER DELETE ON t BEGIN DELETE FROM other WHERE id = old.id; END", "gone"),
    "itself": ("CREATE TRIGGER gone BEFORE DELETE ON t BEGIN DELETE FROM t WHERE parent = old.id; END", "gone"),
    "a log": ("CREATE TRIGGER logs AFTER DELETE ON T BEGIN INSERT INTO other VALUES (old.id); END", "logs"),
    "only some": ("CREATE TRIGGER logs AFTER DELETE ON t WHEN old.id > 9 BEGIN SELECT 1; END", "logs"),
    "odd letters": (
        'CREATE TRIGGER IF NOT EXISTS "on\nupdate" /* of */ AFTER\nDELETE ON [t] BEGIN SELECT RAISE(IGNORE); END',
        "on\nupdate",
    ),
    "others": (
        "CREATE TRIGGER adds AFTER INSERT ON t BEGIN DELETE FROM other; END;"
        'CREATE TRIGGER "delete" AFTER UPDATE ON t BEGIN DELETE FROM other; END;'
        "CREATE TRIGGER far AFTER DELETE ON other BEGIN DELETE FROM t; END",
        "",
    ),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_triggers_on_a_delete_are_refused_by_name_unless_they_are_named(name: str, shop: SqliteBench) -> None:
    statements, fires = TRIGGERS[name]
    for statement in (TABLE, "CREATE TABLE other (id)", *statements.split("END;")):
        shop.sql(statement + "END" * (statement.startswith("CREATE TRIGGER") and not statement.endswith("END")))
    shop.configure(table="t")
    if fires:
        refusal = shop.refusal()
        assert refusal.what.endswith(f"may delete or change other rows: {fires}.")
        assert "archives[orders].purge.triggers" in refusal.next_step
    shop.configure(table="t", purge={"mode": "delete", "triggers": [fires] if fires else []})
    assert shop.job().table.name == "t"
    with SQLite(shop.url).session() as session:  # however often it is asked
        found = [delete_triggers(session.connection, shop.job().table) for _ in range(3)]
    assert found == [[fires] if fires else []] * 3


def test_a_trigger_that_cannot_fire_is_told_before_the_export(shop: SqliteBench) -> None:
    shop.fill_orders(3)
    shop.sql("CREATE TRIGGER gone AFTER DELETE ON orders BEGIN DELETE FROM not_there; END")
    shop.configure(purge={"mode": "delete", "triggers": ["gone"]})
    assert "No row of" in shop.refusal().what
    assert "not_there" in shop.refusal().what


def test_rows_that_others_refer_to_stay_where_the_application_checks_no_foreign_keys(shop: SqliteBench) -> None:
    shop.fill_orders(20)
    shop.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, order_id REFERENCES orders (id))")
    shop.sql("INSERT INTO items VALUES (1, 20)")
    shop.configure(window="year", purge={"mode": "delete", "references": "check"})
    assert "FOREIGN KEY constraint failed" in str(shop.failed_run())
    assert shop.count() == 20
    shop.sql("DELETE FROM items")
    assert shop.run().state == "done"
    assert shop.count() == 0


def test_a_sqlite_that_checks_no_foreign_keys_purges_nothing_that_is_referred_to(shop: SqliteBench) -> None:
    shop.fill_orders(3)
    shop.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, order_id REFERENCES orders (id))")
    shop.configure(purge={"mode": "delete", "references": "check"})
    job = shop.job()
    with SQLite(shop.url).session() as session:
        assert list(session.purge_obstacles(job)) == []
        session.connection.execute("PRAGMA foreign_keys = OFF")
        ((what, _),) = session.purge_obstacles(job)
    assert "checks no foreign keys" in what


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_be_purged_safely_is_refused(name: str, shop: SqliteBench) -> None:
    statements, options, told = TABLES[name]
    for statement in statements.split(";"):
        shop.sql(statement)
    shop.configure(**{"table": "t", "folder": "t", **options})
    with pytest.raises(ConfigError) as refusal:
        shop.run()
    assert told in refusal.value.what, refusal.value.what
    assert refusal.value.next_step
    assert not (shop.folder / "lake").exists()


WRONG = {
    "id > 0) OR (true": "syntax error",
    "true THEN 1 END) OR (CASE WHEN true": "syntax error",
    "id = 1; DROP TABLE orders": "",
    "id = 1 /* never ended": "",
    "count(*) > 1": "misuse of aggregate",
    "nope = 1": "no such column",
    "\"statsu\" = 'closed'": '"statsu" is no column of orders; SQLite would take it for a text',
    '"note" <> "open orders"': '"open orders" is no column',
    "id = ?": "bindings",
    "": "",
}


@pytest.mark.parametrize("where", [where for where in WRONG if where])
def test_a_predicate_that_is_more_or_less_than_one_is_refused(where: str, shop: SqliteBench) -> None:
    shop.fill_orders(3)
    shop.configure(where=where)
    told = shop.refusal()
    assert told.what.startswith("archives[orders].where: ")
    assert WRONG[where] in told.what
    shop.configure(where=None, columns={"derive": {"more": where}})
    assert shop.refusal().what.startswith("columns.derive.more: ")


@pytest.mark.parametrize(
    "where", ['"note" IS NULL', "[note] IS NULL", 'note = \'"x"\' -- "y"', 'id IN (SELECT "id" FROM "orders")']
)
def test_names_in_quotes_are_understood(where: str, shop: SqliteBench) -> None:
    shop.fill_orders(3)
    shop.configure(where=where)
    assert shop.job().archive.where == where


def test_a_session_that_only_reads_cannot_write(shop: SqliteBench) -> None:
    shop.fill_orders(3)
    with pytest.raises(ConfigError, match="readonly"), SQLite(shop.url).session() as session:
        session.connection.execute("DELETE FROM orders")
    assert shop.count() == 3


def test_a_database_that_is_locked_for_long_can_be_tried_again(shop: SqliteBench) -> None:
    shop.fill_orders(3)
    shop.sql("PRAGMA journal_mode = DELETE")
    with shop.connected() as writer, pytest.MonkeyPatch.context() as patch:
        patch.setattr("blocks.dialects.sqlite.session.BUSY_TIMEOUT_S", 0.05)
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceUnavailable, match="database is locked"):
            shop.job()
        writer.execute("COMMIT")
    assert shop.job().key == ("id",)


def test_a_key_is_found_however_it_is_written_or_refused(shop: SqliteBench) -> None:
    shop.sql("CREATE TABLE orders (id DATETIME NOT NULL UNIQUE, placed_at DATETIME)")
    shop.sql("INSERT INTO orders VALUES ('2024-01-01T10:00:00Z', '2024-01-01 00:00:00')")
    shop.configure(key=["id"])
    before = shop.content()
    shop.run()
    with pytest.raises(ConfigError, match=r"The key 'soon' is no value of id \(DATETIME\)"):
        shop.restore(from_=None, keys=("soon",))
    report = shop.restore(from_=None, keys=("2024-01-01 12:00:00+02:00", "2024-01-01T10:00:01Z"))
    assert (report.rows, report.missing_keys) == (1, ("2024-01-01T10:00:01Z",))
    assert shop.content() == before
