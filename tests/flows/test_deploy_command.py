"""`tidegate deploy`: schedules of sources become deployments on a Prefect server; nobody else's are touched."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from service_cli import CommandLine
from service_prefect_server import PrefectServer

from schemas.errors import ConfigError, TidegateError
from schemas.project import Project
from tidegate.source_deployments import ENTRYPOINT, FLOW, deploy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/settings.yaml").write_text("lake: ./lake\ntimezone: Europe/Madrid\n")
    return tmp_path


@pytest.fixture
def prefect_api(prefect_server: PrefectServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=prefect_server.api_url, timeout=30) as client:
        yield client


def configure(folder: Path, **schedules: str | None) -> None:
    """Write sources.yaml with an API of each name, and its schedule."""
    tables = [{"name": "t", "path": "/t"}]
    sources = [
        {"name": name, "type": "api", "url": "https://example.com", "auth": {"type": "bearer", "token": "hunter2"},
         "tables": tables, **({"schedule": schedule} if schedule else {})}
        for name, schedule in schedules.items()
    ]  # fmt: skip
    (folder / "config/sources.yaml").write_text(yaml.safe_dump({"sources": sources}))


def deployed(client: httpx.Client) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = client.post("/deployments/filter", json={}).json()
    return {one["name"]: one for one in found}


def changes(folder: Path, *, dry_run: bool = False) -> dict[str, str]:
    return {one.name: one.change for one in deploy(Project.load(folder / "config"), "mine", dry_run=dry_run)}


@pytest.mark.slow
def test_schedules_become_deployments_and_follow_the_configuration(
    folder: Path, prefect_here: PrefectServer, prefect_api: httpx.Client
) -> None:
    configure(folder, shop="0 2 * * *", rates="@hourly", idle=None)
    with pytest.raises(ConfigError, match="has no work pool 'mine'") as refused:
        changes(folder)
    assert "prefect work-pool create mine --type process" in refused.value.next_step
    prefect_api.post("/work_pools/", json={"name": "mine", "type": "process"}).raise_for_status()

    assert changes(folder, dry_run=True) == {"ingest-shop": "create", "ingest-rates": "create"}
    assert not {"ingest-shop", "ingest-rates"} & set(deployed(prefect_api))

    ran = CommandLine(folder, prefect_here.environment)("deploy", "--pool", "mine", "--json")
    assert (ran.code, [one["cron"] for one in ran.json["deployments"]]) == (0, ["0 2 * * *", "@hourly"]), ran.err
    shop = deployed(prefect_api)["ingest-shop"]
    (schedule,) = shop["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 2 * * *", "Europe/Madrid")
    assert schedule["active"]
    assert shop["parameters"] == {"sources": ["shop"], "config_dir": str(folder / "config")}
    assert (shop["work_pool_name"], shop["entrypoint"]) == ("mine", ENTRYPOINT)
    assert "tidegate:schedule" in shop["tags"]
    assert "hunter2" not in str(shop)
    assert shop["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert set(changes(folder).values()) == {"unchanged"}

    # Somebody switches one off; that one gets another time, another one goes, and one is new.
    switch = f"/deployments/{shop['id']}/schedules/{schedule['id']}"
    prefect_api.patch(switch, json={"active": False}).raise_for_status()
    configure(folder, shop="30 3 * * *", holidays="@daily")
    assert changes(folder) == {"ingest-shop": "update", "ingest-holidays": "create", "ingest-rates": "pause"}
    now = deployed(prefect_api)
    assert [(s["schedule"]["cron"], s["active"]) for s in now["ingest-shop"]["schedules"]] == [("30 3 * * *", False)]
    assert now["ingest-rates"]["schedules"] == []
    assert [s["active"] for s in now["ingest-holidays"]["schedules"]] == [True]
    assert changes(folder) == {"ingest-shop": "unchanged", "ingest-holidays": "unchanged"}
    configure(folder, shop="30 3 * * *", holidays="@daily", rates="@hourly")
    assert changes(folder)["ingest-rates"] == "update"
    assert [s["active"] for s in deployed(prefect_api)["ingest-rates"]["schedules"]] == [True]

    # Another project on the same server has a source of the same name.
    other = folder / "other"
    (other / "config").mkdir(parents=True)
    configure(other, shop="0 5 * * *")
    with pytest.raises(ConfigError, match="ingest-sources/ingest-shop on the server that this project has not made"):
        changes(other)
    assert [s["schedule"]["cron"] for s in deployed(prefect_api)["ingest-shop"]["schedules"]] == ["30 3 * * *"]


def test_without_a_server_it_says_what_to_set(folder: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    configure(folder, shop="0 2 * * *")
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ConfigError) as refused:
        changes(folder)
    assert "PREFECT_API_URL is not set" in refused.value.what
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(TidegateError) as gone:
        changes(folder)
    assert "The Prefect server http://127.0.0.1:9/api could not be reached" in gone.value.what


def test_the_flow_that_is_deployed_loads_and_takes_its_parameters() -> None:
    from prefect.flows import load_flow_from_entrypoint

    flow: Any = load_flow_from_entrypoint(ENTRYPOINT, use_placeholder_flow=False)
    assert flow.name == FLOW
    flow.validate_parameters({"sources": ["shop"], "config_dir": "/x/config"})
