"""A project: a folder with `config/`, whose files say what comes from where into which lake, and what becomes of it."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from pydantic import ValidationError, model_validator

from schemas.any_source import AnySource, AnyTable, SourceEntry
from schemas.config import Archive, Settings, Source
from schemas.config_file import read_config_file
from schemas.config_model import PROJECT_FOLDER, ConfigModel
from schemas.config_problems import config_error, did_you_mean, problems_of
from schemas.errors import ConfigError
from schemas.extract_config import LAYERS, ExtractTable
from schemas.pipelines.dbt import PIPELINE as DBT
from schemas.pipelines.dbt import DbtProject
from schemas.pipelines.pipeline import Pipeline, contradictions
from schemas.pipelines.publication import Publication

SETTINGS_FILE, SOURCES_FILE, ARCHIVES_FILE = "settings.yaml", "sources.yaml", "archives.yaml"
PIPELINES_FILE, PUBLISH_FILE = "pipelines.yaml", "publish.yaml"

Model = TypeVar("Model", bound=ConfigModel)


class _Sources(ConfigModel):
    sources: tuple[SourceEntry, ...]


class _Archives(ConfigModel):
    archives: tuple[Archive, ...]


class _Pipelines(ConfigModel):
    pipelines: tuple[Pipeline, ...]
    dbt: DbtProject | None = None

    @model_validator(mode="before")
    @classmethod
    def _dbt_can_take_their_place(cls, given: object) -> object:
        return {"pipelines": [], **given} if isinstance(given, dict) and "dbt" in given else given


class _Publications(ConfigModel):
    publications: tuple[Publication, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The configuration of one project, read and checked as a whole."""

    config_dir: Path
    settings: Settings
    sources: tuple[AnySource, ...]
    archives: tuple[Archive, ...]
    pipelines: tuple[Pipeline, ...] = ()
    dbt: DbtProject | None = None
    publications: tuple[Publication, ...] = ()

    @classmethod
    def load(cls, config_dir: Path | str) -> Self:
        """Read `sources.yaml`, `archives.yaml` (optional if a source has `tables`), and the files that are optional.

        Relative paths in them start from the folder that `config_dir` is in. Passwords in files are not read yet.
        Python modules in that folder (gates, transformations) can be imported from then on.

        Raises:
            ConfigError: Something is wrong. It lists every problem by file, key and value, and shows no secret.
        """
        folder = _existing(config_dir)
        problems: list[str] = []
        settings = _settings(folder, problems)
        sources = _read(folder / SOURCES_FILE, _Sources, "sources", problems)
        archives = _archives(folder, sources, problems)
        pipelines = _optional(folder / PIPELINES_FILE, _Pipelines, "pipelines", problems)
        publications = _optional(folder / PUBLISH_FILE, _Publications, "publications", problems)
        if sources and archives:
            problems += _contradictions(sources.sources, archives.archives)
        if publications:
            problems += _names_taken((p.name for p in publications.publications), PUBLISH_FILE, "publications")
        problems += contradictions(pipelines.pipelines, PIPELINES_FILE) if pipelines else ()
        if pipelines and pipelines.dbt and any(pipeline.name == DBT for pipeline in pipelines.pipelines):
            problems.append(f"{PIPELINES_FILE}: pipelines[{DBT}].name: '{DBT}' names the dbt project")
        if problems or not (settings and sources and archives):
            raise _wrong(folder, problems)
        _make_importable(folder.parent)
        return cls(
            config_dir=folder,
            settings=settings,
            sources=sources.sources,
            archives=archives.archives,
            pipelines=pipelines.pipelines if pipelines else (),
            dbt=pipelines.dbt if pipelines else None,
            publications=publications.publications if publications else (),
        )

    @staticmethod
    def load_settings(config_dir: Path | str) -> Settings:
        """Read `settings.yaml` alone: what commands need that read the lake and know no source.

        Raises:
            ConfigError: It is wrong, or there is no such configuration folder.
        """
        folder = _existing(config_dir)
        problems: list[str] = []
        settings = _settings(folder, problems)
        if settings is None:
            raise _wrong(folder, problems)
        return settings

    @property
    def folder(self) -> Path:
        """The project's folder, from which relative paths start."""
        return self.config_dir.parent

    def archive(self, name: str) -> Archive:
        """Return the archive called `name`.

        Raises:
            ConfigError: There is none; it names the closest one, and all there are.
        """
        return _called(name, self.archives, "archive", self.config_dir / ARCHIVES_FILE)

    def member(self, name: str) -> Archive:
        """Return the archive called `name`, or that of the child in the lake's folder `name`.

        Raises:
            ConfigError: There is none of that name.
        """
        children = {child.resolved_folder: child for archive in self.archives for child in archive.family[1:]}
        is_child = name in children and all(archive.name != name for archive in self.archives)
        return children[name] if is_child else self.archive(name)

    def extractable(self, sources: Sequence[str] = (), tables: Sequence[str] = ()) -> list[tuple[AnySource, AnyTable]]:
        """Return the tables to be extracted, in their order: those of all enabled sources, or of the named ones.

        Args:
            sources: Names of sources; they need not be enabled.
            tables: Names of tables, or of their folders; by default all of these sources.

        Raises:
            ConfigError: A source or table is not there, or there is nothing to extract.
        """
        chosen = [self.source(name) for name in sources] or [source for source in self.sources if source.enabled]
        found = [(source, entry) for source in chosen for entry in source.tables]
        named = {name for _, entry in found for name in _names(entry)}
        unknown = [name for name in tables if name not in named]
        if unknown or not found:
            where = ", ".join(source.name for source in chosen) or "no enabled source"
            raise ConfigError(
                f"There is no table '{unknown[0]}' under {where}{did_you_mean(unknown[0], named) or '.'}"
                if unknown
                else f"There are no tables to extract: {where} has no `tables` in {self.config_dir / SOURCES_FILE}.",
                state="No source and no lake was touched.",
                next_step=f"List them under `tables` of the source in {self.config_dir / SOURCES_FILE}.",
            )
        wanted = set(tables)
        return [(s, e) for s, e in found if not wanted or wanted & _names(e)]

    def source(self, name: str) -> AnySource:
        """Return the source called `name`.

        Raises:
            ConfigError: There is none; it names the closest one, and all there are.
        """
        return _called(name, self.sources, "source", self.config_dir / SOURCES_FILE)

    def database(self, name: str) -> Source:
        """Return the source called `name`, which is a database.

        Raises:
            ConfigError: There is none, or it is no database.
        """
        source = self.source(name)
        if not isinstance(source, Source):
            raise ConfigError(
                f"The source '{name}' is of type {source.type}, and no database.",
                next_step=f"Name a source that is one, in {self.config_dir / SOURCES_FILE}.",
            )
        return source

    def pipeline(self, name: str) -> Pipeline:
        """Return the pipeline called `name`.

        Raises:
            ConfigError: There is none; it names the closest one, and all there are.
        """
        return _called(name, self.pipelines, "pipeline", self.config_dir / PIPELINES_FILE)

    def publication(self, name: str) -> Publication:
        """Return the publication called `name`.

        Raises:
            ConfigError: There is none; it names the closest one, and all there are.
        """
        return _called(name, self.publications, "publication", self.config_dir / PUBLISH_FILE)


