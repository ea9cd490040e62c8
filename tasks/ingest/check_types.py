"""Whether the types that the configuration gives columns are types, before anything is read."""

from collections.abc import Mapping

import duckdb

from schemas.errors import ConfigError


def check_types(types: Mapping[str, str], label: str) -> None:
    """Refuse names of types that DuckDB does not know.

    Args:
        types: For each column its type.
        label: Where the configuration has them, for errors.

    Raises:
        ConfigError: DuckDB does not know one.
    """
    with duckdb.connect(":memory:") as connection:
        for name, kind in types.items():
            try:
                connection.execute(f"SELECT CAST(NULL AS {kind})")
            except duckdb.Error as error:
                raise ConfigError(
                    f"{label}.types.{name}: {kind!r} is no type of DuckDB: {str(error).strip().splitlines()[0]}",
                    state="Nothing was read or written.",
                    next_step="Name one such as BIGINT, DECIMAL(12,2), DATE, TIMESTAMPTZ, VARCHAR or BOOLEAN.",
                ) from error
