"""HTTP APIs go into the raw layer: what is new, once, exactly as it was said, and never half."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from service_http import Asked, HttpServer, as_json, packed, raw
from starlette.responses import Response

from blocks.http_api import patience
from blocks.http_api.record_file import RecordFile
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.open_lake import open_lake
from blocks.run_records import read_run_records
from blocks.table_log import TableLog
from schemas.errors import (
    Busy,
    ConfigError,
    DriftRefused,
    GateFailed,
    ProofFailed,
    SourceError,
    SourceUnavailable,
    TidegateError,
)
from schemas.ingest_report import TableReport, TableState
from schemas.project import Project
from tasks.audit import audit
from tasks.ingest import api_rows
from tasks.ingest.ingest_table import ingest_table
from tasks.views import open_views


@dataclass
class ApiBench:
    """A project with one API as its source."""

    server: HttpServer
    folder: Path
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config_dir = self.folder / "config"
        self.config_dir.mkdir(parents=True)
        (self.config_dir / "settings.yaml").write_text("lake: ./lake\n")
        self.configure()

    def configure(self, *tables: dict[str, Any], **source: Any) -> None:
        """Write sources.yaml; without tables, there is one: `orders`."""
        entries = [{"name": "orders", "path": "/orders", **table} for table in tables or ({},)]
        entry = {"name": "shop", "type": "api", "url": self.server.url, "retries": 1, **source, "tables": entries}
        (self.config_dir / "sources.yaml").write_text(yaml.safe_dump({"sources": [entry]}, sort_keys=False))

    def ingest(self, table: str = "orders", **options: Any) -> TableReport:
        return ingest_table(self.config_dir, "shop", table, "run", **options)

    def refused(self, kind: type[TidegateError], table: str = "orders") -> str:
        """Return what an ingestion that fails says, having seen that nothing of it is visible."""
        before = self.paths()
        with pytest.raises(kind) as refusal:
            self.ingest(table)
        assert type(refusal.value) is kind
        assert refusal.value.state
        assert refusal.value.next_step
        new = [path for path in self.paths() - before if "/runs/" not in path]
        assert new == []
        return str(refusal.value)

    @property
    def lake(self) -> Lake:
        settings = Project.load(self.config_dir).settings
        Path(settings.lake).mkdir(exist_ok=True)
        return open_lake(settings.lake)

    def paths(self) -> set[str]:
        return {entry.path for entry in self.lake.list("raw")} | {e.path for e in self.lake.list("_tidegate")}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with open_views(self.lake, Project.load(self.config_dir).settings) as connection:
            return connection.execute(query).fetchall()

    def now(self, columns: str = "id", table: str = "orders") -> list[tuple[Any, ...]]:
        return self.ask(f'SELECT {columns} FROM "raw/shop".{table} ORDER BY ALL')

    def history(self, columns: str = "id", table: str = "orders") -> list[tuple[Any, ...]]:
        return self.ask(f'SELECT {columns} FROM "raw/shop".{table}__history ORDER BY ALL')

    def assert_sound(self) -> None:
        report = audit(self.config_dir)
        assert (report.findings, [one.orphans for one in report.datasets]) == ((), [()] * len(report.datasets))


@pytest.fixture
def api(http_server: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiBench]:
    monkeypatch.setattr(patience, "BASE_S", 0.01)
    yield ApiBench(http_server, tmp_path / "project")


def paged(records: list[dict[str, Any]], size: int) -> Callable[[Asked], Response]:
    """Return what answers with pages by `page`, counted from 1."""

    def answer(asked: Asked) -> Response:
        first = (int(asked.query.get("page", "1")) - 1) * size
        return as_json({"data": {"items": records[first : first + size]}})

    return answer


def test_a_resource_is_stored_as_a_whole_and_again_only_when_it_has_changed(api: ApiBench) -> None:
    api.server.on("/orders", [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Bob"}])
    first = api.ingest()
    assert (first.state, first.mode, first.read, first.rows) == (TableState.DONE, "full", 2, 2)
    api.server.on("/orders", [{"name": "Bob", "id": 2}, {"id": 1, "name": "Ada"}])
    again = api.ingest()
    assert (again.state, again.read, again.rows) == (TableState.UNCHANGED, 2, 0)
    api.server.on("/orders", [{"id": 2, "name": "Bob"}, {"id": 3, "name": "Eve"}])
    assert api.ingest().rows == 2
    assert api.now("id, name") == [(2, "Bob"), (3, "Eve")]
    assert api.history() == [(1,), (2,), (2,), (3,)]
    api.assert_sound()


def test_a_resource_that_has_become_empty_is_empty_for_readers(api: ApiBench) -> None:
    api.server.on("/orders", [])
    assert api.ingest().state is TableState.UNCHANGED
    api.server.on("/orders", [{"id": 1}])
    api.ingest()
    api.server.on("/orders", [])
    assert (api.ingest().state, api.now(), api.history()) == (TableState.DONE, [], [(1,)])
    assert api.ingest().state is TableState.UNCHANGED
    api.server.on("/orders", [{"id": 1}])
    api.ingest()
    assert api.now() == [(1,)]
    api.assert_sound()


def test_values_are_stored_as_they_were_said(api: ApiBench) -> None:
    record = (
        '{"id": 9007199254740993, "big": 123456789012345678901234567890, "price": 1.10, "exact": 0.1234567890123456789,'
        ' "huge": 1e400, "ok": true, "none": null, "text": "1.10",'
        ' "nested": {"a": 1.10, "b": [1, 0.12345678901234567890]},'
        ' "odd name": "\\u00e9\\u0000\\n", "mixed": 1}'
    )
    api.server.on("/orders", raw(f'[{record}, {{"id": -1, "mixed": "x", "text": "é"}}]'))
    api.ingest()
    columns = 'id, big, price, exact, huge, ok, "none", text, nested, "odd name", mixed'
    (nothing, row) = api.now(columns)
    assert nothing == (-1, None, None, None, None, None, None, "é", None, None, "x")
    assert [str(value) for value in row[:5]] == [
        "9007199254740993", "123456789012345678901234567890", "1.1", "0.1234567890123456789", "1e400",
    ]  # fmt: skip
    assert row[5:] == (True, None, "1.10", '{"a":1.10,"b":[1,0.12345678901234567890]}', "é\0\n", "1")
    types = dict(api.ask('SELECT column_name, column_type FROM (DESCRIBE "raw/shop".orders)'))
    assert (types["id"], types["price"], types["big"], types["ok"]) == ("BIGINT", "DOUBLE", "DECIMAL(30,0)", "BOOLEAN")
    api.assert_sound()


def test_types_and_select_shape_what_is_stored(api: ApiBench) -> None:
    api.configure(
        {
            "types": {"placed_at": "TIMESTAMPTZ", "price": "DECIMAL(12,2)", "later": "DATE"},
            "select": "id, placed_at, price, upper(name) AS name, lines->>'$[0].sku' AS sku, later",
        }
    )
    api.server.on(
        "/orders",
        [{"id": 1, "placed_at": "2026-01-01T10:00:00+02:00", "price": 1.1, "name": "a", "lines": [{"sku": "X"}]}],
    )
    api.ingest()
    assert api.now("id, placed_at::VARCHAR, price::VARCHAR, name, sku, later") == [
        (1, "2026-01-01 08:00:00+00", "1.10", "A", "X", None)
    ]
    api.assert_sound()


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("1.555", "DECIMAL(10,2)"), ('"1.7"', "bigint"), ('"2024-01-01T10:00:00"', "DATE"),
        ('"2024-01-01T10:00:00.1234567"', "TIMESTAMP"), ("1.23e1", "INT"),
    ],
)  # fmt: skip
def test_a_value_that_a_given_type_would_change_is_refused(api: ApiBench, value: str, type_: str) -> None:
    api.configure({"types": {"v": type_}})
    api.server.on("/orders", raw(f'[{{"v": null}}, {{"v": {value}}}]'))
    said = api.refused(SourceError)
    assert "record 2 has" in said and "would not be the same as one" in said


def test_a_key_that_an_object_has_twice_is_no_value_lost(api: ApiBench) -> None:
    api.server.on("/orders", raw('[{"a": 1}, {"b": {"a": 1, "a": 2}}]'))
    assert "an object has the key 'a' twice" in api.refused(SourceError)


def test_a_whole_select_may_make_many_rows_of_a_record(api: ApiBench) -> None:
    table = {
        "key": ["id", "line"],
        "select": "SELECT id, UNNEST(lines::JSON::VARCHAR[]) AS line FROM input",
        "extract": {"mode": "incremental", "key_column": "id", "param": "since"},
    }
    api.configure(table)
    api.server.on("/orders", [{"id": 1, "lines": ["a", "b"]}, {"id": 2, "lines": ["c"]}])
    assert api.ingest().rows == 3
    api.server.on("/orders", [{"id": 1, "lines": ["a", "d"]}, {"id": 2, "lines": ["c"]}])
    assert api.ingest().rows == 1
    assert api.now("id, line") == [(1, "a"), (1, "b"), (1, "d"), (2, "c")]
    api.assert_sound()


def test_of_records_with_the_same_key_the_last_one_counts(api: ApiBench) -> None:
    api.server.on("/orders", [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 1, "v": "c"}])
    for number, select in enumerate((None, "*", "* REPLACE (v AS v)", "id, v")):
        api.configure({"name": f"t{number}", "key": ["id"]} | ({"select": select} if select else {}))
        report = api.ingest(f"t{number}")
        assert (report.read, report.rows, api.now("*", f"t{number}")[0][:2]) == (3, 2, (1, "c"))
    api.assert_sound()


def test_pages_are_read_to_the_last_and_every_row_says_where_it_came_from(api: ApiBench) -> None:
    api.configure({"records": "data.items", "pagination": {"type": "page", "size_param": "size", "size": 2}})
    api.server.on("/orders", paged([{"id": n} for n in range(5)], 2))
    assert api.ingest().read == 5
    assert [one.query for one in api.server.to("/orders")] == [{"page": str(n), "size": "2"} for n in (1, 2, 3, 4)]
    columns = "_source, _source_file, _run_id, _schema_version, _ingested_at > now() - INTERVAL 1 hour"
    assert set(api.now(columns)) == {("shop", None, "run", 1, True)}
    (path,) = (path for path in api.paths() if path.endswith(".parquet"))
    assert path.startswith("raw/shop/orders/year=20")


def test_an_answer_that_has_not_changed_is_not_sent_again(api: ApiBench) -> None:
    def answer(asked: Asked) -> Response:
        if asked.headers.get("if-none-match") == '"v1"':
            return Response(status_code=304)
        return as_json([{"id": 1}], etag='"v1"')

    api.server.on("/orders", answer)
    api.ingest()
    again = api.ingest()
    assert (again.state, again.read) == (TableState.UNCHANGED, 0)
    # Asked for as a whole, or for something else, it is read again: what is known says nothing of that.
    assert (api.ingest(full=True).state, api.ingest(full=True).read) == (TableState.UNCHANGED, 1)
    api.configure({"select": "id + 1 AS id"})
    assert (api.ingest().rows, api.now()) == (1, [(2,)])
    assert ["if-none-match" in one.headers for one in api.server.to("/orders")] == [False, True, False, False, False]


def test_a_condition_is_never_put_on_one_page_of_many(api: ApiBench) -> None:
    api.configure({"pagination": {"type": "link"}})
    second = as_json([{"id": 2}], etag='"p2"')
    api.server.on("/more", second)
    api.server.on("/orders", as_json([{"id": 1}], etag='"p1"', link='</more>; rel="next"'))
    assert (api.ingest().rows, api.ingest().read) == (2, 2)
    assert not [one for one in api.server.asked if "if-none-match" in one.headers]


INCREMENTAL = {"extract": {"mode": "incremental", "key_column": "changed", "param": "since"}, "key": ["id"]}


def test_only_what_is_new_is_asked_for_and_stored_once(api: ApiBench) -> None:
    api.configure(INCREMENTAL)
    ada, bob = (
        {"id": 1, "n": 1, "changed": "2026-01-01T09:30:00Z"},
        {"id": 2, "n": 1.5, "changed": "2026-01-01T10:00:00+02:00"},
    )
    api.server.on("/orders", [ada, bob])
    first = api.ingest()
    # 10:00+02:00 is earlier than 09:30Z, though not as text.
    assert (first.rows, first.since, first.watermark) == (2, None, "2026-01-01T09:30:00Z")
    newer = {"id": 2, "n": 2, "changed": "2026-01-02T00:00:00Z"}
    api.server.on("/orders", [ada, {"id": 2, "n": 9, "changed": "2026-01-01T12:00:00Z"}, newer])
    second = api.ingest()
    assert (second.since, second.read, second.rows) == ("2026-01-01T09:30:00Z", 3, 1)
    assert api.server.asked[-1].query == {"since": "2026-01-01T09:30:00Z"}
    assert api.now("id, n") == [(1, 1.0), (2, 2.0)]
    assert api.history("id, n") == [(1, 1.0), (2, 1.5), (2, 2.0)]
    assert (api.ingest().state, second.drift) == (TableState.UNCHANGED, ())
    api.assert_sound()


def test_the_watermark_moves_only_with_the_commit(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    api.configure(INCREMENTAL)
    api.server.on("/orders", [{"id": 1, "changed": 9}])
    api.ingest()
    api.server.on("/orders", [{"id": 2, "changed": 10}])

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TableLog, "commit", die)
        api.ingest()
    report = api.ingest()
    assert (report.since, report.watermark, api.now()) == ("9", "10", [(1,), (2,)])
    api.assert_sound()


def test_a_changed_value_is_not_taken_for_the_known_one_when_its_type_changed_too(api: ApiBench) -> None:
    table = {"extract": INCREMENTAL["extract"]}
    api.configure(table)
    api.server.on("/orders", [{"id": 1, "v": 1.5, "changed": 1}])
    api.ingest()
    api.configure({**table, "types": {"v": "BIGINT"}})
    api.server.on("/orders", [{"id": 1, "v": 2, "changed": 1}, {"id": 1, "v": 1, "changed": 1}])
    report = api.ingest()
    assert (report.rows, report.drift) == (2, ("v was DOUBLE and is BIGINT",))
    assert [float(v) for (v,) in api.now("v")] == [1.0, 1.5, 2.0]
    assert api.ingest().state is TableState.UNCHANGED


def test_a_column_that_an_increment_leaves_out_is_no_change_of_the_table(api: ApiBench) -> None:
    api.configure(INCREMENTAL)
    api.server.on("/orders", [{"id": 1, "changed": 1, "note": "x"}])
    api.ingest()
    api.server.on("/orders", [{"id": 2, "changed": 2}])
    assert api.ingest().drift == ()
    assert api.now("id, note") == [(1, "x"), (2, None)]


def test_full_reads_from_the_start_and_what_is_gone_is_gone(api: ApiBench) -> None:
    api.configure({**INCREMENTAL, "extract": {**INCREMENTAL["extract"], "start": 5}})  # type: ignore[dict-item]
    api.server.on("/orders", [{"id": 1, "changed": 6}])
    assert api.ingest().since == "5"
    api.server.on("/orders", [{"id": 2, "changed": 7}])
    report = api.ingest(full=True)
    assert (report.mode, report.since, report.rows, api.now()) == ("full", "5", 1, [(2,)])
    assert api.ingest().since == "7"


def test_another_question_is_asked_from_the_start(api: ApiBench) -> None:
    api.configure(INCREMENTAL)
    api.server.on("/orders", [{"id": 1, "changed": 6}])
    api.ingest()
    api.configure({**INCREMENTAL, "params": {"open": True}})
    report = api.ingest()
    assert (report.since, report.state) == (None, TableState.UNCHANGED)
    assert api.server.asked[-1].query == {"open": "true"}


def test_a_run_that_another_one_was_faster_than_looks_again(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    api.configure(INCREMENTAL)
    api.server.on("/orders", [{"id": 1, "changed": 1}])
    commit = TableLog.commit
    raced: list[bool] = []

    def late(self: TableLog, *arguments: Any) -> Any:
        if not raced:
            raced.append(True)
            api.ingest()
        return commit(self, *arguments)

    monkeypatch.setattr(TableLog, "commit", late)
    assert api.ingest().state is TableState.UNCHANGED
    assert api.history() == [(1,)]
    assert len(Ledger(api.lake, "raw/shop/orders").generations()) == 1


def test_a_run_that_is_always_too_late_says_so(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    api.server.on("/orders", [{"id": 1}])

    def busy(*_: Any) -> None:
        raise Busy("Another run stored something.", state="-", next_step="-")

    monkeypatch.setattr(TableLog, "commit", busy)
    with pytest.raises(Busy):
        api.ingest()
    assert len(api.server.asked) == 3


def test_columns_that_come_go_and_change_are_told_and_refused_where_that_is_wanted(api: ApiBench) -> None:
    api.server.on("/orders", [{"id": 1, "old": 1, "n": 1}])
    api.ingest()
    api.configure({"on_drift": "refuse"})
    api.server.on("/orders", [{"id": 1, "n": "one", "new": True}])
    told = api.refused(DriftRefused)
    assert "new (BOOLEAN) is new; old (BIGINT) is gone; n was BIGINT and is VARCHAR" in told
    assert "sources[shop].tables[orders]" in told
    assert "new (BOOLEAN)" in (read_run_records(api.lake)[-1].error or "")
    api.configure({"on_drift": "warn"})
    report = api.ingest()
    assert (report.schema_version, len(report.drift)) == (2, 3)
    api.assert_sound()


GATE = """
import pandera.polars as pa