Entry = TypeVar("Entry", Archive, AnySource, Pipeline, Publication)


def _names(entry: AnyTable) -> set[str]:
    table = entry.table if isinstance(entry, ExtractTable) else None
    return {entry.folder, *((str(table), table.name) if table else ())}


def _called(name: str, entries: Sequence[Entry], kind: str, file: Path) -> Entry:
    for entry in entries:
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries]
    raise ConfigError(
        f"There is no {kind} '{name}'{did_you_mean(name, known) or '.'} Known: {', '.join(known) or 'none'}.",
        state="No source and no lake was touched.",
        next_step=f"Name one of them, or add '{name}' to {file}.",
    )


def _existing(config_dir: Path | str) -> Path:
    # Not resolve(): a link to a folder has the parent that it is named with.
    folder = Path(os.path.normpath(Path(config_dir).expanduser().absolute()))
    if not folder.is_dir():
        raise ConfigError(
            f"There is no configuration folder {folder}.",
            state="No source and no lake was touched.",
            next_step="Run it in the project's folder, or name the configuration with --config DIR.",
        )
    return folder


def _make_importable(folder: Path) -> None:
    # Last, so that no file of a project can take the place of a module that something else needs.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _settings(folder: Path, problems: list[str]) -> Settings | None:
    if (folder / SETTINGS_FILE).exists():
        return _read(folder / SETTINGS_FILE, Settings, None, problems)
    return Settings.model_validate({}, context=_context(folder))


