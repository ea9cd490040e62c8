"""Finds what an erasure concerns: rows of the archive's own dataset, and rows of its children that refer to them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import duckdb

from blocks.duck import duck
from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from schemas.config import Archive
from schemas.erasure import NOTHING_ERASED, ErasureRequest, FileErasure, GenerationErasure
from schemas.errors import ConfigError
from schemas.job import Job
from schemas.project import Project
from schemas.table_name import TableName
from tasks.archive_source import ArchiveSource
from tasks.archived_keys import key_columns
from tasks.exchange_keys import exchange_keys
from tasks.inspect_source import inspect_source
from tasks.matched_rows import MatchedRows


@dataclass(frozen=True, slots=True)
class Member:
    """A dataset of which rows are to be erased, and which ones.

    Attributes:
        table: The table that the dataset was archived from.
        connection: What the rows were found with, and are written with again.
    """

    table: TableName
    ledger: Ledger
    generations: list[Generation]
    connection: duckdb.DuckDBPyConnection
    rows: MatchedRows

    def planned(self) -> tuple[GenerationErasure, ...]:
        """Return the generations and files that hold the rows."""
        found = {place.path: place.rows for place in self.rows.places()}
        planned = []
        for generation in self.generations:
            manifest = generation.manifest
            aside = {file.path for file in generation.quarantine}
            files = [file for file in (*manifest.files, *manifest.quarantine) if file.path in found]
            told = tuple(
                FileErasure(
                    name=file.path.rpartition("/")[2],
                    rows=found[file.path],
                    of=file.rows,
                    quarantine=file.path in aside,
                )
                for file in files
            )
            if told:
                planned.append(
                    GenerationErasure(
                        dataset=manifest.dataset,
                        manifest=manifest.path,
                        window=manifest.window,
                        generation=manifest.generation,
                        files=told,
                    )
                )
        return tuple(planned)


@contextmanager
def erasure_family(
    project: Project, archive: Archive, lake: Lake, request: ErasureRequest, source: ArchiveSource | None
) -> Iterator[list[Member]]:
    """Find the rows, children first, the archive's own dataset last.

    Raises:
        ConfigError: Nothing is archived, the request cannot be read, or it cannot be told which rows of children
            belong to the rows.
    """
    with ExitStack() as stack:
        own = _member(project, lake, archive.table, archive.resolved_folder, stack)
        if own is None:
            raise ConfigError(
                f"Nothing of {archive.name} is in the lake {lake.url} (folder {archive.resolved_folder}).",
                state=NOTHING_ERASED,
                next_step="tidegate status lists what is in the lake.",
            )
        _find(own, request, source)
        referring = _foreign_keys(project, archive, own, source) if archive.children else {}
        children = []
        for child in archive.children:
            member = _member(project, lake, child.table, child.resolved_folder, stack)
            if member is not None:
                member.rows.find_referring(referring[child.resolved_folder], own.rows.key_texts(), str(child.table))
                children.append(member)
        yield [*children, own]


def _member(project: Project, lake: Lake, table: TableName, dataset: str, stack: ExitStack) -> Member | None:
    ledger = Ledger(lake, dataset)
    generations = ledger.generations()
    if not generations:
        return None
    connection = stack.enter_context(duck(project.settings))
    return Member(table, ledger, generations, connection, MatchedRows(connection, lake, generations, NOTHING_ERASED))


def _find(own: Member, request: ErasureRequest, source: ArchiveSource | None) -> None:
    if request.where is not None:
        own.rows.find_where(request.where.get_secret_value(), "--where")
        return
    texts = [key.get_secret_value() for key in request.wanted_keys or ()]
    columns = key_columns(own.generations[-1].manifest)
    own.rows.find_keys(exchange_keys(source.session if source else None, columns, texts, "--key", NOTHING_ERASED))


def _foreign_keys(
    project: Project, archive: Archive, own: Member, source: ArchiveSource | None
) -> Mapping[str, tuple[str, ...]]:
    """Return, for the dataset of each child, its columns that name a row's key, in the key's order."""
    key = [column.name for column in own.rows.key_columns]
    if source is not None:
        job: Job = inspect_source(project, archive.with_overrides(purge=False))
        named = {child.dataset: dict(zip(child.parent.key, child.parent.foreign_key, strict=True))
                 for child in job.children if child.parent}  # fmt: skip
        return {dataset: tuple(columns[name] for name in key) for dataset, columns in named.items()}
    unknown = [str(child.table) for child in archive.children if len(child.foreign_key or ()) != 1 or len(key) != 1]
    if unknown:
        raise ConfigError(
            f"Without the source it cannot be told which rows of {', '.join(unknown)} belong to the rows.",
            state=NOTHING_ERASED,
            next_step=f"Name their foreign_key, one column, under archives[{archive.name}].children.",
        )
    return {child.resolved_folder: child.foreign_key or () for child in archive.children}
