"""Tables that are upserted in PostgreSQL: by key, only what is different, and all at once."""

import threading
from typing import Any

import psycopg
import pytest
from publish_bench import PublishBench

from schemas.errors import ConfigError, ProofFailed, SourceUnavailable
from schemas.publish_report import PublishState

TOP: dict[str, Any] = {"dataset": "consume/bi/top", "mode": "upsert", "key": ["id"]}


def numbers(rows: int, plus: int = 0, first: int = 0) -> str:
    return f"SELECT i::INTEGER AS id, 'n' || (i + {plus}) AS name FROM range({first}, {first + rows}) t(i)"


@pytest.fixture
def upserting(publishing: PublishBench) -> PublishBench:
    """A project that upserts, and has published three rows."""
    publishing.configure(TOP)
    publishing.put(numbers(3))
    assert publishing.one().action == "create"
    return publishing


def test_rows_are_added_changed_left_alone_and_never_taken_away(upserting: PublishBench) -> None:
    table = upserting.tables()["consume.top"][0]
    upserting.put("SELECT * FROM (VALUES (0, 'n0'), (1, 'other'), (7, 'new'), (8, 'new')) t(id, name)")
    versions = "SELECT id, xmin::text FROM consume.top WHERE id = 0"
    before = upserting.sql(versions)
    report = upserting.one()
    assert (report.action, report.rows, report.inserted, report.updated, report.equal) == ("upsert", 4, 2, 1, 1)
    assert upserting.sql("SELECT * FROM consume.top ORDER BY id") == [
        (0, "n0"), (1, "other"), (2, "n2"), (7, "new"), (8, "new")
    ]  # fmt: skip
    assert upserting.sql(versions) == before, "a row that is equal is not written"
    assert upserting.tables()["consume.top"][0] == table, "it is the same table"
    assert upserting.one().state is PublishState.UNCHANGED
    report = upserting.one(full=True)
    assert (report.state, report.equal) == (PublishState.UNCHANGED, 4)


def test_what_differs_only_in_how_it_is_written_is_updated(publishing: PublishBench) -> None:
    values = "SELECT 1::INTEGER AS id, {}::DOUBLE AS zero, {} AS gone, {}::TIME AS at"
    publishing.configure(TOP)
    publishing.put(values.format("0.0", "''", "'10:00'"))
    publishing.one()
    publishing.put(values.format("'-0.0'", "''", "'10:00'"))
    assert publishing.one().updated == 1
    publishing.put(values.format("'-0.0'", "NULL", "'10:00'"))
    assert publishing.one().updated == 1
    assert publishing.sql("SELECT zero::text, gone FROM consume.top") == [("-0", None)]
    publishing.put(values.format("'nan'", "NULL", "'10:00'"))
    assert publishing.one().updated == 1
    publishing.put(values.format("'nan'", "NULL", "'10:00'"))
    assert publishing.one().equal == 1


def test_the_key_of_the_lake_is_taken_without_another(publishing: PublishBench) -> None:
    publishing.configure("consume/*", mode="upsert")
    publishing.put(numbers(3), mode="merge", key=("id",))
    publishing.one()
    publishing.put(numbers(2, plus=5, first=2), mode="merge", key=("id",))
    report = publishing.one()
    assert (report.rows, report.inserted, report.updated, report.equal) == (4, 1, 1, 2)


def test_upsert_without_any_key_is_refused(publishing: PublishBench) -> None:
    publishing.configure("consume/*", mode="upsert")
    publishing.put(numbers(3))
    assert "mode: upsert needs a key" in publishing.refusal().what


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT * FROM (VALUES (1, 'a'), (1, 'b')) t(id, name)", "is the same in several rows of the lake, for"),
        ("SELECT * FROM (VALUES (1, 'a'), (NULL, 'b')) t(id, name)", "is NULL in several rows"),
    ],
)  # fmt: skip
def test_a_key_that_tells_no_rows_apart_is_refused(upserting: PublishBench, query: str, told: str) -> None:
    upserting.put(query)
    error = upserting.refusal()
    assert isinstance(error, ConfigError) and told in error.what


