"""What dbt-duckdb loads by name: lets dbt's connection read the lake, with the configuration's own access to it."""

from pathlib import Path
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from blocks.open_lake import open_lake
from schemas.project import Project


class Plugin(BasePlugin):  # type: ignore[misc]
    """The lake, for dbt-duckdb; it finds a class of this name."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Open the lake of the configuration that the profile names."""
        settings = Project.load_settings(Path(plugin_config["config_dir"]))
        self._lake = open_lake(settings.lake, settings.temp_dir)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read the lake's files."""
        self._lake.attach(conn)
