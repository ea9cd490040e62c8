"""A project over an empty SQLite file in WAL mode."""

from pathlib import Path

import pytest
from sqlite_bench import SqliteBench


@pytest.fixture
def shop(tmp_path: Path) -> SqliteBench:
    return SqliteBench.in_folder(tmp_path / "shop")
