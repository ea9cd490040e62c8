"""Opens a source by what it is: the one place that knows all dialects."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from blocks.source import Source, SourceSnapshot
from blocks.source_url import secret_replica_url_of, secret_url_of
from schemas.config import Source as SourceConfig
from schemas.config import SourceType
from schemas.errors import SourceUnavailable
from schemas.manifest import Snapshot
from schemas.project import Project
from schemas.reading import Reading

# A dialect is imported when a source of its type is opened: nobody needs the drivers of all databases.
DIALECTS: dict[SourceType, str] = {
    "postgresql": "blocks.dialects.postgresql.source:PostgreSQL",
    "mysql": "blocks.dialects.mysql.source:MySQL",
    "sqlite": "blocks.dialects.sqlite.source:SQLite",
    "sqlserver": "blocks.dialects.sqlserver.source:SQLServer",
}
# Modules with `replica_obstacles` and `is_behind`, for the types whose exports may read from a replica.
REPLICAS: dict[SourceType, str] = {"postgresql": "blocks.dialects.postgresql.replica"}


def open_source(source: SourceConfig) -> Source:
    """Return the database that an entry of `sources.yaml` names.

    Raises:
        ConfigError: There is no such block or password file.
    """
    return _opened(source, secret_url_of(source))


def _opened(source: SourceConfig, url: str) -> Source:
    module, _, name = DIALECTS[source.type].partition(":")
    opened: Source = getattr(import_module(module), name)(url)
    return opened


def replica_obstacles(source: SourceConfig, job: Reading) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the replica that exports are to read from, and what to do about it; if there is one."""
    url = secret_replica_url_of(source)
    if url is not None:
        yield from import_module(REPLICAS[source.type]).replica_obstacles(secret_url_of(source), url, job)


@contextmanager
def reading_snapshot(job: Reading, earlier: Sequence[Snapshot]) -> Iterator[SourceSnapshot]:
    """Hold a moment of the source for an export: of the replica, if the source has one, otherwise of the source.

    Args:
        job: What is to be read.
        earlier: What other generations of it were read from.

    Raises:
        SourceUnavailable: The replica is behind, and something was read elsewhere before: its old versions of rows
            would pass for newer ones.
    """
    source = Project.load(job.config_dir).database(job.source_name)
    url = secret_replica_url_of(source)
    if url is None:
        with open_source(source).snapshot() as snapshot:
            yield snapshot
        return
    behind = bool(earlier) and import_module(REPLICAS[source.type]).is_behind(secret_url_of(source), url)
    with _opened(source, url).snapshot() as snapshot:
        if behind and any(other.cluster != snapshot.record.cluster for other in earlier):
            raise SourceUnavailable(
                f"The replica of {source.name} is behind, and earlier generations were read elsewhere.",
                state="Nothing was committed or deleted.",
                next_step="Run the same command again once the replica has caught up, or take `replica` out of "
                "sources.yaml for now.",
            )
        yield snapshot


def source_of(job: Reading) -> Source:
    """Return the database that a job's rows are in; its connection is looked up now."""
    return source_named(job.config_dir, job.source_name)


def source_named(config_dir: Path, name: str) -> Source:
    """Return a source by its name in `sources.yaml`."""
    return open_source(Project.load(config_dir).database(name))
