"""Flows called in the tests' own process, against the session's Prefect server."""

from collections.abc import Iterator

import pytest
from service_prefect_server import PrefectServer


@pytest.fixture
def prefect_here(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The session's Prefect server, to which the flows that this very process calls talk while the test runs."""
    from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

    storage = prefect_server.home / "storage"
    with temporary_settings({PREFECT_API_URL: prefect_server.api_url, PREFECT_LOCAL_STORAGE_PATH: storage}):
        yield prefect_server
