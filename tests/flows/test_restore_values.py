"""Every value that PostgreSQL can hold goes back as it was: types that hurt, hostile text, columns of every sort."""

from typing import Any

import pytest
from pg_literals import NASTY_TEXT
from service_bench import Bench

from schemas.errors import ConfigError, ProofFailed
from schemas.restore import RestoreReport, RestoreRequest
from tasks.restore import restore_rows

VALUES: list[tuple[str, list[str]]] = [
    ("smallint", ["-32768"]),
    ("real", ["NaN", "-NaN", "-0", "Infinity", "1.4e-45", "0.1"]),
    ("double precision", ["NaN", "-NaN", "-0", "-Infinity", "5e-324", "0.1", "1.7976931348623157e308"]),
    ("numeric(12,4)", ["0.1000", "-99999999.9999"]),
    ("numeric(3,3)", ["-0.100"]),
    ("numeric(38,10)", ["9999999999999999999999999999.9999999999"]),
    ("numeric", ["NaN", "Infinity", "1.10", "1e-100", "1e300"]),
    ("money", ["-1234.56"]),
    ("boolean", ["t", "f"]),
    ("text", [*NASTY_TEXT, "a\n\\.\nb", "\\.\n", "\r", '"\n"', ",\n,"]),
    ("varchar(20)", ["", " ' ", "\\N"]),
    ("char(5)", ["", "a", " a"]),
    ('"char"', ["", "x"]),
    ("name", ["a name"]),
    ("bytea", ["", r"\x", r"\x00ff2c220a5c2e"]),
    ("date", ["infinity", "-infinity", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "99999-12-31"]),
    ("time", ["24:00:00", "00:00:00.000001"]),
    ("timetz", ["24:00:00+15:59", "12:00:00.5-03"]),
    ("timestamp", ["infinity", "-infinity", "0044-03-15 12:00:00.000001 BC", "200000-01-01"]),
    ("timestamptz", ["infinity", "-infinity", "0044-03-15 12:00:00 BC", "2024-03-31 02:30:00.123456+02"]),
    ("interval", ["1 year -2 mons 3 days -04:05:06.789", "-1 day"]),
    ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("json", ['{"b" : 1.10, "a":  [ ] }', "null"]),
    ("jsonb", ['{"b": 1.10, "a": "\\"\\\\"}', "null"]),
    ("int[]", ["{}", "{NULL,-1}", "[0:1]={1,2}", "{{1},{2}}"]),
    ("text[]", ["{}", '{"",NULL,"NULL","a,b","{}","\\"\\\\",é}']),
    ("int4range", ["empty", "[1,5)", "(,)"]),
    ("inet", ["::1/64", "10.0.0.1"]),
    ("bit(3)", ["101"]),
    ("varbit", ["", "1"]),
    ("tsvector", ["'a':1A 'b,c':2"]),
    ("oid", ["4294967295"]),
    ("regclass", ["pg_class"]),
    ("mood", ['it\'s, "so"\n']),
    ("pair", ['(1,"a ""b"", c\n")', "(,)", '(,"")']),
    ("upper_text", ["A,B"]),
]
TYPES = """
CREATE TYPE mood AS ENUM (E'it''s, "so"\\n', '');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN upper_text AS text NOT NULL DEFAULT '' CHECK (VALUE = upper(VALUE));
"""


def restore(bench: Bench, **options: Any) -> RestoreReport:
    project = bench.project
    return restore_rows(project, project.archives[0], RestoreRequest.of(from_="2000-01-01", **options))


def there_and_back(bench: Bench) -> RestoreReport:
    """Archive and purge the table `orders`, restore it, and compare every value with the original's."""
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    bench.run()
    assert bench.count() == 0
    report = restore(bench)
    one, two = ("SELECT t::text FROM orders AS t", "SELECT t::text FROM original AS t")
    assert bench.sql(f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})") == []
    assert bench.count() == bench.count("original")
    return report


