"""A Prefect server for the tests that need one: deployments, workers, triggers. Starts when it is first asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.demo.prefect_server import PrefectServer


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server with a folder of its own; hand `environment` to the processes that are to talk to it."""
    home: Path = tmp_path_factory.mktemp("prefect")
    with PrefectServer(home) as server:
        server.wait_until_ready()
        yield server
