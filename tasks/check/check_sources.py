"""Tries sources: each table of a database is looked at, files are listed, an API is asked once for each resource."""

from collections.abc import Callable, Iterator
from typing import Any

from schemas.any_source import AnySource
from schemas.config import Source
from schemas.project import Project
from schemas.sources.api import ApiSource, ApiTable
from schemas.sources.files import FilesSource, SftpSource
from tasks.check.checked import Check


def source_checks(project: Project) -> Iterator[Check]:
    """Yield what is to be tried of all enabled sources: the source itself, or each of its tables."""
    archived = {archive.source for archive in project.archives}
    for source in project.sources:
        if not source.enabled:
            continue
        tables = source.tables
        if isinstance(source, Source) and not tables and source.name not in archived:
            yield Check(f"source {source.name}", _connects(source), connects=True)
        for table in tables:
            subject = f"source {source.name}, {table.folder}"
            yield Check(subject, _TRY[source.type](project, source, table), connects=True)


def archive_checks(project: Project) -> Iterator[Check]:
    """Yield what is to be tried of archives: all that would keep one from being exported or purged."""
    for archive in project.archives:
        yield Check(f"archive {archive.name}", _archive(project, archive.name), connects=True)


def _connects(source: Source) -> Callable[[], str]:
    def work() -> str:
        from blocks.open_source import open_source

        with open_source(source).session():
            return "connected"

    return work


def _database(project: Project, source: Any, table: Any) -> Callable[[], str]:
    def work() -> str:
        from tasks.ingest.inspect_table import inspect_table

        extraction = inspect_table(project, source, table)
        by = f", by {extraction.options.key_column}" if extraction.options.mode == "incremental" else ""
        return f"{extraction.table.quoted}: {len(extraction.columns)} columns, {extraction.options.mode}{by}"

    return work


def _files(project: Project, source: Any, table: Any) -> Callable[[], str]:
    def work() -> str:
        from blocks.file_places.open_place import open_place

        assert isinstance(source, FilesSource | SftpSource)
        with open_place(source) as place:
            listing = place.list(table.files)
            found = f"{_count(len(listing.files), 'file')} {table.files} in {place.url}"
        left_out = [f"{one.name} {one.reason}" for one in listing.left_out]
        return "; left out: ".join([found, ", ".join(left_out)]) if left_out else found

    return work


def _api(project: Project, source: Any, table: Any) -> Callable[[], str]:
    def work() -> str:
        from blocks.http_api.client import ApiClient
        from blocks.http_api.pages import first_url, pages

        assert isinstance(source, ApiSource) and isinstance(table, ApiTable)
        extract = table.extract
        since = {extract.param: str(extract.start)} if extract.param and extract.start is not None else None
        url = first_url(source, table, since)
        # Whoever asks waits for the answer: one more attempt has to do.
        impatient = source.model_copy(update={"retries": min(source.retries, 1)})
        with ApiClient(impatient, lambda: None) as client:
            page = next(pages(client, table, url), None)
            return f"{_count(len(page.records) if page else 0, 'record')} on the first page of {client.hidden.url(url)}"

    return work


def _archive(project: Project, name: str) -> Callable[[], str]:
    def work() -> str:
        from tasks.inspect_source import inspect_source

        archive = project.archive(name)
        job = inspect_source(project, archive)
        return f"{job.table.quoted}: {len(job.columns)} columns, purge {archive.purge.mode}"

    return work


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


_Try = Callable[[Project, AnySource, Any], Callable[[], str]]
_TRY: dict[str, _Try] = {
    "postgresql": _database,
    "mysql": _database,
    "sqlite": _database,
    "sqlserver": _database,
    "files": _files,
    "sftp": _files,
    "api": _api,
}