def _archives(folder: Path, sources: _Sources | None, problems: list[str]) -> _Archives | None:
    # A project that only fills the raw layer has none. Where sources.yaml is wrong, nobody can tell; that is told.
    missing = not (folder / ARCHIVES_FILE).exists()
    if missing and (sources is None or any(source.tables for source in sources.sources)):
        return _Archives(archives=())
    return _read(folder / ARCHIVES_FILE, _Archives, "archives", problems)


def _optional(path: Path, model: type[Model], top_key: str, problems: list[str]) -> Model | None:
    return _read(path, model, top_key, problems) if path.exists() else None


def _wrong(folder: Path, problems: list[str]) -> ConfigError:
    return config_error(
        f"The configuration in {folder} is wrong",
        problems,
        next_step="Correct what is named above, then run the same command again.",
    )


def _context(config_dir: Path) -> dict[str, Path]:
    return {PROJECT_FOLDER: config_dir.parent}


def _read(path: Path, model: type[Model], top_key: str | None, problems: list[str]) -> Model | None:
    data: dict[object, object] = {}
    try:
        data = read_config_file(path, top_key)
        return model.model_validate(data, context=_context(path.parent))
    except ConfigError as error:
        # What is wrong with .env is wrong for every file.
        problems += [line for line in error.what.splitlines() if line not in problems]
    except ValidationError as error:
        problems += problems_of(error, model, data, path.name)
    return None


def _contradictions(sources: Sequence[AnySource], archives: Sequence[Archive]) -> Iterator[str]:
    yield from _names_taken((source.name for source in sources), SOURCES_FILE, "sources")
    yield from _names_taken((archive.name for archive in archives), ARCHIVES_FILE, "archives")
    known = [source.name for source in sources]
    for archive in archives:
        if archive.source not in known:
            hint = did_you_mean(archive.source, known) or f"; known: {', '.join(known) or 'none'}"
            yield f"{ARCHIVES_FILE}: archives[{archive.name}].source: there is no source '{archive.source}'{hint}"
        if archive.source in known and not isinstance(sources[known.index(archive.source)], Source):
            kind = sources[known.index(archive.source)].type
            yield f"{ARCHIVES_FILE}: archives[{archive.name}].source: must be a database; '{archive.source}' is {kind}"
        for folder in archive.folders:
            if folder.split("/")[0].casefold() in LAYERS:
                yield (
                    f"{ARCHIVES_FILE}: archives[{archive.name}].folder: '{folder}' is a layer's place in the lake;"
                    f" {', '.join(LAYERS)} are taken"
                )
    for place, archive in enumerate(archives):
        for other in archives[:place]:
            if _overlap(archive.resolved_folder, other.resolved_folder):
                yield (
                    f"{ARCHIVES_FILE}: archives[{archive.name}].folder: '{archive.resolved_folder}' lies in the folder"
                    f" of archives[{other.name}] ('{other.resolved_folder}') or around it; each needs its own"
                )


def _names_taken(names: Iterable[str], file: str, key: str) -> Iterator[str]:
    first: dict[str, int] = {}
    for place, name in enumerate(names):
        if name in first:
            yield f"{file}: {key}[{place}].name: '{name}' is taken by {key}[{first[name]}]"
        first.setdefault(name, place)


def _overlap(folder: str, other: str) -> bool:
    # Orphans are removed folder by folder, so one archive must not lie within another's. Some disks ignore case.
    folder, other = f"{folder.casefold()}/", f"{other.casefold()}/"
    return folder.startswith(other) or other.startswith(folder)