@pytest.mark.parametrize("as_text", [False, True])
def test_values_of_every_type_go_back_as_they_were(bench: Bench, as_text: bool) -> None:
    bench.sql(TYPES)
    if as_text:
        bench.configure(columns={"as_text": [f"v {i}" for i in range(len(VALUES))]})
    columns = ", ".join(f'"v {i}" {name}' for i, (name, _) in enumerate(VALUES))
    bench.sql(f"CREATE TABLE orders (id int PRIMARY KEY, placed_at date DEFAULT '2024-01-01', {columns})")
    bench.sql("INSERT INTO orders (id) VALUES (0)")
    id_ = 0
    for i, (name, literals) in enumerate(VALUES):
        for literal in literals:
            id_ += 1
            bench.sql(f'INSERT INTO orders (id, "v {i}") VALUES ($1, $2::text::{name})', id_, literal)
    report = there_and_back(bench)
    assert (report.rows, report.not_proven) == (id_ + 1, ())


def test_sign_of_zero_survives_and_every_nan_is_nan(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id float8 PRIMARY KEY, placed_at date, f real)")
    bench.sql("INSERT INTO orders VALUES ('-0', '2024-01-01', '-NaN'), ('-NaN', '2024-01-01', '-0')")
    there_and_back(bench)
    bits = "SELECT encode(float8send(id), 'hex'), encode(float4send(f), 'hex') FROM orders ORDER BY id"
    assert bench.sql(bits) == [("8000000000000000", "7fc00000"), ("7ff8000000000000", "80000000")]


def test_rows_of_nothing_but_null_and_empty_text_survive(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date, a text, b text)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-01', NULL, ''), (2, '2024-01-01', '', NULL)")
    there_and_back(bench)
    assert bench.sql("SELECT id, a, b FROM orders ORDER BY id") == [(1, None, ""), (2, "", None)]


def test_hostile_names_of_columns_and_table_do_no_harm(bench: Bench) -> None:
    names = [
        "digest",
        "c0",
        "v0",
        "t",
        "s",
        "k0",
        "number",
        "generation",
        "rows",
        "picked",
        "tidegate file",
        'a"b',
        "x;--",
    ]
    columns = ", ".join('"' + name.replace('"', '""') + '" text' for name in ["Größe", *names])
    bench.sql(
        f"""CREATE TABLE "or""ders;" ("file" int, "key" text, placed_at date, {columns}, PRIMARY KEY ("file", "key"))"""
    )
    bench.sql(
        f"""INSERT INTO "or""ders;" SELECT g, 'k' || g, '2024-01-01'{", 'v' || g" * 14} FROM generate_series(1, 9) g"""
    )
    bench.sql('CREATE VIEW orders AS SELECT * FROM "or""ders;"')
    bench.configure(table='public."or""ders;"', folder="odd")
    there_and_back(bench)
    bench.sql("DELETE FROM orders")
    project = bench.project
    report = restore_rows(project, project.archives[0], RestoreRequest.of(keys=["4,k4"]))
    assert (report.rows, bench.sql("SELECT file, key FROM orders")) == (1, [(4, "k4")])


def test_identity_and_generated_columns_keep_their_values(bench: Bench) -> None:
    identity = "id bigint GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY"
    generated = "twice int GENERATED ALWAYS AS (amount * 2) STORED"
    bench.sql(f"CREATE TABLE orders ({identity}, placed_at date, amount int, {generated})")
    bench.sql("INSERT INTO orders (placed_at, amount) SELECT '2024-01-01', g FROM generate_series(1, 9) g")
    assert there_and_back(bench).not_proven == ()
    bench.sql("INSERT INTO orders (placed_at) VALUES ('2024-01-02')")
    assert bench.sql("SELECT max(id) FROM orders") == [(19,)]


