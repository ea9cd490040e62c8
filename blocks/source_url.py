"""Where a source's connection comes from: its URL, its parts, or a Prefect block. The one place that reads secrets."""

from schemas.config import Source
from schemas.connection import Connection
from schemas.errors import ConfigError
from schemas.pipelines.publication import PostgresPublication


def secret_url_of(source: Source) -> str:
    """Return the URL of a source; a Prefect block is loaded only if the source names one."""
    return _secret_url(source.connection, source.type, f"sources[{source.name}].connection")


def secret_replica_url_of(source: Source) -> str | None:
    """Return the URL of the replica that a source's exports read from, or None if it has none."""
    return _secret_url(source.replica, source.type, f"sources[{source.name}].replica") if source.replica else None


def secret_url_of_publication(publication: PostgresPublication) -> str:
    """Return the URL of the database that a publication goes to."""
    where = f"publications[{publication.name}].connection"
    return _secret_url(publication.connection, "postgresql", where, "publish.yaml")


def _secret_url(connection: Connection, scheme: str, where: str, file: str = "sources.yaml") -> str:
    if connection.block is None:
        return connection.secret_url(scheme).get_secret_value()
    from prefect.blocks.system import Secret

    try:
        block = Secret.load(connection.block)
    except ValueError as error:
        raise ConfigError(
            f"{file}: {where}.block: there is no Secret block {connection.block!r} in Prefect.",
            next_step="Create it (Prefect UI, Blocks, Secret) with the database's URL as its value.",
        ) from error
    return str(block.get())  # type: ignore[union-attr]
