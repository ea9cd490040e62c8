"""Keys as operators write them, turned into the texts that stand for them in the lake."""

from collections.abc import Sequence

from blocks.source import Session
from schemas.column_plan import Column
from schemas.errors import ConfigError
from schemas.restore import key_values

Keys = list[list[str] | None]


def exchange_keys(
    session: Session | None, columns: tuple[Column, ...], texts: Sequence[str], what: str, state: str
) -> Keys:
    """Return the keys, each as a text for each of the key's columns; None for a key that no row can have.

    Args:
        session: To the source, which reads a key as it reads its own: `A0EE…` is the uuid `a0ee…`. Without it, the
            texts must be those that the lake holds.
        columns: The key's columns.
        texts: The keys; one of several columns is a line of CSV.
        what: Names them in errors. A key itself is never repeated: it may be a person's name.
        state: What state the data is in.

    Raises:
        ConfigError: One cannot be read.
    """
    if not columns:
        raise ConfigError(
            f"{what} cannot be given: the table is archived without a key, so no single row can be named.",
            state=state,
            next_step="Use a predicate over the archived columns.",
        )
    keys: Keys = []
    for number, text in enumerate(texts, 1):
        try:
            values = key_values(text, tuple(column.name for column in columns))
            keys.append(session.canonical_key(columns, values) if session else list(values))
        except ConfigError:
            names = ", ".join(f"{column.name} ({column.source_type})" for column in columns)
            raise ConfigError(
                f"{what}: number {number} cannot be read as a key; the key is {names}.",
                state=state,
                next_step="Write a key of several columns as a line of CSV: 7,abc",
            ) from None
    return keys