def test_generated_column_is_written_where_it_is_a_plain_one(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date, twice int GENERATED ALWAYS AS (id * 2) STORED)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-01'), (2, '2024-01-01')")
    bench.run()
    bench.sql("CREATE TABLE plain (LIKE orders)")
    bench.sql("CREATE TABLE narrow AS SELECT id, placed_at FROM orders")
    assert restore(bench, into="plain").not_proven == ()
    assert bench.sql("SELECT id, twice FROM plain ORDER BY 1") == [(1, 2), (2, 4)]
    assert restore(bench, into="narrow").not_proven == ("twice",)


def test_generated_column_that_computes_another_value_now_fails_the_proof(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date, twice int GENERATED ALWAYS AS (id * 2) STORED)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-01')")
    bench.run()
    bench.sql("CREATE TABLE thrice (id int, placed_at date, twice int GENERATED ALWAYS AS (id * 3) STORED)")
    with pytest.raises(ProofFailed, match="generated column"):
        restore(bench, into="thrice")
    assert bench.count("thrice") == 0


def test_derived_and_excluded_columns_are_named_as_not_restored(bench: Bench) -> None:
    bench.fill_orders(20)
    bench.configure(
        columns={"exclude": ["note"], "derive": {"double": "amount * 2"}},
        purge={"mode": "delete", "discard_columns": ["note"]},
    )
    bench.sql("ALTER TABLE orders ALTER note SET DEFAULT 'lost'")
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    bench.run()
    report = restore(bench)
    assert (report.rows, report.not_proven, report.defaulted) == (20, ("double",), ("note",))
    assert bench.sql("SELECT DISTINCT note FROM orders") == [("lost",)]
    assert bench.sql("SELECT id, payload FROM orders EXCEPT SELECT id, payload FROM original") == []


def test_generations_with_other_columns_come_back_together(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.sql("UPDATE orders SET shop = 'old'")
    bench.configure(to="2024-01-20")
    bench.run()
    bench.sql("ALTER TABLE orders ADD COLUMN tax int NOT NULL DEFAULT 7")
    bench.sql("ALTER TABLE orders DROP COLUMN note")
    bench.sql("UPDATE orders SET tax = 8")
    bench.configure(to="2025-01-01")
    bench.run("again")
    assert bench.count() == 0
    with pytest.raises(ConfigError, match=r"generation 1, does not fit .* note \(text\) is not there"):
        restore(bench)
    bench.sql("ALTER TABLE orders ADD COLUMN note text")
    report = restore(bench)
    assert (report.rows, report.defaulted) == (100, ("tax", "note"))
    assert bench.sql("SELECT DISTINCT placed_at < '2024-01-20Z', tax FROM orders ORDER BY 1") == [(False, 8), (True, 7)]


def test_older_version_with_another_type_of_key_is_superseded_all_the_same(bench: Bench) -> None:
    bench.sql("CREATE TABLE orders (id int PRIMARY KEY, placed_at date, note text)")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-01', 'old'), (2, '2024-01-01', 'old')")
    bench.run()
    bench.sql("ALTER TABLE orders ALTER id TYPE bigint")
    bench.sql("INSERT INTO orders VALUES (1, '2024-01-01', 'new')")
    bench.run("again")
    assert restore(bench, into=None, keys=["1"]).superseded == 1
    assert bench.sql("SELECT id, note FROM orders") == [(1, "new")]


def test_partitioned_table_takes_its_rows_back(bench: Bench) -> None:
    bench.sql(
        "CREATE TABLE orders (id int, placed_at date, PRIMARY KEY (id, placed_at)) PARTITION BY RANGE (placed_at)"
    )
    for month in (1, 2):
        bounds = f"FROM ('2024-0{month}-01') TO ('2024-0{month + 1}-01')"
        bench.sql(f"CREATE TABLE orders_{month} PARTITION OF orders FOR VALUES {bounds}")
    bench.sql("INSERT INTO orders SELECT g, '2024-01-01'::date + g FROM generate_series(1, 50) g")
    there_and_back(bench)
    bench.sql("TRUNCATE orders; DROP TABLE orders_1")
    with pytest.raises(Exception, match="no partition") as error:
        restore(bench)
    assert "Nothing was changed" in str(error.value)
    assert bench.count() == 0
