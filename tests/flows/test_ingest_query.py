"""The result of a query goes into the raw layer like a table: one moment, attested, by its key, and only ever read."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from ingest_bench import IngestBench
from service_bench import Bench
from service_replica import Replica

from blocks.dialects.sqlserver.source import SqlServerSession
from blocks.ledger import Ledger
from blocks.open_source import source_of
from blocks.run_records import read_run_records
from schemas.errors import Busy, ConfigError, GateFailed, ProofFailed, SourceError, UnsupportedValue
from schemas.ingest_report import TableState
from schemas.project import Project
from schemas.table_name import TableName
from tasks.ingest.extract_table import _Reading
from tasks.ingest.inspect_table import inspect_table

ADA, BOB, EVE = (1, "Ada", "2026-01-01 10:00:00"), (2, "Bob", "2026-01-01 11:00:00"), (3, "Eve", "2026-01-01 12:00:00")
ORDERS = {
    "postgresql": "id int PRIMARY KEY, customer_id int, total numeric(12,2), sold_at timestamptz",
    "mysql": "id int PRIMARY KEY, customer_id int, total decimal(12,2), sold_at datetime(6)",
    "sqlite": "id INTEGER NOT NULL PRIMARY KEY, customer_id INTEGER, total DECIMAL(12,2), sold_at DATETIME",
}
TOTAL = {"postgresql": "sum(o.total)::numeric(14,2)", "mysql": "SUM(o.total)", "sqlite": "sum(o.total)"}


def big_spenders(crm: IngestBench, **more: Any) -> dict[str, Any]:
    query = f"""
