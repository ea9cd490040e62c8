"""Opens a source by what it is: the one place that knows all dialects."""

from importlib import import_module
from pathlib import Path

from blocks.source import Source
from blocks.source_url import secret_url_of
from schemas.config import Source as SourceConfig
from schemas.config import SourceType
from schemas.job import Job
from schemas.project import Project

# A dialect is imported when a source of its type is opened: nobody needs the drivers of all databases.
DIALECTS: dict[SourceType, str] = {
    "postgresql": "blocks.dialects.postgresql.source:PostgreSQL",
}


def open_source(source: SourceConfig) -> Source:
    """Return the database that an entry of `sources.yaml` names.

    Raises:
        ConfigError: There is no such block or password file.
    """
    module, _, name = DIALECTS[source.type].partition(":")
    opened: Source = getattr(import_module(module), name)(secret_url_of(source))
    return opened


def source_of(job: Job) -> Source:
    """Return the database that a job's rows are in; its connection is looked up now."""
    return source_named(job.config_dir, job.archive.source)


def source_named(config_dir: Path, name: str) -> Source:
    """Return a source by its name in `sources.yaml`."""
    return open_source(Project.load(config_dir).source(name))