def test_new_columns_are_added_and_others_must_agree(upserting: PublishBench) -> None:
    upserting.put("SELECT 1::INTEGER AS id, 'one' AS name, 1.5::DECIMAL(6,2) AS amount")
    report = upserting.one()
    assert report.note == "new columns: amount"
    assert upserting.sql("SELECT id, amount::text FROM consume.top ORDER BY 1") == [(0, None), (1, "1.50"), (2, None)]
    upserting.put("SELECT 1::BIGINT AS id, 'one' AS name, 1.5::DECIMAL(6,2) AS amount")
    assert "its column id is integer, and bigint in the lake" in upserting.refusal(dry_run=True).what
    upserting.put(numbers(3))
    assert "its column amount is not in the lake" in upserting.refusal().what


def test_a_table_without_a_unique_index_on_the_key_is_refused_by_name(publishing: PublishBench) -> None:
    publishing.sql("CREATE SCHEMA consume")
    publishing.sql("CREATE TABLE consume.top (id int, name text, PRIMARY KEY (id, name))")
    publishing.configure(TOP)
    publishing.put(numbers(3))
    assert "it has no unique index on the key: CREATE UNIQUE INDEX ON" in publishing.refusal().what
    publishing.sql("CREATE UNIQUE INDEX partial ON consume.top (id) WHERE id > 0")
    publishing.refusal()
    publishing.sql("CREATE UNIQUE INDEX ON consume.top (id)")
    assert publishing.one().inserted == 3


def test_a_table_of_somebody_else_is_upserted_with_the_rights_it_takes(publishing: PublishBench) -> None:
    publishing.sql("CREATE SCHEMA consume")
    publishing.sql("CREATE TABLE consume.top (id int PRIMARY KEY, name text)")
    publishing.sql("INSERT INTO consume.top VALUES (99, 'mine')")
    publishing.sql("COMMENT ON TABLE consume.top IS 'not yours'")
    role = "u" + publishing.url.rsplit("_", 1)[1]
    publishing.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'")
    try:
        login = publishing.url.split("://")[1].split("@")[0]
        publishing.configure(TOP, connection={"url": publishing.url.replace(login, f"{role}:pw")})
        publishing.put(numbers(3))
        publishing.sql(f"GRANT USAGE ON SCHEMA consume TO {role}")
        assert f"{role} may not SELECT (GRANT SELECT ON consume.top TO {role})" in publishing.refusal().what
        publishing.sql(f"GRANT SELECT, INSERT, UPDATE ON consume.top TO {role}")
        assert publishing.one().inserted == 3
        assert publishing.one().equal == 3, "without the right to leave a mark, it is looked at again"
        assert publishing.sql("SELECT obj_description('consume.top'::regclass, 'pg_class')") == [("not yours",)]
    finally:
        publishing.sql(f"DROP OWNED BY {role}")
        publishing.sql(f"DROP ROLE {role}")


def test_a_trigger_that_changes_rows_is_noticed(upserting: PublishBench) -> None:
    upserting.sql("CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
                  "$$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$")  # fmt: skip
    upserting.sql("CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON consume.top FOR EACH ROW EXECUTE FUNCTION shout()")
    upserting.put(numbers(4, plus=9))
    error = upserting.refusal()
    assert (
        isinstance(error, ProofFailed) and "Of 4 rows that consume.top was given, it holds 0 as they are" in error.what
    )


def test_readers_see_all_changes_at_once(upserting: PublishBench) -> None:
    seen: set[Any] = set()
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(upserting.url, autocommit=True) as connection:
            while not stop.wait(0.002):
                seen.update(connection.execute("SELECT count(*), min(length(name)) FROM consume.top").fetchall())

    thread = threading.Thread(target=read)
    thread.start()
    upserting.put(numbers(4000, plus=10_000))
    upserting.one()
    stop.wait(0.1)
    stop.set()
    thread.join(20)
    assert seen == {(3, 2), (4000, 6)}


def test_rows_that_others_hold_are_waited_for_and_then_left(
    upserting: PublishBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blocks.warehouse.upsert._LOCK_TIMEOUT_S", 1)
    upserting.put(numbers(3, plus=1))
    with psycopg.connect(upserting.url) as other:
        other.execute("UPDATE consume.top SET name = 'x' WHERE id = 1")
        assert isinstance(upserting.refusal(), SourceUnavailable)
        other.rollback()
    assert upserting.one().updated == 3
