"""What is wrong with a MariaDB source is told before anything is touched, with what to do about it, and no secret."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mysql_bench import MySQLBench
from service_mariadb import new_database

from blocks.dialects.mysql.source import MySQL
from schemas.errors import Busy, ConfigError, SourceUnavailable, TidegateError
from tidegate.demo.mariadb import MariaDB

CHILD = "CREATE TABLE items (id int PRIMARY KEY, o bigint, FOREIGN KEY (o) REFERENCES orders (id)"


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ("ALTER TABLE orders ENGINE = MyISAM", "of the engine MyISAM, which has neither snapshots nor transactions"),
        ("ALTER TABLE orders ADD SYSTEM VERSIONING", "is system-versioned"),
        ("ALTER TABLE orders DROP PRIMARY KEY", "has no primary key"),
        (f"{CHILD} ON DELETE CASCADE)", "Deleting from .* would change rows of another table: .*ON DELETE CASCADE"),
        (f"{CHILD} ON DELETE SET NULL)", "Deleting from .* would change rows of another table: .*ON DELETE SET NULL"),
        (f"{CHILD})", "Rows of another table refer to those of .* on .*items"),
        ("CREATE TRIGGER sweep AFTER DELETE ON orders FOR EACH ROW DELETE FROM other WHERE id = OLD.id",
         "Triggers of .* fire when its rows are deleted, and may delete or change other rows: sweep"),
        ("CREATE TRIGGER diary AFTER DELETE ON orders FOR EACH ROW INSERT INTO other VALUES (OLD.id)",
         "Triggers of .* fire when its rows are deleted, and may delete or change other rows: diary"),
    ],
)  # fmt: skip
def test_a_table_whose_rows_cannot_leave_safely_is_refused(setup: str, told: str, mysql_bench: MySQLBench) -> None:
    mysql_bench.fill_orders(5)
    mysql_bench.sql("CREATE TABLE other (id bigint)")
    mysql_bench.sql(setup)
    refusal = mysql_bench.refusal()
    assert re.search(told, refusal.what), refusal.what
    assert mysql_bench.job(purge=False).table.name == "orders"  # without a purge, nothing is wrong with it


def test_triggers_on_a_delete_fire_only_when_each_of_them_is_named(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(5)
    bench.sql("CREATE TABLE diary (id bigint)")
    bench.sql("CREATE TRIGGER diary AFTER DELETE ON orders FOR EACH ROW INSERT INTO diary VALUES (OLD.id)")
    bench.sql("CREATE TRIGGER sweep BEFORE DELETE ON orders FOR EACH ROW DELETE FROM diary WHERE id = OLD.id - 1")
    bench.sql("CREATE TRIGGER other BEFORE INSERT ON orders FOR EACH ROW DELETE FROM diary")
    bench.configure(purge={"mode": "delete", "triggers": ["diary"]})
    refusal = bench.refusal()
    assert refusal.what.endswith("other rows: sweep.")
    assert "archives[orders].purge.triggers" in refusal.next_step
    bench.configure(purge={"mode": "delete", "triggers": ["diary", "sweep"]})
    assert bench.run().state == "done"
    assert (bench.count(), bench.sql("SELECT id FROM diary")) == (0, [(5,)])


def test_rows_that_others_refer_to_may_be_checked_by_the_database(mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(5)
    bench.sql(f"{CHILD})")
    bench.configure(purge={"mode": "delete", "references": "check"})
    assert bench.run().state == "done"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"table": "ordres"}, "There is no table .*ordres on this server.*orders"),
        ({"table": "Orders"}, "There is no table"),
        ({"table": "shown"}, "is not a table \\(VIEW\\)"),
        ({"purge": {"mode": "delete", "max_replica_lag_s": 1}}, "max_replica_lag_s: MySQL cannot say that"),
        ({"purge": {"mode": "drop_partition"}}, "windows by partition are for PostgreSQL"),
        ({"children": [{"table": "items"}]}, "families of tables are for PostgreSQL"),
        ({"columns": {"as_text": ["nothing"]}}, "columns.as_text: .* has no column 'nothing'"),
        ({"columns": {"as_text": ["picture"]}}, "picture is of type blob, which has no text"),
        ({"columns": {"as_text": ["placed_at"]}}, "must not name under as_text what is the time_column"),
        ({"columns": {"derive": {"x": "id) OR (1"}}}, "columns.derive.x: it closes a bracket"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_refused(
    changes: dict[str, Any], told: str, mysql_bench: MySQLBench
) -> None:
    bench = mysql_bench
    bench.fill_orders(2)
    bench.sql("ALTER TABLE orders ADD COLUMN picture blob")
    bench.sql(f"{CHILD})") if "children" in changes else None
    bench.sql("CREATE VIEW shown AS SELECT * FROM orders")
    if "drop_partition" in str(changes):
        bench.archive = {"window": "partition"}
    bench.configure(**changes)
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        bench.run()
    assert bench.count() == 2


def user(mariadb: MariaDB, bench: MySQLBench, *grants: str) -> MySQLBench:
    """Return the bench as a user with these rights has it."""
    database = bench.url.rsplit("/", 1)[1]
    name = f"u{database[-8:]}"
    mariadb.sql(f"CREATE USER {name}@'%' IDENTIFIED BY 'only this'")
    for grant in grants:
        mariadb.sql(f"GRANT {grant.replace('DB', database)} TO {name}@'%'")
    bench.url = mariadb.url(database, name, "only this")
    bench.configure()
    return bench


@pytest.mark.parametrize(
    ("grants", "told"),
    [
        (("INSERT ON DB.orders",), "The source's user may not read"),
        (("SELECT (id) ON DB.orders",), "has no column 'placed_at'"),
        (("SELECT ON *.*",), "The source's user may not delete from"),
        (("SELECT, DELETE ON DB.orders", "PROCESS ON *.*"), "The source's user sees only some tables of the database"),
        (("SELECT, DELETE ON DB.*",), "The source's user sees only some tables of the server"),
        (("SELECT, DELETE ON DB.orders", "REFERENCES ON *.*"), "The source's user may not see the triggers of"),
        (("SELECT, DELETE, TRIGGER ON DB.other", "SELECT, DELETE ON *.*"), "may not see the triggers of"),
    ],
)
def test_a_user_without_the_rights_is_told_what_to_grant(
    grants: tuple[str, ...], told: str, mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    mysql_bench.fill_orders(5)
    mysql_bench.sql("CREATE TABLE other (id bigint)")
    bench = user(mariadb, mysql_bench, *grants)
    with pytest.raises(ConfigError, match=told) as refusal:
        bench.run()
    assert "GRANT" in refusal.value.next_step or "columns" in refusal.value.next_step


def test_the_least_rights_are_enough_and_show_triggers_and_the_foreign_keys_of_all_tables(
    mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    mysql_bench.fill_orders(5)
    mysql_bench.sql("CREATE TRIGGER sweep AFTER DELETE ON orders FOR EACH ROW SET @swept = OLD.id")
    bench = user(mariadb, mysql_bench, "SELECT, DELETE, TRIGGER ON DB.orders", "REFERENCES ON *.*")
    database = bench.url.rsplit("/", 1)[1]
    with new_database(mariadb) as other:
        mariadb.sql(f"{CHILD.replace('orders', f'{database}.orders')} ON DELETE CASCADE)", database=other)
        with pytest.raises(ConfigError, match=f"items_ibfk_1 on {other}.items .*ON DELETE CASCADE"):
            bench.run()
    assert "may delete or change other rows: sweep" in bench.refusal().what
    bench.configure(purge={"mode": "delete", "triggers": ["sweep"]})
    assert bench.run().state == "done"
    assert bench.count() == 0


@pytest.mark.parametrize("way", ["role", "role of a role", "public"])
def test_rights_by_a_role_count_if_the_session_has_taken_it_on(
    way: str, mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    mysql_bench.fill_orders(5)
    bench = user(mariadb, mysql_bench, "SELECT, DELETE ON DB.orders", "REFERENCES ON *.*")
    database = bench.url.rsplit("/", 1)[1]
    name, role, outer = f"u{database[-8:]}", f"r{database[-8:]}", f"o{database[-8:]}"
    for each in (role, outer):
        mariadb.sql(f"CREATE ROLE {each}")
    mariadb.sql(f"GRANT TRIGGER ON {database}.orders TO {'PUBLIC' if way == 'public' else role}")
    mariadb.sql(f"GRANT {role} TO {outer}")
    mariadb.sql(f"GRANT {role} TO {name}@'%'")
    mariadb.sql(f"GRANT {outer} TO {name}@'%'")
    if way != "public":
        assert "may not see the triggers" in bench.refusal().what
        mariadb.sql(f"SET DEFAULT ROLE {role if way == 'role' else outer} FOR {name}@'%'")
    assert bench.run().state == "done"


def test_rights_on_one_database_are_enough_for_who_has_looked_at_what_refers_to_it(
    mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    mysql_bench.fill_orders(5)
    bench = user(mariadb, mysql_bench, "SELECT, DELETE, TRIGGER ON DB.*")
    bench.configure(purge={"mode": "delete", "references": "check"})
    mariadb.sql("SET GLOBAL sql_quote_show_create = 0")  # grants are shown without quotes
    try:
        assert bench.run().state == "done"
    finally:
        mariadb.sql("SET GLOBAL sql_quote_show_create = 1")


def test_a_replica_given_as_primary_is_refused(mariadb: MariaDB, mysql_bench: MySQLBench) -> None:
    mysql_bench.fill_orders(5)
    mariadb.sql("SET GLOBAL read_only = 1")
    try:
        assert "The source is read-only (read_only = 1)" in mysql_bench.refusal().what
    finally:
        mariadb.sql("SET GLOBAL read_only = 0")


@pytest.fixture(scope="module")
def plain_server() -> Iterator[MariaDB]:
    """A server without a binary log, for which capitals and small letters in names are the same."""
    with MariaDB(settings={"lower-case-table-names": "1"}) as server:
        yield server


def test_a_server_without_a_binary_log_is_purged_only_if_told_so(plain_server: MariaDB, tmp_path: Path) -> None:
    with new_database(plain_server) as database:
        bench = MySQLBench(plain_server.url(database), tmp_path / "project")
        bench.fill_orders(5)
        refusal = bench.refusal()
        assert "The server writes no binary log (log_bin = 0)" in refusal.what
        assert "purge.without_binary_log: true" in refusal.next_step
        bench.configure(purge={"mode": "delete", "without_binary_log": True})
        assert bench.run().state == "done"
        assert bench.count() == 0


def test_a_database_named_in_other_letters_has_the_same_lock_triggers_and_foreign_keys(
    plain_server: MariaDB, tmp_path: Path
) -> None:
    with new_database(plain_server) as database:
        bench = MySQLBench(plain_server.url(database.upper()), tmp_path / "project")
        bench.fill_orders(5)
        bench.configure(purge={"mode": "delete", "without_binary_log": True})
        table = bench.job().table
        assert table.schema_name == database.upper()
        same = table.model_copy(update={"schema_name": database})
        with MySQL(bench.url).locked(table), pytest.raises(Busy):
            MySQL(plain_server.url(database)).locked(same).__enter__()
        bench.sql("CREATE TRIGGER sweep AFTER DELETE ON orders FOR EACH ROW SET @swept = OLD.id")
        assert "other rows: sweep" in bench.refusal().what
        bench.sql("DROP TRIGGER sweep")
        bench.sql(f"{CHILD} ON DELETE CASCADE)")
        assert "ON DELETE CASCADE" in bench.refusal().what


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ("mysql://tidegate:geheim-4711@127.0.0.1:PORT/DB", ConfigError, "Access denied for user"),
        ("mysql://nobody:geheim-4711@127.0.0.1:PORT/DB", ConfigError, "Access denied for user"),
        ("mysql://tidegate:PASSWORD@127.0.0.1:PORT/nowhere", ConfigError, "Unknown database 'nowhere'"),
        ("mysql://tidegate:geheim-4711@127.0.0.1:1/DB", SourceUnavailable, "Connection refused"),
        ("mysql://tidegate:PASSWORD@127.0.0.1:PORT/DB?sslmode=require", ConfigError, "SSL"),
        ("mysql://tidegate:geheim-4711@127.0.0.1:PORT/", ConfigError, "it names no database"),
        ("mysql://tidegate:geheim-4711@127.0.0.1:PORT/DB?sslmode=perhaps", ConfigError, "sslmode must be one of"),
        ("mysql://tidegate:geheim-4711@127.0.0.1:PORT/DB?charset=x", ConfigError, "unknown parameter 'charset'"),
        ("mysql://tidegate:geheim@4711@127.0.0.1:PORT/DB", ConfigError, "an @ stands where none is allowed"),
        ("mysql://tidegate:geheim-4711@127.0.0.1:port/DB", ConfigError, "its port cannot be read"),
    ],
)
def test_a_source_that_cannot_be_opened_is_told_without_the_password(
    url: str, kind: type[TidegateError], told: str, mariadb: MariaDB, mysql_bench: MySQLBench
) -> None:
    password = mysql_bench.url.split("@")[0].split(":")[-1]
    mysql_bench.fill_orders(1)
    database = mysql_bench.url.rsplit("/", 1)[1]
    mysql_bench.url = url.replace("PORT", str(mariadb.port)).replace("DB", database).replace("PASSWORD", password)
    mysql_bench.configure()
    with pytest.raises(kind, match=told) as failure:
        mysql_bench.run()
    for secret in ("geheim", "4711", password, mariadb.password):
        assert secret not in str(failure.value).replace("127.0.0.1", "")
    assert failure.value.next_step


def test_a_connection_by_its_parts(mariadb: MariaDB, mysql_bench: MySQLBench) -> None:
    bench = mysql_bench
    bench.fill_orders(3)
    parts = {"host": "127.0.0.1", "port": mariadb.port, "database": bench.url.rsplit("/", 1)[1], "user": mariadb.user}
    source = {
        "name": "shop",
        "type": "mysql",
        "connection": {**parts, "password": mariadb.password, "sslmode": "prefer"},
    }
    bench._write("sources", {"sources": [source]})
    assert [one.rows for one in bench.export()] == [3]
