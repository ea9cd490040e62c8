"""Registers the service fixtures: databases and stores that start when a test first asks for them."""

import os

import pytest

from tidegate.prefect_threads import end_prefect_threads

pytest_plugins = [
    "service_bench", "service_fixtures", "service_prefect_server", "service_prefect", "service_demo", "service_cli",
    "service_replica",
    "service_mariadb", "mysql_bench", "ingest_bench", "build_bench", "publish_bench", "service_sftp", "files_bench",
    "service_http",
]  # fmt: skip


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in CI, where nothing may be left out, why a run with skipped tests fails."""
    if _skipped(terminalreporter):
        terminalreporter.write_line("CI is set, and tests were skipped: this run has failed.", red=True)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name parameters that are bytes alike in all workers: in what is compressed or zipped, there is the time."""
    return "bytes" if isinstance(val, bytes) else None


def pytest_unconfigure() -> None:
    """End quietly, also after tests that ran flows."""
    end_prefect_threads()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that skipped a test: what is not tested there is tested nowhere."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter) and _skipped(reporter) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped(reporter: pytest.TerminalReporter) -> bool:
    return os.environ.get("CI", "") not in ("", "0", "false") and bool(reporter.stats.get("skipped"))
