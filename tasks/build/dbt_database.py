"""The database that dbt works in: a file of its own, in which the lake's tables are views. It lives for one run."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from blocks.lake import Lake
from blocks.ledger import datasets
from schemas.column_plan import quote_identifier
from schemas.config import Settings
from schemas.errors import ConfigError
from schemas.pipelines.dbt import PREFIX
from schemas.pipelines.place import LAYERS
from schemas.project import Project
from tasks.build.dbt_installed import LABEL, UNTOUCHED
from tasks.build.inputs import Input, read_input
from tasks.publish.to_duckdb import view_place

DATABASE = "tidegate"
"""Name of the database in the SQL that dbt makes."""

SCHEMA = "dbt"
"""Where dbt puts models that name no schema; one that does is put into `dbt_` and that name."""

_READ_BY_DBT = (".sql", ".yml", ".yaml", ".py")
View = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder for one run of dbt.

    Attributes:
        folder: It; it is removed when the run is over.
        inputs: The lake's tables as they were when they were looked at, by schema and name, in lower case.
    """

    folder: Path
    inputs: Mapping[View, Input]

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.folder / f"{DATABASE}.duckdb"

    @property
    def target(self) -> Path:
        """Where dbt writes its manifest and its results."""
        return self.folder / "target"


def make_workspace(project: Project, lake: Lake, folder: Path) -> Workspace:
    """Write the database with the lake's views, and the profile that names it.

    Raises:
        ConfigError: Two tables of the lake would be the same view.
        ProofFailed: A record of a table is damaged.
    """
    workspace = Workspace(folder, _inputs(project, lake))
    (folder / "spilled").mkdir()
    (folder / "profiles.yml").write_text(json.dumps(_profile(project, workspace)))  # JSON is YAML
    with open_database(workspace, project.settings, lake) as connection:
        for found in workspace.inputs.values():
            schema, name = view_place(found.dataset)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}")
            connection.execute(f"CREATE VIEW {quote_identifier(schema)}.{quote_identifier(name)} AS {found.sql()}")
    return workspace


@contextmanager
def open_database(workspace: Workspace, settings: Settings, lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database as dbt does; it is closed at the end."""
    with duckdb.connect(str(workspace.database), config=_limits(workspace, settings)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        lake.attach(connection)
        yield connection


def is_made_by_dbt(found: Input) -> bool:
    """Return whether a table is what a dbt project built: its models find each other by `ref`, not in the lake."""
    built = found.generations[-1].manifest.built
    return built is not None and built.pipeline.startswith(PREFIX)


def _inputs(project: Project, lake: Lake) -> dict[View, Input]:
    known = datasets(lake)
    archived = [name for name in known if name.split("/")[0] not in LAYERS]
    # An archive may have thousands of records: they are read if its name is anywhere in the project.
    text = _text_of_project(project) if archived else ""
    wanted = [name for name in known if name not in archived or view_place(name)[1].casefold() in text]
    inputs: dict[View, Input] = {}
    for dataset in wanted:
        found = read_input(lake, dataset)
        if found is None or is_made_by_dbt(found):
            continue
        view = folded(view_place(dataset))
        if view in inputs:
            raise ConfigError(
                f"{LABEL}: {inputs[view].dataset} and {dataset} of the lake would both be the view {'.'.join(view)}.",
                state=UNTOUCHED,
                next_step="Give one of them another name in the configuration.",
            )
        inputs[view] = found
    return inputs


def folded(view: View) -> View:
    """Return a schema and a name as DuckDB compares them."""
    return view[0].casefold(), view[1].casefold()


def names_of(planned: Collection[str]) -> dict[View, str]:
    """Return the views that datasets would have."""
    return {folded(view_place(dataset)): dataset for dataset in planned}


def _text_of_project(project: Project) -> str:
    assert project.dbt is not None
    files = (path for path in project.dbt.project.rglob("*") if path.suffix in _READ_BY_DBT and path.is_file())
    return "\n".join(path.read_text(errors="replace") for path in files).casefold()


def _limits(workspace: Workspace, settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": settings.memory_limit,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "preserve_insertion_order": "false",
        "temp_directory": str(workspace.folder / "spilled"),
    }


def _profile(project: Project, workspace: Workspace) -> dict[str, object]:
    """Return the content of profiles.yml. No secret is part of it: the plugin opens the lake by its configuration."""
    assert project.dbt is not None
    output = {
        "type": "duckdb",
        "path": str(workspace.database),
        "schema": SCHEMA,
        "threads": project.settings.parallel_windows,
        "config_options": _limits(workspace, project.settings),
        "settings": {"TimeZone": "UTC"},
        "plugins": [{"module": "tasks.build.dbt_plugin", "config": {"config_dir": str(project.config_dir)}}],
    }
    return {DATABASE: {"target": project.dbt.target, "outputs": {project.dbt.target: output}}}
