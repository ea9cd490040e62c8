"""Whether the dbt project of the configuration can be run at all; dbt itself is not imported for that."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from schemas.errors import ConfigError
from schemas.project import PIPELINES_FILE, Project

PACKAGES = ("dbt-core", "dbt-duckdb", "prefect-dbt")
LABEL = f"{PIPELINES_FILE}: dbt"
UNTOUCHED = "Nothing was read or written."


def check_dbt(project: Project) -> None:
    """Refuse a dbt project that is not there, or that nothing is installed for.

    Raises:
        ConfigError: It says which.
    """
    assert project.dbt is not None
    folder = project.dbt.project
    if not (folder / "dbt_project.yml").is_file():
        raise ConfigError(
            f"{LABEL}.project: there is no dbt_project.yml in {folder}.",
            state=UNTOUCHED,
            next_step=f"Name the folder of the dbt project in {project.config_dir / PIPELINES_FILE}.",
        )
    missing = [package for package in PACKAGES if not _installed(package)]
    if missing:
        raise ConfigError(
            f"{LABEL}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed here.",
            state=UNTOUCHED,
            next_step="Install Tidegate with its extra: pip install 'tidegate[dbt]', or uv sync --no-dev --extra dbt.",
        )


def shown_path(project: Project, path: Path) -> str:
    """Return a path as errors name it: from the project's folder on, if it lies there."""
    return str(path.relative_to(project.folder) if path.is_relative_to(project.folder) else path)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
