"""The archive flow on a Prefect server: what is tried again, what is shown, and what a failed window leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from service_bench import Bench
from service_prefect_server import PrefectServer

from blocks.dialects.postgresql import source as postgresql
from schemas.errors import SourceUnavailable
from schemas.report import RunFailed
from tasks import show_progress


def artifacts(server: PrefectServer, key: str) -> list[dict[str, Any]]:
    found = httpx.post(f"{server.api_url}/artifacts/filter", json={}).json()
    return [artifact for artifact in found if artifact["key"] == key]


def failing_once(real: Callable[..., Any]) -> tuple[Callable[..., Any], list[str]]:
    """Return a snapshot that cannot be had the first time it is asked for, and the calls it got."""
    calls: list[str] = []

    @contextmanager
    def snapshot(url: str) -> Iterator[Any]:
        calls.append("snapshot")
        if len(calls) == 1:
            raise SourceUnavailable("the server closed the connection")
        with real(url) as held:
            yield held

    return snapshot, calls


def test_a_fault_that_passes_is_tried_again_and_progress_is_shown(
    bench: Bench, prefect_here: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.archive import archive_table

    bench.fill_orders(80)
    snapshot, calls = failing_once(postgresql.snapshot.held_snapshot)
    monkeypatch.setattr(postgresql.snapshot, "held_snapshot", snapshot)
    monkeypatch.setattr(show_progress, "EVERY_S", 0.0)
    bench.configure(name="flow_orders", folder="orders")
    report = archive_table("flow_orders", config_dir=bench.config_dir)
    assert (report.totals["archived"], report.totals["deleted"], bench.count()) == (80, 80, 0)
    assert len(calls) == 2
    (progress,) = artifacts(prefect_here, "purge-flow-orders")
    assert (progress["type"], float(progress["data"])) == ("progress", 100.0)
    (table,) = artifacts(prefect_here, "archive-flow-orders")
    assert '"deleted": 80' in table["data"]


def test_a_failed_window_fails_the_run_is_shown_and_not_tried_again(
    bench: Bench, prefect_here: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.archive import archive_table

    bench.fill_orders(200)
    bench.sql("UPDATE orders SET amount = 'NaN' WHERE id = 5")
    exports: list[str] = []
    real = postgresql.stream

    def counted(*arguments: Any, **options: Any) -> Any:
        exports.append("stream")
        return real(*arguments, **options)

    monkeypatch.setattr(postgresql, "stream", counted)
    bench.configure(name="failing_orders", folder="orders")
    with pytest.raises(RunFailed) as failure:
        archive_table("failing_orders", config_dir=bench.config_dir)
    report = failure.value.report
    assert [window.state.value for window in report.windows] == ["failed", "purged", "purged"]
    assert (report.exit_code, len(exports)) == (3, 3)
    assert bench.count() == 200 - report.totals["deleted"] > 0
    (table,) = artifacts(prefect_here, "archive-failing-orders")
    assert "failed" in table["data"]