class Orders(pa.DataFrameModel):
    id: int = pa.Field(ge=0)
"""


def test_rows_that_fail_the_gate_refuse_or_are_put_aside_with_the_reason(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (api.folder / "api_gate_module.py").write_text(GATE)
    monkeypatch.syspath_prepend(str(api.folder))
    api.server.on("/orders", [{"id": 1}, {"id": -2}, {"id": 3}])
    api.configure({"gate": "api_gate_module:Orders"})
    assert "1 of 3 rows failed the gate api_gate_module:Orders: id: greater" in api.refused(GateFailed)
    api.configure({"gate": "api_gate_module:Orders", "on_gate_failure": "quarantine", "partition_by": ["id"]})
    report = api.ingest()
    assert (report.read, report.rows, report.quarantined) == (3, 2, 1)
    assert api.now() == [(1,), (3,)]
    (generation,) = Ledger(api.lake, "raw/shop/orders").generations()
    assert [file.rows for file in generation.manifest.quarantine] == [1]
    assert [file.path.split("/")[-2] for file in generation.manifest.files] == ["id=1", "id=3"]
    assert api.ingest().state is TableState.UNCHANGED
    api.assert_sound()


def test_a_dry_run_asks_once_and_writes_nothing(api: ApiBench) -> None:
    api.configure({"records": "data.items", "pagination": {"type": "page"}})
    api.server.on("/orders", paged([{"id": n} for n in range(5)], 2))
    planned = api.ingest(dry_run=True)
    assert (planned.state, planned.read) == (TableState.PLANNED, 2)
    assert [(one.method, one.query) for one in api.server.asked] == [("GET", {"page": "1"})]
    assert not (api.folder / "lake").exists()


def test_a_table_that_fails_does_not_keep_another_one_from_being_read(api: ApiBench) -> None:
    api.configure({}, {"name": "users", "path": "/users"})
    api.server.on("/orders", raw("<html><title>Sign in</title></html>", kind="text/html"))
    api.server.on("/users", [{"id": 1}])
    assert "Sign in" in api.refused(SourceError)
    api.ingest("users")
    assert api.now(table="users") == [(1,)]
    assert [record.state for record in read_run_records(api.lake)] == ["failed", "done"]


# Bad answers

WHOLE = '[{"id": 1}, {"id": 2}]'


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (raw("<!doctype html><title>Log in</title>", kind="text/html"), "where JSON was expected; it begins: Log in"),
        (raw("<html>maintenance</html>"), "it begins: maintenance"),
        (raw('{"id": 1,\n "x": }'), "no JSON: Expecting value at line 2, column 7, near"),
        (raw(""), "it is empty"),
        (raw('[{"id": NaN}]'), "NaN is no value of JSON"),
        (raw("[" * 100_000), "it is nested too deeply"),
        (raw(b'[{"id": "\xff"}]'), "text that is not utf-8 at byte 9"),
        (as_json([1, 2]), "record 1 in the answer is the number 1, and no object"),
        (as_json([{"id": 1}, [2]]), "record 2 in the answer is a list of 1, and no object"),
        (as_json("later"), "the answer is the text 'later', and no list of records"),
        (as_json([{"id": 1}, {"id": 2, "ID": 3}]), "record 2 has 'id' and 'ID', which are one name"),
        (raw('[{"id": "\\ud800"}]'), "record 1 holds half of a character"),
        (as_json([{"": 1}]), "record 1 has a column without a name"),
        (as_json([{"id": 1}], status=202), "was refused with 202"),
        (as_json({"error": "no such order"}, status=404), "refused with 404: {\"error\": \"no such order\"}"),
        (packed(WHOLE.encode(), times=2), "UnknownEncoding: gzip, gzip"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_what_was_expected_is_told_by_place(api: ApiBench, answer: Response, told: str) -> None:
    api.server.on("/orders", answer)
    text = api.refused(SourceError)
    assert told in text
    assert f"GET {api.server.url}/orders" in text
    assert len(api.server.asked) == 1


def test_an_answer_in_another_encoding_or_packed_is_read_as_what_it_says_it_is(api: ApiBench) -> None:
    for number, answer in enumerate([
        raw('[{"name": "Zoë"}]'.encode("latin-1"), kind="application/json; charset=iso-8859-1"),
        raw("\ufeff" + '[{"name": "Zoë"}]'),
        raw('[{"name": "Zoë"}]'.encode("utf-16")),
        packed('[{"name": "Zoë"}]'.encode()),
    ]):  # fmt: skip
        api.configure({"name": f"t{number}"})
        api.server.on("/orders", answer)
        api.ingest(f"t{number}")
        assert api.now("name", f"t{number}") == [("Zoë",)]


def test_an_answer_beyond_the_limit_is_refused_also_if_it_only_becomes_so(api: ApiBench) -> None:
    api.configure(max_answer_mb=1)
    api.server.on("/orders", packed(b"[" + b" " * 50_000_000 + b"]"), raw(b"[" + b" " * 2_000_000 + b"]"))
    for _ in range(2):
        assert "more than 1 MB (max_answer_mb)" in api.refused(SourceError)


def test_a_connection_that_is_dropped_is_tried_again_and_then_told(api: ApiBench) -> None:
    api.configure(retries=2)
    api.server.cut("/orders", times=2, then=[{"id": 1}])
    assert api.ingest().rows == 1
    api.server.cut("/orders", times=3, then=[{"id": 2}])
    told = api.refused(SourceUnavailable)
    assert "RemoteProtocolError" in told
    assert "(3 attempts)" in told
    assert api.now() == [(1,)]


def test_a_packed_answer_that_ends_early_is_no_answer(api: ApiBench) -> None:
    body = bytes(packed(WHOLE.encode() * 1000).body)
    api.server.on("/orders", raw(body[: len(body) // 2], content_encoding="gzip"))
    assert "the answer was cut off: it ends in the middle of its compressed data" in api.refused(SourceUnavailable)


def test_records_that_are_lost_on_the_way_are_an_error_and_not_a_gap(
    api: ApiBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = RecordFile.finish

    def lose_one(self: RecordFile) -> None:
        finish(self)
        self._path.write_text("\n".join(self._path.read_text().splitlines()[:-1]) + "\n")

    monkeypatch.setattr(RecordFile, "finish", lose_one)
    api.server.on("/orders", [{"id": 1}, {"id": 2}])
    assert "2 records were received, and 1 of them can be read back" in api.refused(ProofFailed)


def test_rows_that_are_lost_while_they_are_written_are_an_error(api: ApiBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_all(*_: Any, **__: Any) -> list[Any]:
        return []

    monkeypatch.setattr(api_rows, "write_query", lose_all)
    api.server.on("/orders", [{"id": 1}, {"id": 2}])
    assert "0 rows were written of 2" in api.refused(ProofFailed)


def test_a_page_in_the_middle_that_fails_leaves_nothing(api: ApiBench) -> None:
    api.configure({"records": "data.items", "pagination": {"type": "page"}}, retries=0)
    first = as_json({"data": {"items": [{"id": 1}]}})
    api.server.on("/orders", first, raw("oops", 500))
    assert "/orders, page=2: it answered 500: oops" in api.refused(SourceUnavailable)
    api.server.on("/orders", first, as_json({"data": {}}))
    assert "there is no 'items' in 'data', which has: nothing" in api.refused(SourceError)
    with pytest.raises(SourceError):
        api.ingest(dry_run=False)


def by(column: str) -> dict[str, Any]:
    return {"extract": {"mode": "incremental", "key_column": column, "param": "since"}}


@pytest.mark.parametrize(
    ("table", "kind", "told"),
    [
        ({"types": {"id": "NUMBR"}}, ConfigError, "types.id: 'NUMBR' is no type of DuckDB"),
        ({"types": {"maybe": "DATE"}}, SourceError, "record 2 has 'Bob' as maybe, which is no DATE"),
        ({"select": "id, nam"}, ConfigError, "orders].select: Binder Error"),
        ({"select": "id,, name"}, ConfigError, "orders].select: Parser Error"),
        ({"select": "CAST(name AS INTEGER) AS n"}, SourceError, "orders].select: Conversion Error"),
        ({"select": "id AS _run_id"}, ConfigError, "adds to every row: _run_id"),
        ({"key": ["idd"]}, ConfigError, "orders].key: there is no column 'idd'; did you mean 'id'?"),
        ({"key": ["name"], "select": "id"}, ConfigError, "orders].key: there is no column 'name'"),
        ({"key": ["id"], "select": "id, UNNEST([1, 2]) AS n"}, ConfigError, "key: `select` makes 2 rows with the key"),
        ({"key": ["maybe"]}, SourceError, "record 2 has no 'maybe', which is of the key"),
        ({"partition_by": ["price"]}, ConfigError, "partition_by: price (DOUBLE) cannot name a folder"),
        ({"partition_by": ["dayy"]}, ConfigError, "orders].partition_by: there is no column 'dayy'"),
        ({"gate": "nowhere:Gate"}, ConfigError, "gate: 'nowhere:Gate' cannot be imported"),
        ({"records": "data"}, SourceError, "records: data): there is no 'data' in the answer, which is a list of 2"),
        (by("changed"), SourceError, "no record has changed"),
        (by("name"), SourceError, "record 1 has the text 'Ada' as name"),
    ],
)  # fmt: skip
def test_configuration_that_does_not_fit_the_records_is_told_by_key(
    api: ApiBench, table: dict[str, Any], kind: type[TidegateError], told: str
) -> None:
    api.configure(table)
    dated = {"maybe": "Bob"} if "types" in table else {}
    api.server.on(
        "/orders", [{"id": 1, "name": "Ada", "maybe": "2026-01-01", "price": 1.5}, {"id": 2, "name": "Bob", **dated}]
    )
    assert told in api.refused(kind)


def test_a_dataset_that_a_database_was_read_into_is_left_alone(api: ApiBench) -> None:
    api.server.on("/orders", [{"id": n} for n in range(3)])
    api.ingest()
    with pytest.raises(SourceError, match="object"):
        api.server.on("/orders", [3])
        api.ingest()
    assert api.now() == [(0,), (1,), (2,)]
