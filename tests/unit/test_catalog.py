"""What the catalog says of the tables of a lake, from records alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from catalog_lake import PASSED, REFUSED, WARNED, CatalogLake
from lake_builder import LakeBuilder, flight, month

from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.local_lake import LocalLake
from schemas.catalog import TableSummary
from schemas.config import Settings
from schemas.errors import ConfigError
from schemas.manifest import Attestation, Manifest, Snapshot
from tasks.catalog.find_table import find_table
from tasks.catalog.lake_records import LakeRecords, read_records, with_history
from tasks.catalog.lineage import lineage_of
from tasks.catalog.schema_history import schema_history
from tasks.catalog.sources import source_label
from tasks.catalog.table_details import counted, table_details
from tasks.catalog.tables import other_runs, tables_of
from tasks.current_state import current_state
from tasks.views import query_lake
from tidegate.show.ages import age_text

ORDERS, STAGED, TOP = "raw/partners/orders", "staging/shop/orders", "consume/bi/top"


@pytest.fixture
def shop(local_lake: LocalLake, tmp_path: Path) -> CatalogLake:
    return CatalogLake(local_lake, tmp_path).shop()


@pytest.fixture
def empty(local_lake: LocalLake, tmp_path: Path) -> CatalogLake:
    return CatalogLake(local_lake, tmp_path)


def test_a_version_of_a_file_that_was_replaced_stays_so_when_rows_of_it_are_erased(empty: CatalogLake) -> None:
    first = empty.read_file(ORDERS, "orders.csv")
    second = empty.read_file(ORDERS, "orders.csv", replaces=first.path)
    erased = first.model_copy(update={"generation": 3, "supersedes": (first.path,)})
    assert erased.path != first.path
    assert current_state([Generation(erased), Generation(second)]) == [Generation(second)]


def tables(lake: Lake) -> dict[str, TableSummary]:
    found = {table.dataset: table for table in tables_of(read_records(lake, whole=False))}
    assert found == {table.dataset: table for table in tables_of(read_records(lake, whole=True))}
    return found


def ask(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with query_lake(lake, Settings(), sql) as answer:
        return answer.fetchall()


def test_the_catalog_says_of_each_table_what_there_is_and_how_its_last_run_ended(
    any_lake: Lake, tmp_path: Path
) -> None:
    found = tables(CatalogLake(any_lake, tmp_path).shop().lake)
    assert list(found) == [ORDERS, "raw/rates/latest", STAGED, TOP]
    assert {name: (t.rows, t.generations, t.last_run_state, t.quality) for name, t in found.items()} == {
        ORDERS: (6, 2, "done", "none"),
        "raw/rates/latest": (1, 1, "unchanged", "none"),
        STAGED: (3, 1, "done", "quarantined"),
        TOP: (1, 1, "failed", "refused"),
    }
    assert (found[STAGED].warned, found[STAGED].quarantined, found[TOP].refused) == (1, 1, 1)
    assert found[TOP].last_error == "not_null(id) failed."
    assert found[ORDERS].source == "partners: 2 files"
    assert found["raw/rates/latest"].source == "rates: api /latest"
    sizes = {name: sum(entry.size_bytes for entry in any_lake.list(name)) for name in found}
    assert {name: table.bytes for name, table in found.items()} == sizes


def test_a_run_that_found_nothing_new_makes_a_table_fresh_without_making_its_data_newer(empty: CatalogLake) -> None:
    manifest = empty.ask_api("raw/rates/latest", "/latest")
    later = datetime.now(UTC) + timedelta(hours=5)
    empty.ran("rates.latest", "raw/rates/latest", "ingest", "unchanged", at=later)
    empty.ran("rates.latest", "raw/rates/latest", "ingest", "failed", at=later + timedelta(hours=1))
    found = tables(empty.lake)["raw/rates/latest"]
    assert found.newest_data_at == manifest.attestation.snapshot.taken_at
    assert found.checked_at == later
    assert (found.last_run_state, found.last_run_at) == ("failed", later + timedelta(hours=1))


def test_only_generations_that_count_are_counted(empty: CatalogLake) -> None:
    for rows in (5, 3, 4):
        empty.build(STAGED, (), f"SELECT * FROM range({rows})", aside="SELECT 1 AS bad")
    first = empty.read_file(ORDERS, "a.csv", "SELECT * FROM range(7)")
    empty.read_file(ORDERS, "b.csv", "SELECT * FROM range(10)")
    empty.read_file(ORDERS, "a.csv", "SELECT * FROM range(8)", replaces=first.path)
    found = tables(empty.lake)
    assert (found[STAGED].rows, found[STAGED].quarantined, found[STAGED].generations) == (4, 1, 3)
    assert (found[ORDERS].rows, found[ORDERS].rows_are, found[ORDERS].source) == (18, "exact", "partners: 2 files")


def test_rows_by_key_are_an_upper_bound_until_they_are_counted(empty: CatalogLake) -> None:
    for start in (0, 2):
        empty.build(STAGED, (), f"SELECT range AS id FROM range({start}, {start + 3})", "merge", key=("id",))
    empty.build(TOP, (), "SELECT 1 AS id", "merge", key=("id",))
    found = tables(empty.lake)
    assert (found[STAGED].rows, found[STAGED].rows_are) == (6, "at_most")
    assert (found[TOP].rows, found[TOP].rows_are) == (1, "exact")
    now = counted(empty.lake, Settings(), found[STAGED])
    assert (now.rows, now.rows_are) == (5, "exact")


def test_a_table_of_which_nothing_was_ever_committed_is_there_with_its_failure(empty: CatalogLake) -> None:
    empty.ran("top", TOP, state="failed", checks=(REFUSED,), error="not_null(id) failed.", inputs=(STAGED,))
    found = tables(empty.lake)[TOP]
    assert (found.layer, found.rows, found.last_run_state, found.quality) == ("consume", 0, "failed", "refused")
    graph = lineage_of(read_records(empty.lake, whole=False))
    assert (graph.up[TOP], graph.nodes[STAGED].in_lake) == ([STAGED], False)


def test_quality_is_of_the_last_run_that_checked(empty: CatalogLake) -> None:
    empty.build(STAGED, ())
    for state, checks, expected in (
        ("failed", (REFUSED,), "refused"),
        ("unchanged", (), "refused"),
        ("failed", (), "refused"),  # as it could not read its inputs
        ("done", (PASSED, WARNED), "warned"),
        ("done", (PASSED,), "passed"),
    ):
        empty.ran("orders", STAGED, state=state, checks=checks)
        assert tables(empty.lake)[STAGED].quality == expected


def test_archives_are_in_the_catalog_without_a_run_log(local_lake: LocalLake) -> None:
    flights = LakeBuilder(local_lake)
    flights.commit([flight(1, datetime(2013, 1, 5, tzinfo=UTC))], month(2013, 1), purged=True)
    flights.commit([flight(2, datetime(2013, 2, 5, tzinfo=UTC))], month(2013, 2), purged=True)
    found = tables(local_lake)["flights"]
    assert (found.layer, found.rows, found.rows_are, found.last_run_state) == ("archive", 2, "exact", "done")
    assert found.source == "shop: postgresql table public.flights"
    assert found.last_run_at == max(r.finished_at for g in flights.generations() for r in g.receipts)


def test_publications_have_the_state_of_their_last_run_with_all_its_tables(empty: CatalogLake) -> None:
    empty.build(TOP, ())
    empty.ran("warehouse", TOP, "publish", "failed", run_id="one", error="gone", inputs=(TOP,))
    empty.ran("warehouse", TOP, "publish", run_id="two", rows=3, inputs=(TOP,))
    empty.ran("warehouse", STAGED, "publish", "failed", run_id="two", rows=4, error="down", inputs=(STAGED,))
    [found] = other_runs(read_records(empty.lake, whole=False).runs)
    assert (found.name, found.last_run_state, found.rows, found.last_error) == ("warehouse", "failed", 7, "down")
    assert list(tables(empty.lake)) == [TOP]  # a publication is no run of the table that it reads
    assert tables(empty.lake)[TOP].last_run_state == "done"


def test_a_damaged_manifest_hides_no_other_table(shop: CatalogLake) -> None:
    [manifest] = shop.lake.list(f"_tidegate/manifests/{STAGED}")
    file = Path(shop.lake.url, manifest.path)
    file.write_bytes(file.read_bytes().replace(b'"rows":3', b'"rows":4'))
    records = read_records(shop.lake, whole=False)
    assert [manifest.path in what for what in records.all_damaged] == [True]
    found = {table.dataset: table for table in tables_of(records)}
    assert manifest.path in (found[STAGED].damaged or "")
    assert (found[STAGED].rows, found[ORDERS].rows, found[TOP].rows) == (0, 6, 1)
    assert STAGED in lineage_of(records).up[TOP]


def test_a_damaged_old_manifest_is_named_where_the_history_is_shown(empty: CatalogLake) -> None:
    first = empty.build(STAGED, ())
    empty.build(STAGED, (), "SELECT * FROM range(3)")
    Path(empty.lake.url, first.path).write_bytes(b"{}")
    records = read_records(empty.lake, whole=False)
    assert records.all_damaged == ()
    again = with_history(empty.lake, records, STAGED)
    assert first.path in again.all_damaged[0]
    assert tables_of(again)[0].rows == 3


def test_details_of_a_table_have_columns_statistics_checks_runs_and_neighbours(shop: CatalogLake) -> None:
    records = with_history(shop.lake, read_records(shop.lake, whole=False), STAGED)
    table = tables(shop.lake)[STAGED]
    details = table_details(shop.lake, records, table, lineage_of(records))
    assert [(c.name, c.type, c.null_share, c.distinct, c.maximum) for c in details.columns] == [
        ("id", "BIGINT", 0, 3, "2"),
        ("amount", "BIGINT", None, None, None),
        ("note", "VARCHAR", 1 / 3, 1, "x"),
    ]
    assert [(check.check, check.examples) for check in details.checks] == [
        ("unique(id)", ()), ("range(amount)", ("-1", "-2")),
    ]  # fmt: skip
    assert [run.state for run in details.runs] == ["done"]
    assert [node.id for node in details.upstream] == [ORDERS, "raw/rates/latest"]
    assert [node.id for node in details.downstream] == [TOP]


def test_schema_versions_say_what_changed(empty: CatalogLake) -> None:
    empty.read_file(ORDERS, "a.csv", "SELECT 1 AS id, 'x' AS note")
    empty.read_file(ORDERS, "b.csv", "SELECT 1 AS id, 'y' AS note")
    empty.read_file(ORDERS, "c.csv", "SELECT 1 AS id", 2, drift=("note (VARCHAR) is gone",))
    for query in ("SELECT 1 AS a, 2 AS b", "SELECT 1 AS a, 'x' AS b, 3 AS c", "SELECT 'x' AS b, 1 AS a, 3 AS c"):
        empty.build(STAGED, (), query)
    records = read_records(empty.lake, whole=True)
    raw, built = (schema_history(records.generations[name]) for name in (ORDERS, STAGED))
    assert [(v.version, v.generations, v.changes) for v in raw] == [(1, 2, ()), (2, 1, ("note (VARCHAR) is gone",))]
    assert [(v.version, v.changes) for v in built] == [
        (1, ()),
        (2, ("b was INTEGER and is VARCHAR", "c (INTEGER) is new")),
        (3, ("the columns are in another order",)),
    ]


def test_lineage_leads_from_the_sources_to_what_is_published(shop: CatalogLake) -> None:
    graph = lineage_of(read_records(shop.lake, whole=False))
    assert graph.reached(TOP, upwards=True) == [
        STAGED, ORDERS, "raw/rates/latest", "source:partners:orders", "source:rates:/latest",
    ]  # fmt: skip
    assert graph.reached(ORDERS, upwards=False) == [STAGED, TOP, "publication:warehouse"]
    nodes, edges = graph.part(STAGED, up=False)
    assert [node.id for node in nodes] == [STAGED, TOP, "publication:warehouse"]
    assert edges == [(STAGED, TOP), (TOP, "publication:warehouse")]
    assert graph.columns[TOP, "total"] == ((STAGED, "amount"),)
    assert graph.columns[STAGED, "amount"] == ((ORDERS, "amount"), ("raw/rates/latest", "id"))
    assert graph.columns[ORDERS, "amount"] == (("source:partners:orders", "amount"),)


def test_lineage_is_that_of_the_newest_build(empty: CatalogLake) -> None:
    empty.build(TOP, (STAGED,))
    empty.ran("top", TOP, inputs=(STAGED,), lineage={"id": (f"{STAGED}.old.id",)})
    empty.build(TOP, (ORDERS,))
    empty.ran("top", TOP, inputs=(ORDERS,), lineage={"id": (f"{ORDERS}.new.id",)})
    empty.ran("top", TOP, state="unchanged")
    graph = lineage_of(read_records(empty.lake, whole=False))
    assert (graph.up[TOP], graph.columns[TOP, "id"]) == ([ORDERS], ((ORDERS, "new.id"),))


def test_a_lake_whose_tables_were_built_of_each_other_has_a_lineage(empty: CatalogLake) -> None:
    empty.build(TOP, (STAGED, TOP))
    empty.build(STAGED, (TOP,))
    graph = lineage_of(read_records(empty.lake, whole=False))
    assert graph.reached(TOP, upwards=True) == [STAGED]


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("raw/shop/orders", "raw/shop/orders"), ("raw.shop.orders", "raw/shop/orders"),
        ('"raw/shop".orders', "raw/shop/orders"), ("Shop.Orders", "raw/shop/orders"), ("top", "consume/bi/top"),
        ("daily", "consume/bi/top"), ("flights", "flights"),
    ],
)  # fmt: skip
def test_a_table_is_found_by_as_much_of_its_name_as_is_clear(name: str, dataset: str) -> None:
    known = ["raw/shop/orders", "raw/old_shop/orders", "consume/bi/top", "flights", "raw/air/flights"]
    assert find_table(name, known, "lake", {"daily": "consume/bi/top"}) == dataset


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("orders", "'orders' may be any of raw/old/orders, raw/shop/orders"),
        ("ordres", "did you mean 'raw/shop/orders'?"),
        ("raw/shop/order", "did you mean 'raw/shop/orders'?"),
        ("zzz", "Tables: consume/bi/top, raw/old/orders, raw/shop/orders"),
        ("both", "'both' may be any of"),
    ],
)
def test_a_name_that_is_not_clear_names_what_it_may_be(name: str, words: str) -> None:
    known = ["raw/old/orders", "raw/shop/orders", "consume/bi/top", *(["raw/x/both"] if name == "both" else [])]
    with pytest.raises(ConfigError) as raised:
        find_table(name, known, "lake", {"both": "consume/bi/top"})
    assert words in str(raised.value)


def test_the_records_can_be_asked_with_sql(any_lake: Lake, tmp_path: Path) -> None:
    shop = CatalogLake(any_lake, tmp_path).shop()
    assert ask(
        shop.lake, 'SELECT dataset, "check", state, examples FROM catalog.quality WHERE failed > 0 ORDER BY 1'
    ) == [
        (TOP, "not_null(id)", "refused", ["NULL"]),
        (STAGED, "range(amount)", "warned", ["-1", "-2"]),
    ]
    assert ask(shop.lake, "SELECT file, state, rows, error FROM catalog.files ORDER BY file") == [
        ("a.csv", "done", 3, None), ("b.csv", "done", 3, None), ("c.csv", "failed", 0, "c.csv: line 7 is ragged."),
    ]  # fmt: skip
    sql = "SELECT upstream FROM catalog.lineage WHERE downstream = 'consume/bi/top' AND upstream_column = 'amount'"
    assert ask(shop.lake, sql) == [(STAGED,)]
    names = ("runs", "generations", "extractions", "builds", "publications", "statistics", "schema_versions", "tables")
    counts = [ask(shop.lake, f"SELECT count(*) FROM catalog.{name}")[0][0] for name in names]
    assert counts == [8, 5, 4, 3, 1, 2, 4, 4]
    assert ask(shop.lake, "SELECT count(*) FROM catalog.damaged") == [(0,)]
    # Together with the rows themselves.
    joined = f"SELECT count(*) FROM \"staging/shop\".orders, catalog.tables t WHERE t.dataset = '{STAGED}'"
    assert ask(shop.lake, joined) == [(3,)]


def test_the_views_say_of_each_table_what_the_command_says(shop: CatalogLake) -> None:
    names = list(TableSummary.model_fields)
    asked = ask(shop.lake, f"SELECT {', '.join(names)} FROM catalog.tables")
    assert [TableSummary(**dict(zip(names, row, strict=True))) for row in asked] == list(tables(shop.lake).values())


def test_a_file_that_came_again_is_not_a_failed_one(empty: CatalogLake) -> None:
    empty.ran("partners.orders", ORDERS, "ingest", "failed", file="a.csv", error="cut")
    empty.ran("partners.orders", ORDERS, "ingest", "failed", file="a.csv", error="still cut")
    sql = "SELECT file, state, error, attempts FROM catalog.files ORDER BY happened_at"
    empty.read_file(ORDERS, "z.csv")
    assert ask(empty.lake, sql) == [("a.csv", "failed", "still cut", 2), ("z.csv", "done", None, 1)]
    first = empty.read_file(ORDERS, "a.csv")
    assert ask(empty.lake, sql) == [("z.csv", "done", None, 1), ("a.csv", "done", None, 1)]
    empty.read_file(ORDERS, "a.csv", replaces=first.path)
    assert [state for _, state, *_ in ask(empty.lake, sql)] == ["done", "replaced", "done"]


def test_sql_over_damaged_records_warns_and_names_them(shop: CatalogLake, caplog: pytest.LogCaptureFixture) -> None:
    [first, *_] = shop.lake.list("_tidegate/runs")
    Path(shop.lake.url, first.path).write_bytes(b"{}")
    assert ask(shop.lake, "SELECT count(*) FROM catalog.runs") == [(7,)]
    assert first.path in caplog.text
    assert first.path in ask(shop.lake, "SELECT what FROM catalog.damaged")[0][0]


def test_datasets_in_a_folder_called_catalog_are_what_sql_means_by_it(empty: CatalogLake) -> None:
    empty.build("catalog/tables", (), "SELECT 7 AS mine")
    assert ask(empty.lake, "SELECT mine FROM catalog.tables") == [(7,)]


def test_an_empty_lake_has_an_empty_catalog(any_lake: Lake) -> None:
    assert read_records(any_lake, whole=True) == LakeRecords()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7_300, "2 hours ago"), (86_400 * 40, "40 days ago")],
)
def test_ages_are_told_in_words(seconds: int, text: str) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    assert age_text(now - timedelta(seconds=seconds), now) == text


@pytest.mark.parametrize(
    ("cluster", "table", "told"),
    [
        ("mysql:10.11", "public.customers", "mysql table customers"),
        ("sqlite:/shop.db", "public.customers", "sqlite table customers"),
        ("7431/1", "public.customers", "postgresql table public.customers"),
        ("mysql:10.11", "SELECT id\nFROM customers", "mysql query"),
        ("7431/1", 'public."select me"', 'postgresql table public."select me"'),
    ],
)
def test_a_database_is_told_as_its_own_people_know_it(cluster: str, table: str, told: str) -> None:
    snapshot = Snapshot(taken_at=datetime(2026, 1, 1, tzinfo=UTC), cluster=cluster)
    attested = Attestation(rows_in_window=0, rows=0, snapshot=snapshot)
    manifest = Manifest.model_construct(source="shop", table=table, attestation=attested, extracted=None, built=None)
    assert source_label("raw/shop/customers", manifest, []) == f"shop: {told}"
