"""What publish.yaml may say, and which tables it means."""

from pathlib import Path

import pytest
import yaml

from schemas.errors import ConfigError
from schemas.pipelines.publication import DuckDBPublication, PostgresPublication
from schemas.project import Project
from tasks.publish.mark import mark_of, marked
from tasks.publish.plan_publications import plan_publications

SOURCES = "sources: [{name: shop, type: postgresql, connection: {url: 'postgresql://me:hunter2@db/shop'}}]"
WAREHOUSE = {
    "name": "warehouse", "type": "postgresql", "connection": {"url": "postgresql://me:hunter2@db/dwh"},
    "tables": ["consume/*"],
}  # fmt: skip


def project(folder: Path, *publications: object) -> Project:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/sources.yaml").write_text(SOURCES)
    (folder / "config/archives.yaml").write_text("archives: []")
    (folder / "config/publish.yaml").write_text(yaml.safe_dump({"publications": list(publications)}))
    return Project.load(folder / "config")


def test_the_example_in_the_docstring_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import schemas.pipelines.publication as module

    monkeypatch.setenv("DWH_PASSWORD", "hunter2")
    example = (module.__doc__ or "").partition("\n\n")[2]
    project(tmp_path)
    (tmp_path / "config/publish.yaml").write_text(example)
    warehouse, bi = Project.load(tmp_path / "config").publications
    assert isinstance(warehouse, PostgresPublication) and isinstance(bi, DuckDBPublication)
    assert [entry.dataset for entry in warehouse.tables] == ["consume/*", "raw/shop/orders"]
    assert bi.path == tmp_path / "lake.duckdb"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"type": "oracle"}, "publications[warehouse].type: must be one of postgresql, duckdb (got 'oracle')"),
        ({"tabels": []}, "publications[warehouse].tabels: unknown key; did you mean 'tables'?"),
        ({"tables": []}, "publications[warehouse].tables: must not be empty"),
        ({"mode": "append"}, "publications[warehouse].mode: must be one of replace, upsert (got 'append')"),
        ({"schema": "{month}"}, "publications[warehouse].schema: must be a schema's name, in which only {layer}"),
        ({"schema": "{layer"}, "publications[warehouse].schema: must be a schema's name"),
        ({"schema": "{layer.x}"}, "publications[warehouse].schema: must be a schema's name"),
        ({"connection": {"url": "mysql://db/x"}}, "publications[warehouse].connection: url must start with postgresql://"),
        ({"connection": {"host": "db"}}, "publications[warehouse].connection: needs database as well"),
        ({"grants": {"bi": ["read"]}}, "publications[warehouse].grants.bi[0]: must be one of select, insert"),
        ({"indexes": [[]]}, "publications[warehouse].indexes[0]: must not be empty"),
        ({"lock_timeout_s": 0}, "publications[warehouse].lock_timeout_s: must be >= 0.001 (got 0)"),
        ({"tables": [{"dataset": "consume/*", "as": "a.b"}]}, "publications[warehouse].tables[0]: must name one"),
        ({"tables": [{"dataset": "x", "as": "a.b.c"}]}, "publications[warehouse].tables[0].as: must be a table or"),
        ({"tables": [{"dataset": "x", "keys": ["id"]}]}, "tables[0].keys: unknown key; did you mean 'key'?"),
        ({"tables": [{"dataset": "x", "key": []}]}, "publications[warehouse].tables[0].key: must not be empty"),
        ({"tables": [1]}, "publications[warehouse].tables[0]: must be a mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        project(tmp_path, {**WAREHOUSE, **change})
    assert f"publish.yaml: {told}" in refused.value.what or told in refused.value.what, refused.value.what
    assert "hunter2" not in str(refused.value)


def test_one_name_means_one_publication(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"publish.yaml: publications\[1\].name: 'warehouse' is taken"):
        project(tmp_path, WAREHOUSE, WAREHOUSE)


def planned(tmp_path: Path, known: list[str], **change: object) -> dict[str, str]:
    publications = project(tmp_path, {**WAREHOUSE, **change}).publications
    return {one.datasets[0]: one.refused or one.target for one in plan_publications(publications, known)}


KNOWN = ["consume/bi/top", "crm/orders", "flights", "raw/shop/orders", "staging/sales/orders", "staging/web/orders"]


def test_tables_get_the_layer_as_their_schema(tmp_path: Path) -> None:
    tables = ["consume/*", "crm/*", "flights", "raw/shop/orders", "staging/sales/*"]
    assert planned(tmp_path, KNOWN, tables=tables) == {
        "consume/bi/top": "consume.top", "crm/orders": "crm.orders", "flights": "public.flights",
        "raw/shop/orders": "raw.orders", "staging/sales/orders": "staging.orders",
    }  # fmt: skip


def test_the_schema_can_say_the_domain(tmp_path: Path) -> None:
    names = planned(tmp_path, KNOWN, tables=["staging/*", "crm/*"], schema="{layer}_{domain}")
    assert list(names.values()) == ["staging_sales.orders", "staging_web.orders", "crm_crm.orders"]


def test_tables_that_would_be_one_are_refused_and_the_others_are_not(tmp_path: Path) -> None:
    names = planned(tmp_path, KNOWN, tables=["staging/*", "consume/*"])
    for dataset in ("staging/sales/orders", "staging/web/orders"):
        assert "staging/sales/orders and staging/web/orders would both be the table staging.orders" in names[dataset]
    assert names["consume/bi/top"] == "consume.top"


def test_what_is_named_goes_before_what_a_pattern_means(tmp_path: Path) -> None:
    entry = {"dataset": "staging/web/orders", "as": '"Odd Schema".web'}
    names = planned(tmp_path, KNOWN, tables=["staging/*", entry, "*/orders"])
    assert names["staging/web/orders"] == '"Odd Schema".web'
    assert names["staging/sales/orders"] == "staging.orders"
    assert names["crm/orders"] == "crm.orders"


def test_what_is_not_in_the_lake_is_named(tmp_path: Path) -> None:
    names = planned(tmp_path, KNOWN, tables=["consume/bi/tops", "x/*", "consume/*"])
    assert (
        "there is no dataset 'consume/bi/tops' in the lake; did you mean 'consume/bi/top'?" in names["consume/bi/tops"]
    )
    assert "there is no dataset 'x/*' in the lake" in names["x/*"]
    assert names["consume/bi/top"] == "consume.top"


def test_names_that_postgresql_would_cut_are_refused(tmp_path: Path) -> None:
    assert "more than the 63 bytes" in planned(tmp_path, ["consume/bi/" + "ü" * 32])["consume/bi/" + "ü" * 32]


@pytest.mark.parametrize("own", [None, "", "mine", "two\nlines", "[tidegate looks like one]"])
def test_a_mark_in_a_comment_leaves_what_people_wrote(own: str | None) -> None:
    once = marked(own, "consume/bi/top", "a" * 64, 5)
    twice = marked(once, "consume/bi/top", "b" * 64, 6)
    assert twice.startswith(own or "[tidegate")
    mark = mark_of(twice)
    assert mark is not None and (mark.dataset, mark.state, mark.rows) == ("consume/bi/top", "b" * 64, 6)
    assert twice.count("[tidegate consume") == 1 and mark_of(own) is None


def test_the_shipped_example_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DWH_PASSWORD", "hunter2")
    shipped = (Path(__file__).parents[2] / "config/publish.yaml").read_text()
    project(tmp_path)
    (tmp_path / "config/publish.yaml").write_text(shipped)
    assert Project.load(tmp_path / "config").publications == ()
    head, _, example = shipped.partition("publications: []\n")
    uncommented = "".join(f"{line[1:]}\n" for line in example.splitlines())
    (tmp_path / "config/publish.yaml").write_text(f"{head}publications:\n{uncommented}")
    warehouse, bi = Project.load(tmp_path / "config").publications
    assert isinstance(warehouse, PostgresPublication) and isinstance(bi, DuckDBPublication)
    default = PostgresPublication.model_fields
    for name in ("schema_template", "mode", "lock_timeout_s", "give_up_after_s"):
        assert getattr(warehouse, name) == default[name].default
