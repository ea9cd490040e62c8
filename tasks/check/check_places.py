"""Tries where things go to: the lake, publications; and the Prefect server, if one is configured."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from schemas.errors import ConfigError, SourceError, SourceUnavailable
from schemas.pipelines.publication import PostgresPublication, Publication
from schemas.project import Project
from tasks.check.checked import Check

PREFECT_API_URL = "PREFECT_API_URL"
_TIMEOUT_S = 10.0


def place_checks(project: Project) -> Iterator[Check]:
    """Yield what is to be tried: the lake, each publication, and Prefect."""
    yield Check("lake", _lake(project), connects=True)
    for publication in project.publications:
        yield Check(f"publication {publication.name}", _publication(publication), connects=True)
    if os.environ.get(PREFECT_API_URL):
        yield Check("Prefect", _prefect, connects=True)


def _lake(project: Project) -> Callable[[], str]:
    def work() -> str:
        from blocks.open_lake import open_lake

        lake = open_lake(project.settings.lake, project.settings.temp_dir)
        lake.check(write=True)
        return f"{lake.url}: readable and writable"

    return work


def _publication(publication: Publication) -> Callable[[], str]:
    def work() -> str:
        if not isinstance(publication, PostgresPublication):
            return _folder(publication.path)
        from blocks.warehouse.connect import rows, warehouse

        with warehouse(publication, "Nothing was published.") as connection:
            ((may_create, name),) = rows(
                connection, "SELECT has_database_privilege(current_database(), 'CREATE'), current_database()"
            )
        note = "" if may_create else "; the user may make no schema there: those it publishes to have to exist"
        return f"connected to {name}{note}"

    return work


def _folder(file: Path) -> str:
    folder = next(parent for parent in file.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{file} cannot be written: {folder} is {'not writable for this user' if folder.is_dir() else 'a file'}.",
            next_step="See to the rights, or correct `path` of the publication in publish.yaml.",
        )
    return f"{file} can be written"


def _prefect() -> str:
    import httpx

    url = os.environ[PREFECT_API_URL].rstrip("/")
    try:
        answer = httpx.get(f"{url}/health", timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceUnavailable(
            f"{PREFECT_API_URL}: {url} does not answer ({type(error).__name__}).",
            next_step="Start the server (prefect server start), or correct or unset the variable.",
        ) from error
    if answer.status_code != httpx.codes.OK:
        raise SourceError(
            f"{PREFECT_API_URL}: {url}/health answered {answer.status_code}.",
            next_step="The variable has to end in /api, and the server to be healthy.",
        )
    return f"{url}: healthy"
