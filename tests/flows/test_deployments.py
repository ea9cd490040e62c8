"""The deployments of prefect.yaml: that they load, draw a form, keep secrets out, and run on a real server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from service_prefect_server import PrefectServer

ROOT = Path(__file__).parents[2]
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
SECRET_WORDS = ("password", "secret", "token", "url", "dsn", "credential")

each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[d["name"] for d in DEPLOYMENTS])


def parameter_schema_of(deployment: dict[str, Any]) -> dict[str, Any]:
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    # With a placeholder allowed, a flow whose import fails deploys as if nothing were wrong.
    flow = load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"]), use_placeholder_flow=False)
    return parameter_schema(flow).model_dump()


@each_deployment
def test_every_deployed_flow_loads_and_takes_the_parameters_it_is_given(deployment: dict[str, Any]) -> None:
    schema = parameter_schema_of(deployment)
    given = deployment["parameters"]
    assert set(given) <= set(schema["properties"])
    assert set(schema.get("required") or ()) <= set(given)


@each_deployment
def test_every_parameter_has_a_type_to_draw_a_form_from_and_none_is_a_secret(deployment: dict[str, Any]) -> None:
    for name, parameter in parameter_schema_of(deployment)["properties"].items():
        assert {"type", "anyOf", "allOf", "$ref"} & set(parameter), name
        assert not [word for word in SECRET_WORDS if word in name.lower()], name


@each_deployment
def test_no_deployment_deletes_on_a_schedule_that_nobody_switched_on(deployment: dict[str, Any]) -> None:
    if "reads-only" not in deployment["tags"]:
        assert [schedule["active"] for schedule in deployment.get("schedules", ())] in ([], [False])
        assert not deployment.get("triggers")
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_no_file_in_flows_hides_a_module_that_others_import() -> None:
    # `python flows/x.py` and Prefect put flows/ first on sys.path: a flows/queue.py would become `queue`.
    names = {path.stem for path in (ROOT / "flows").glob("*.py")} - {"__init__"}
    assert not names & (set(sys.stdlib_module_names) | set(packages_distributions()))


@pytest.fixture
def project(tmp_path: Path, database: str) -> Path:
    """A project of its own with these deployments, over a table with 300 rows of three months of 2024."""
    (tmp_path / "flows").symlink_to(ROOT / "flows")
    (tmp_path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text())
    (tmp_path / "config").mkdir()
    (tmp_path / "config/settings.yaml").write_text("lake: ./lake\n")
    (tmp_path / "config/sources.yaml").write_text(
        'sources: [{name: shop, type: postgresql, connection: {url: "${SHOP_URL}"}}]\n'
    )
    (tmp_path / "config/archives.yaml").write_text(
        "archives: [{name: flights, source: shop, table: public.flights, time_column: departed_at,"
        " older_than: 90 days, purge: {mode: delete}}]\n"
    )
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE flights (id bigint PRIMARY KEY, departed_at timestamptz, carrier text)")
        connection.execute(
            "INSERT INTO flights SELECT g, timestamptz '2024-01-01Z' + g * interval '7 hours', 'UA'"
            " FROM generate_series(1, 300) g"
        )
        connection.execute("INSERT INTO flights VALUES (301, %s, 'UA')", [datetime.now(UTC)])
    return tmp_path


@pytest.fixture
def prefect_api(prefect_server: PrefectServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=prefect_server.api_url, timeout=30) as client:
        yield client


@pytest.mark.slow
def test_deployed_archive_runs_on_a_worker_deletes_what_is_proven_and_is_audited(
    project: Path, database: str, prefect_server: PrefectServer, prefect_api: httpx.Client
) -> None:
    def prefect(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=project,
            env={**os.environ, **prefect_server.environment, "PWD": str(project), "SHOP_URL": database},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def flow_runs(deployment: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = {"deployments": {"id": {"any_": [deployment["id"]]}}}
        found: list[dict[str, Any]] = prefect_api.post("/flow_runs/filter", json=wanted).json()
        return [run for run in found if not run["auto_scheduled"]]

    prefect("work-pool", "create", "tidegate", "--type", "process")
    prefect("deploy", "--all", "--no-prompt")
    deployed = {d["name"]: d for d in prefect_api.post("/deployments/filter", json={}).json()}
    assert set(deployed) == {deployment["name"] for deployment in DEPLOYMENTS}
    assert database not in str(deployed)

    prefect_api.post(f"/deployments/{deployed['flights']['id']}/create_flow_run", json={}).raise_for_status()
    prefect("worker", "start", "--pool", "tidegate", "--run-once")

    (run,) = flow_runs(deployed["flights"])
    assert run["state_type"] == "COMPLETED", run["state"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT array_agg(id) FROM flights").fetchone() == ([301],)
    assert list((project / "lake").rglob("*.parquet"))
    # Prefect's own history must not hold the password either.
    assert database not in str(prefect_api.post("/logs/filter", json={}).json())

    until = time.monotonic() + 30
    while not (audits := flow_runs(deployed["flights-audit"])) and time.monotonic() < until:
        time.sleep(0.5)
    assert [audit["parameters"] for audit in audits] == [{"archive": "flights", "config_dir": "config"}]
