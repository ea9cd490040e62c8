"""Where a source's connection comes from: its URL, its parts, or a Prefect block. The one place that reads secrets."""

from schemas.config import Source
from schemas.errors import ConfigError


def secret_url_of(source: Source) -> str:
    """Return the URL of a source; a Prefect block is loaded only if the source names one."""
    if source.connection.block is None:
        return source.connection.secret_url().get_secret_value()
    from prefect.blocks.system import Secret

    try:
        block = Secret.load(source.connection.block)
    except ValueError as error:
        raise ConfigError(
            f"sources.yaml: sources[{source.name}].connection.block: there is no Secret block "
            f"{source.connection.block!r} in Prefect.",
            next_step="Create it (Prefect UI, Blocks, Secret) with the database's URL as its value.",
        ) from error
    return str(block.get())  # type: ignore[union-attr]
