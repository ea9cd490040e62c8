"""Approval in Prefect, on a real server: a run pauses with a form, and does what the answer says."""

import contextvars
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer

from blocks.plans import Plans
from schemas.report import RunReport
from schemas.sealed_plan import NotApproved
from tasks import ask_approval


@dataclass
class PausedRun:
    """An archive run in a thread, paused with its form."""

    server: PrefectServer
    thread: threading.Thread
    run_id: str
    reports: list[RunReport] = field(default_factory=list)

    def has_form(self) -> bool:
        return all(httpx.get(place).is_success for place in self._parts().values())

    def form(self) -> dict[str, Any]:
        return {name: httpx.get(place).raise_for_status().json() for name, place in self._parts().items()}

    def _parts(self) -> dict[str, str]:
        keys = self._get(f"/flow_runs/{self.run_id}")["state"]["state_details"]["run_input_keyset"]
        inputs = f"{self.server.api_url}/flow_runs/{self.run_id}/input"
        return {name: f"{inputs}/{key}" for name, key in keys.items() if name != "response"}

    def answer(self, **values: Any) -> dict[str, Any]:
        """Answer as the form in the UI does; returns what the server says."""
        response = httpx.post(f"{self.server.api_url}/flow_runs/{self.run_id}/resume", json={"run_input": values})
        said: dict[str, Any] = response.json()
        return said

    def report(self) -> RunReport:
        self.thread.join(100)
        return self.reports[0]

    def state(self) -> str:
        return str(self._get(f"/flow_runs/{self.run_id}")["state"]["type"])

    def _get(self, path: str) -> Any:
        return httpx.get(self.server.api_url + path).raise_for_status().json()


@contextmanager
def paused_run(bench: Bench, server: PrefectServer, ask_for_s: int) -> Iterator[PausedRun]:
    from flows.archive import archive_table

    reports: list[RunReport] = []
    here = contextvars.copy_context()
    name = str(bench.archive["name"])
    work = threading.Thread(
        target=lambda: reports.append(here.run(archive_table, name, ask_for_s=ask_for_s, config_dir=bench.config_dir))
    )
    work.start()
    wanted = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}, "name": {"any_": [f"archive-{name}"]}}}
    until = time.monotonic() + 100
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < until and work.is_alive():
        time.sleep(0.2)
        found = httpx.post(f"{server.api_url}/flow_runs/filter", json=wanted).json()
    assert found, "the run did not pause"
    run = PausedRun(server, work, found[0]["id"], reports)
    while not run.has_form() and time.monotonic() < until:  # Prefect pauses first, and draws the form then
        time.sleep(0.1)
    yield run
    work.join(100)


def decision_of(bench: Bench) -> Any:
    [filed] = Plans(bench.lake, "orders").filed()
    return filed.decision


@pytest.fixture
def orders(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench.configure(approve=True, folder="orders", name="approved_orders")
    bench.fill_orders(80)
    monkeypatch.setattr(ask_approval, "POLL_S", 0.3)
    return bench


def test_a_run_pauses_with_a_form_and_deletes_once_it_is_approved(orders: Bench, prefect_here: PrefectServer) -> None:
    with paused_run(orders, prefect_here, 60) as run:
        assert len(orders.lake_rows()) == orders.count() == 80
        form = run.form()
        [filed] = Plans(orders.lake, "orders").filed()
        assert set(form["schema"]["properties"]) == {"approve", "name", "reason"}
        assert form["schema"]["required"] == ["approve", "name"]
        for text in (filed.plan.plan_id, "up to 80 rows of public.orders", "[2024-01-01Z, 2024-02-01Z)"):
            assert text in form["description"]
        # An answer without a name is none.
        assert run.answer(approve=True)["status"] != "ACCEPT"
        assert (run.state(), orders.count()) == ("PAUSED", 80)
        assert run.answer(approve=True, name="ann", reason="ticket 815")["status"] == "ACCEPT"
        report = run.report()
    assert (report.state, report.totals["deleted"], orders.count()) == ("done", 80, 0)
    decision = decision_of(orders)
    assert (decision.outcome, decision.by, decision.reason, decision.how) == (
        "approved", "ann", "ticket 815", "prefect",
    )  # fmt: skip
    assert run.state() == "COMPLETED"


def test_a_run_that_is_refused_by_its_form_deletes_nothing(orders: Bench, prefect_here: PrefectServer) -> None:
    with paused_run(orders, prefect_here, 60) as run:
        assert run.answer(approve=False, name="bob", reason="not now")["status"] == "ACCEPT"
        report = run.report()
    assert (report.state, report.totals["deleted"]) == ("done", 0)
    assert {window.state.value for window in report.windows} == {"archived"}
    assert len(orders.lake_rows()) == orders.count() == 80
    assert (decision_of(orders).outcome, run.state()) == ("refused", "COMPLETED")


def test_a_form_that_nobody_answers_leaves_the_plan_waiting(orders: Bench, prefect_here: PrefectServer) -> None:
    from flows.verify_and_purge import verify_and_purge

    with paused_run(orders, prefect_here, 2) as run:
        report = run.report()
    assert (report.state, report.exit_code, orders.count()) == ("waiting", 0, 80)
    assert {window.state.value for window in report.windows} == {"waiting"}
    assert decision_of(orders) is None
    # Nor does the flow that deletes, called by itself, delete what waits.
    for manifests in (None, list(report.plan.manifests) if report.plan else []):
        with pytest.raises(NotApproved, match="waits for an approval"):
            verify_and_purge("approved_orders", manifests, orders.config_dir)
    assert orders.count() == 80
    assert run.state() == "COMPLETED"


def test_a_run_from_a_deployment_asks_for_a_day(monkeypatch: pytest.MonkeyPatch, orders: Bench) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ask_approval, "_answer", lambda plan, ask_for_s: asked.append(ask_for_s))
    monkeypatch.setattr(ask_approval, "create_markdown_artifact", lambda *_, **__: None)
    orders.run(purging=False)
    job = orders.job()
    plan = ask_approval.seal_plan(job, [orders.prove(g.manifest.path) for g in orders.generations()], "run")
    ask_approval.ask_for_approval(job, plan)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "1")
    ask_approval.ask_for_approval(job, plan)
    ask_approval.ask_for_approval(job, plan, ask_for_s=7)
    assert asked == [0, 24 * 60 * 60, 7]