SELECT c.id, c.name, {TOTAL[crm.kind]} AS total, max(o.sold_at) AS last_at  -- a comment; and a sign of an end
FROM customers c JOIN orders o ON o.customer_id = c.id
GROUP BY 1, 2
HAVING count(*) > 0 -- at the end
"""
    return {"name": "big_spenders", "query": query, "key": ["id"], **more}


def query(text: str, **more: Any) -> dict[str, Any]:
    return {"name": "q", "query": text, **more}


@pytest.fixture
def shop(crm: IngestBench) -> IngestBench:
    """Customers with orders."""
    crm.bench.sql(f"CREATE TABLE orders ({ORDERS[crm.kind]})")
    crm.put(ADA, BOB)
    for id_, customer, total, at in ((1, 1, "10.25", "01-01"), (2, 1, "5.50", "01-02"), (3, 2, "7.75", "01-03")):
        order(crm, id_, customer, total, f"2026-{at} 10:00:00")
    return crm


def order(crm: IngestBench, id_: int, customer: int, total: str, at: str) -> None:
    crm.bench.sql(f"INSERT INTO orders VALUES ({id_}, {customer}, {total}, '{at}')")


def manifests(crm: IngestBench, dataset: str) -> list[Any]:
    return [generation.manifest for generation in Ledger(crm.bench.lake, dataset).generations()]


# What it reads


def test_a_query_is_read_as_a_whole_and_again_only_when_it_gives_something_else(shop: IngestBench) -> None:
    shop.configure([big_spenders(shop)])
    first = shop.ingest("big_spenders")
    assert (first.state, first.mode, first.read, first.rows) == (TableState.DONE, "full", 2, 2)
    assert first.dataset == "raw/crm/big_spenders"
    assert shop.now("big_spenders", "id, name, total") == [(1, "Ada", Decimal("15.75")), (2, "Bob", Decimal("7.75"))]
    assert shop.ingest("big_spenders").state is TableState.UNCHANGED
    order(shop, 4, 2, "1.00", "2026-01-04 10:00:00")
    assert shop.ingest("big_spenders").rows == 2
    assert shop.now("big_spenders", "id, total") == [(1, Decimal("15.75")), (2, Decimal("8.75"))]
    (manifest, _) = manifests(shop, "raw/crm/big_spenders")
    assert manifest.table == big_spenders(shop)["query"].strip()
    assert (manifest.key, manifest.attestation.rows_in_window) == (("id",), 2)
    shop.assert_sound()


def test_only_rows_of_a_query_that_are_new_are_read_and_stored_once(shop: IngestBench) -> None:
    text = "SELECT o.id, o.total, c.name, o.sold_at AS changed FROM orders o JOIN customers c ON c.id = o.customer_id"
    shop.configure(
        [query(text, key=["id"])], mode="incremental", key_column="changed", overlap="25 hours", batch_size=1
    )
    first = shop.ingest("q")
    assert (first.rows, first.since, str(first.watermark)[:19]) == (3, None, "2026-01-03T10:00:00")
    order(shop, 4, 1, "1.25", "2026-01-02 09:30:00")  # committed late, and within the overlap
    order(shop, 5, 2, "2.25", "2026-01-05 10:00:00")
    order(shop, 6, 2, "9.25", "2025-12-01 10:00:00")  # too late
    shop.bench.sql("UPDATE orders SET total = 8.75, sold_at = '2026-01-06 10:00:00' WHERE id = 1")
    planned = shop.ingest("q", dry_run=True)
    assert (planned.state, planned.mode, planned.read) == (TableState.PLANNED, "incremental", 5)
    second = shop.ingest("q")
    assert (second.mode, second.read, second.rows) == ("incremental", 5, 3)
    assert [str(total) for _, total in shop.now("q", "id, total")] == ["8.75", "5.50", "7.75", "1.25", "2.25"]
    assert shop.ingest("q").state is TableState.UNCHANGED
    shop.assert_sound()


def test_a_changed_query_is_read_from_the_beginning_and_takes_the_place_of_the_other_ones_rows(
    shop: IngestBench,
) -> None:
    options = {"mode": "incremental", "key_column": "id", "overlap": 0}
    shop.configure([query("SELECT id, total FROM orders WHERE total > 6")], **options)
    assert shop.ingest("q").rows == 2
    shop.configure([query("SELECT id, total FROM orders WHERE total < 8")], **options)
    assert shop.ingest("q", dry_run=True).mode == "full"
    report = shop.ingest("q")
    assert (report.mode, report.since, report.read, report.rows) == ("full", None, 2, 2)
    assert shop.now("q", "id") == [(2,), (3,)]
    assert shop.history("q", "id") == [(1,), (2,), (3,), (3,)]
    again = shop.ingest("q")
    assert (again.mode, again.since, again.state) == ("incremental", "3", TableState.UNCHANGED)
    # Another text that gives the same rows is noted all the same: the next run goes on from the watermark.
    shop.configure([query("SELECT id, total FROM orders WHERE total < 8 -- cheap ones")], **options)
    assert (shop.ingest("q").mode, shop.ingest("q").mode) == ("full", "incremental")
    shop.configure([{"table": "orders", "name": "q", "columns": {"exclude": ["customer_id", "sold_at"]}}], **options)
    assert (shop.ingest("q").mode, len(shop.now("q", "id"))) == ("full", 3)
    shop.assert_sound()


def test_values_of_a_query_are_kept_exactly(crm: IngestBench) -> None:
    crm.bench.sql(f"CREATE TABLE orders ({ORDERS[crm.kind]})")
    crm.bench.sql("INSERT INTO orders VALUES (1, NULL, 1234567890.12, '2026-03-29 02:30:00.123456')")
    crm.bench.sql("INSERT INTO orders VALUES (2, 7, -0.01, NULL)")
    backslash = "\\\\" if crm.kind == "mysql" else "\\"
    crm.put((1, f"  Zoë 🦀 ''q'' {backslash} % ; ", None))
    crm.configure(
        [
            query(
                "WITH o AS (SELECT * FROM orders) SELECT o.id, o.customer_id, o.total, o.sold_at, c.name, "
                "'it''s; 100% (' AS note, NULL AS blank, o.total * 2 AS twice FROM o LEFT JOIN customers c "
                "ON c.id = o.id /* ; ) */;",
                key=["id"],
            )
        ]
    )
    assert crm.ingest("q").rows == 2
    at = datetime(2026, 3, 29, 2, 30, 0, 123456)
    first, second = crm.now("q", "id, customer_id, total, epoch_us(sold_at), name, note, blank, twice::DECIMAL(14,2)")
    name = "  Zoë 🦀 'q' \\ % ; "
    assert first == (
        1, None, Decimal("1234567890.12"), int(at.replace(tzinfo=UTC).timestamp() * 10**6 + 0.5), name,
        "it's; 100% (", None, Decimal("2469135780.24"),
    )  # fmt: skip
    assert second == (2, 7, Decimal("-0.01"), None, None, "it's; 100% (", None, Decimal("-0.02"))
    crm.assert_sound()


def test_what_is_computed_by_chance_is_attested_as_it_was_read(crm: IngestBench) -> None:
    crm.put(ADA, BOB, EVE)
    chance = {"postgresql": "random()", "mysql": "RAND()", "sqlite": "random() % 1000000"}[crm.kind]
    text = f"SELECT id, {chance} AS r, 2 * ({chance}) AS r2 FROM customers WHERE id > 1"
    crm.configure([query(text, key=["id"], extract={"mode": "incremental", "key_column": "id", "overlap": 0})])
    assert (crm.ingest("q").rows, crm.ingest("q").rows) == (2, 1)
    crm.assert_sound()


def test_a_query_that_gives_other_rows_each_time_is_an_error_that_says_so(
    crm: IngestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.put(ADA, BOB)
    crm.configure([query("SELECT id FROM customers")])
    monkeypatch.setattr(_Reading, "read", lambda self: iter(()))
    with pytest.raises(ProofFailed, match=r"the query crm\.q: 0 rows were read where the source counts 2") as failed:
        crm.ingest("q")
    assert "gives other rows each time it runs" in failed.value.next_step


def test_a_query_without_rows_is_a_table_without_rows(crm: IngestBench) -> None:
    crm.configure([query("SELECT id, name FROM customers WHERE id < 0", key=["id"])])
    assert (crm.ingest("q").state, crm.ingest("q").state) == (TableState.DONE, TableState.UNCHANGED)
    assert crm.now("q") == []


def test_a_query_may_have_what_a_table_may_have(shop: IngestBench) -> None:
    entry = big_spenders(
        shop,
        where="name <> 'Bob'",
        columns={"exclude": ["last_at"], "derive": {"twice": "id * 2"}},
        gate="own_gate:OnlyBob",
        on_gate_failure="quarantine",
    )
    (shop.bench.folder / "own_gate.py").write_text(
        "import pandera.polars as pa\n\nclass OnlyBob(pa.DataFrameModel):\n    name: str = pa.Field(isin=['Bob'])\n"
    )
    shop.configure([entry])
    report = shop.ingest("big_spenders")
    assert (report.read, report.rows, report.quarantined) == (1, 0, 1)
    shop.configure([{**entry, "on_gate_failure": "refuse"}])
    with pytest.raises(GateFailed, match=r"sources\[crm\]\.tables\[big_spenders\]: 1 rows failed"):
        shop.ingest("big_spenders")
    shop.configure([{key: value for key, value in entry.items() if "gate" not in key}])
    shop.ingest("big_spenders")
    assert shop.now("big_spenders", "id, name, twice") == [(1, "Ada", 2)]


def test_columns_of_a_query_that_come_and_go_make_a_new_version_of_the_schema(shop: IngestBench) -> None:
    shop.configure([query("SELECT * FROM orders", key=["id"])])
    assert shop.ingest("q").schema_version == 1
    shop.bench.sql("ALTER TABLE orders ADD COLUMN note varchar(20)")
    shop.bench.sql("ALTER TABLE orders DROP COLUMN total")
    report = shop.ingest("q")
    assert (report.schema_version, [change.split(" (")[0] for change in report.drift]) == (2, ["note", "total"])
    shop.configure([query("SELECT id, note FROM orders", key=["id"])], on_drift="refuse")
    with pytest.raises(ConfigError, match=r"the query crm\.q have changed .*: customer_id \(.*\) is gone.*; sold_at"):
        shop.ingest("q")
    shop.assert_sound()


# What is refused


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (query("SELECT id, id FROM customers"), r"\.query: .*\bid\b"),
        (query("SELECT c.*, d.name FROM customers c JOIN customers d ON d.id = c.id"), r"\.query: .*\bname\b"),
        (query("SELECT id FROM customrs"), r"\.query: .*customrs"),
        (query("SELECT id FROM customers WHERE"), r"\.query: .*(syntax|incomplete)"),
        (query("SELECT id FROM customers; DELETE FROM customers"), r"\.query: "),
        (query("SELECT id FROM customers; SELECT 1"), r"\.query: "),
        (query("SELECT id FROM customers) AS a, (SELECT 1 AS b"), r"\.query: "),
        (query("WITH a AS (SELECT 1) DELETE FROM customers"), r"\.query: "),
        (query("SELECT id INTO copied FROM customers"), r"\.query: "),
        (query("SELECT id FROM customers FOR UPDATE"), r"\.query: "),
        (query("SELECT id FROM customers WHERE id = ?"), r"\.query: "),
        (query("SELECT id FROM customers", key=["idd"]), r"\.key: the query crm\.q has no column 'idd'"),
        (
            query("SELECT id FROM customers", extract={"mode": "incremental", "key_column": "at"}),
            r"\.extract\.key_column: the query crm\.q has no column 'at'",
        ),
        (
            query("SELECT id, name FROM customers", extract={"mode": "incremental", "key_column": "name"}),
            r"\.extract\.key_column: name is of type",
        ),
        (query("SELECT id FROM customers", where="nme = 'x'"), r"\.where: .*nme"),
        (query("SELECT id AS _run_id FROM customers"), "adds to every row: _run_id"),
    ],
    ids=lambda value: str(value.get("query"))[:40] if isinstance(value, dict) else "",
)
def test_what_is_no_query_or_does_not_fit_is_refused_by_name_before_anything_runs(
    crm: IngestBench, entry: dict[str, Any], told: str
) -> None:
    crm.put(ADA)
    crm.configure([entry])
    with pytest.raises(ConfigError) as refused:
        crm.ingest("q")
    assert refused.match(r"(?s)" + told)
    assert "sources[crm].tables[q]" in str(refused.value)
    assert refused.value.state == "Nothing was read or written."
    assert not (crm.bench.folder / "lake").exists()
    crm.configure()
    assert crm.ingest().rows == 1


def test_a_query_that_writes_through_a_function_is_refused(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    crm.put(ADA)
    bench.sql(
        "CREATE FUNCTION empty_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM customers; RETURN 1; END $$"
    )
    crm.configure([query("SELECT id, empty_it() AS gone FROM customers")])
    with pytest.raises(SourceError, match=r"sources\[crm\]\.tables\[q\]\.query: .*read-only transaction") as refused:
        crm.ingest("q")
    assert (refused.value.state, "Correct the query" in refused.value.next_step) == (
        "Nothing was read or written.",
        True,
    )
    crm.configure()
    assert crm.ingest().rows == 1


def test_what_a_query_fails_on_in_some_row_is_told_with_its_key_and_nothing_is_stored(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    crm.put(*((n, f"name {n}", None) for n in range(1, 400)))
    # In the order in which they lie there: sorting would compute all rows for the first look at a few of them.
    crm.configure([query("SELECT id, 1 / (id - 390) AS part FROM customers")])
    with pytest.raises(SourceError, match=r"sources\[crm\]\.tables\[q\]\.query: .*division by zero") as failed:
        crm.ingest("q")
    assert "Nothing of this table was committed" in failed.value.state
    assert [path for path in bench.records() if path.startswith("raw/")] == []
    assert "division by zero" in (read_run_records(bench.lake)[-1].error or "")


def test_columns_without_a_name_are_refused_by_the_key(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    for text, told in (
        ("SELECT id, 1 + 1 FROM customers", "columns without a name .number 2."),
        ("SELECT FROM customers", "gives no columns"),
    ):
        crm.configure([query(text)])
        with pytest.raises(ConfigError, match=rf"sources\[crm\]\.tables\[q\]\.query: .*{told}"):
            crm.ingest("q")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT customer_id, total FROM orders", r"customer_id does not tell .* example 1 \(2 rows\)"),
        ("SELECT NULL AS customer_id, total FROM orders WHERE id = 1", r"is NULL, for example NULL \(1 rows\)"),
    ],
)
def test_a_key_that_does_not_tell_the_rows_of_a_query_apart_is_an_error_and_nothing_is_stored(
    shop: IngestBench, text: str, told: str
) -> None:
    shop.configure([query(text, key=["customer_id"])])
    with pytest.raises(SourceError, match=rf"sources\[crm\]\.tables\[q\]\.key: .*{told}") as refused:
        shop.ingest("q")
    assert "Nothing of this table was committed" in refused.value.state
    assert [path for path in shop.bench.records() if path.startswith("raw/")] == []
    assert "does not tell" in (read_run_records(shop.bench.lake)[-1].error or "")
    shop.configure([query(text)])
    assert shop.ingest("q").state is TableState.DONE
    shop.assert_sound()


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_value_that_cannot_be_kept_is_named_by_column_and_key(shop: IngestBench, mode: str) -> None:
    column, value, told = {
        "postgresql": ("total", "'NaN'", "NaN"),
        "mysql": ("sold_at", "'0000-00-00 00:00:00'", "0000-00-00"),
        "sqlite": ("total", "'much'", "the text 'much'"),
    }[shop.kind]
    shop.configure([query("SELECT * FROM orders", key=["id"])], mode=mode, key_column="id")
    shop.ingest("q")
    shop.bench.sql(f"UPDATE orders SET {column} = {value} WHERE id = 2")
    with pytest.raises(UnsupportedValue, match=f"Column {column} .* holds {told}.*'id': .*2"):
        shop.ingest("q")
    assert (len(manifests(shop, "raw/crm/q")), len(shop.now("q", "id"))) == (1, 3)
    shop.configure(
        [query("SELECT * FROM orders", key=["id"], columns={"as_text": [column]})], mode=mode, key_column="id"
    )
    shop.ingest("q")
    assert [id_ for id_, text in shop.now("q", f"id, {column}") if value.strip("'") in text] == [2]
    shop.assert_sound()


def test_one_run_at_a_time_reads_a_query_and_nobody_else_waits_for_it(shop: IngestBench) -> None:
    shop.configure([big_spenders(shop), "orders"])
    source = shop.bench.project.source("crm")
    job = inspect_table(shop.bench.project, source, source.tables[0])
    with source_of(job).locked(job.table), pytest.raises(Busy, match=r"the query crm\.big_spenders"):
        shop.ingest("big_spenders")
    with source_of(job).locked(job.table):
        assert shop.ingest("orders").rows == 3
    assert shop.ingest("big_spenders").rows == 2


# What only one kind of database has


def test_types_of_postgresql_come_through_a_query_as_from_a_table(bench: Bench) -> None:
    crm = IngestBench("postgresql", bench)
    bench.sql("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    bench.sql("CREATE DOMAIN price AS numeric(9,3)")
    bench.sql(
        "CREATE TABLE odd (id int PRIMARY KEY, m mood, p price, j jsonb, a int[], b bytea, u uuid, f real, t time)"
    )
    bench.sql(
        "INSERT INTO odd VALUES (1, 'glad', 1.005, '{\"a\": 1.10}', '{1,NULL}', '\\x00ff', "
        "'00000000-0000-0000-0000-000000000001', 'NaN', '24:00')"
    )
    crm.configure(["odd", query("SELECT * FROM odd"), {"name": "more", "query": _MORE, "key": ["Id 1"]}])
    crm.ingest("odd")
    crm.ingest("q")
    columns = "m, p, j, a, b, u, f::VARCHAR, t::VARCHAR"
    assert crm.now("q", columns) == crm.now("odd", columns)
    assert crm.now("q", "p, j, f::VARCHAR, t::VARCHAR") == [(Decimal("1.005"), '{"a": 1.10}', "nan", "24:00:00")]
    crm.ingest("more")
    assert crm.now("more", '"Id 1", tail, latest, arr, sums') == [(1, "x;)", "1.10", "{1}", "0.5")]
    crm.assert_sound()


_MORE = """
-- what a reader of queries may stumble on
(SELECT DISTINCT ON (o.id) o.id AS "Id 1", $q$x;)$q$ AS tail, o.j ->> 'a' AS latest, ARRAY[1] AS arr,
  sum(0.5) FILTER (WHERE true) OVER (PARTITION BY o.m ORDER BY o.id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS sums
FROM odd o CROSS JOIN LATERAL unnest(o.a) WITH ORDINALITY AS x(v, n)
WHERE o.a @> ARRAY[1] IS NOT NULL ORDER BY o.id, n LIMIT 10) -- the end"""


def test_a_query_is_read_from_a_replica(bench: Bench, standby: Replica) -> None:
    crm = IngestBench("postgresql", bench)
    crm.put(ADA, BOB)
    standby.catch_up()
    replica = standby.url(str(psycopg.conninfo.conninfo_to_dict(bench.url)["dbname"]))
    source = {"name": "crm", "type": "postgresql", "connection": {"url": bench.url}, "replica": {"url": replica}}
    (bench.config_dir / "sources.yaml").write_text(
        yaml.safe_dump({"sources": [{**source, "tables": [query("SELECT id, name FROM customers", key=["id"])]}]})
    )
    assert crm.ingest("q").rows == 2
    (manifest,) = manifests(crm, "raw/crm/q")
    assert f":{psycopg.conninfo.conninfo_to_dict(replica)['port']}/" in manifest.attestation.snapshot.cluster
    crm.assert_sound()


def test_texts_of_any_character_set_and_padded_numbers_come_through_a_query(
    request: pytest.FixtureRequest,
) -> None:
    crm = IngestBench("mysql", request.getfixturevalue("mysql_bench"))
    crm.bench.sql(
        "CREATE TABLE odd (id int(6) zerofill PRIMARY KEY, a varchar(10) CHARACTER SET latin1, "
        "b text CHARACTER SET sjis, d decimal(12,2) zerofill, e enum('x','ä') CHARACTER SET latin1, "
        "y year, bi bit(5), f float, ti timestamp(3) NULL, tt time, u bigint unsigned)"
    )
    crm.bench.sql(
        "INSERT INTO odd VALUES (42, 'äö', 'ア', 1.5, 'ä', 2024, b'101', 1.1, '2026-01-01 00:00:00.120', "
        "'-100:00:00', 18446744073709551615)"
    )
    crm.configure(["odd", query("SELECT * FROM odd"), {"name": "more", "query": "SELECT *, RAND() AS r FROM odd"}])
    for name in ("odd", "q", "more"):
        assert crm.ingest(name).rows == 1
    columns = "id, a, b, d, e, y, bi, f, ti::VARCHAR, tt, u"
    assert crm.now("q", columns) == crm.now("odd", columns)
    assert crm.now("q", "a, b, d, e") == [("äö", "ア", Decimal("1.50"), "ä")]
    crm.assert_sound()


@pytest.mark.parametrize("crm", ["sqlite"], indirect=True)  # whose results have no types
def test_what_a_query_computes_in_sqlite_is_stored_as_what_its_first_rows_are(shop: IngestBench) -> None:
    shop.configure([query("SELECT id, total, id * 2 AS i, id * 0.5 AS r, name, 'x' || id AS t FROM customers "
                          "JOIN (SELECT customer_id, total FROM orders) ON customer_id = customers.id")])  # fmt: skip
    shop.ingest("q")
    types = {name: kind for name, kind, *_ in shop._ask('DESCRIBE "raw/crm".q')}
    assert [types[name] for name in ("id", "total", "i", "r", "name", "t")] == [
        "BIGINT", "DECIMAL(12,2)", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR",
    ]  # fmt: skip
    shop.assert_sound()


# The configuration


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"name": "q"}, "tables[q].query: must be given where there is no table"),
        ({"name": "q", "table": "t", "query": "SELECT 1"}, "tables[q].query: must be left out where there is a table"),
        ({"query": "SELECT 1 AS a"}, "tables[0].name: must be given with a query"),
        ({"name": "q", "query": "DELETE FROM t"}, "tables[q].query: must be one SELECT"),
        ({"name": "q", "query": "(ANALYZE) SELECT 1"}, "tables[q].query: must be one SELECT"),
        ({"name": "q", "query": " "}, "tables[q].query: must"),
        ({"name": "q", "table": "t", "key": ["id"]}, "tables[q].key: must be left out with a table"),
        ({"name": "q", "query": "SELECT 1", "key": ["a", "a"]}, "tables[q].key: must name each column once"),
        (
            {"name": "q", "query": "SELECT 1", "key": ["a"], "columns": {"exclude": ["a"]}},
            "tables[q].key: must be kept, and columns.exclude has a",
        ),
    ],
)
def test_an_entry_is_a_table_or_a_query(tmp_path: Path, entry: dict[str, Any], told: str) -> None:
    assert f"sources.yaml: sources[crm].{told}" in refusal(tmp_path, "postgresql", entry)


def test_queries_of_sql_server_are_refused_by_its_type(tmp_path: Path) -> None:
    told = refusal(tmp_path, "sqlserver", query("SELECT 1 AS a"))
    assert "sources.yaml: sources[crm].tables: must be tables: a source of type sqlserver reads no query (q)" in told
    with pytest.raises(ConfigError, match=r"here\.query: queries are not supported for sources of type sqlserver"):
        SqlServerSession(None).describe_query(TableName("crm", "q"), "SELECT 1", "here.query")  # type: ignore[arg-type]


def refusal(folder: Path, kind: str, entry: dict[str, Any]) -> str:
    (folder / "config").mkdir()
    source = {"name": "crm", "type": kind, "connection": {"host": "h", "database": "d"}, "tables": [entry]}
    (folder / "config" / "sources.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    with pytest.raises(ConfigError) as caught:
        Project.load(folder / "config")
    return caught.value.what
