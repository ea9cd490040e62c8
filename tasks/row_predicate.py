"""Predicates over archived rows, as operators write them: one expression of DuckDB's SQL, and nothing else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from schemas.errors import ConfigError, LakeError


def check_predicate(text: str, what: str, state: str) -> None:
    """Refuse text that is not one expression over a row's columns.

    Args:
        text: The predicate.
        what: Names it in errors, such as `--where`. The text itself is never repeated: it may hold a person's name.
        state: What state the data is in.

    Raises:
        ConfigError: It cannot be parsed, is more than one expression, or asks other tables.
    """
    try:
        duckdb.SQLExpression(text)
        with duckdb.connect(":memory:") as parser:
            row = parser.execute(
                "SELECT json_serialize_sql(?)", [f"SELECT 1 FROM archived WHERE {enclosed(text)}"]
            ).fetchone()
        tree = json.loads(row[0]) if row else {}
        alone = not tree.get("error", True) and len(tree["statements"]) == 1
    except (duckdb.Error, ValueError):
        alone = False
    if not alone:
        raise ConfigError(
            f"{what} is not one SQL expression.",
            state=state,
            next_step="Write a condition in DuckDB's SQL over the archived columns, as after WHERE in tidegate query.",
        )
    if '"class":"SUBQUERY"' in json.dumps(tree, separators=(",", ":")):
        raise ConfigError(
            f"{what} asks another table; it may look at the columns of a row only.",
            state=state,
            next_step="Write the values themselves: customer_id IN (17, 42).",
        )


def enclosed(text: str) -> str:
    """Return a checked predicate in parentheses of its own, so that a comment at its end swallows nothing."""
    return f"(\n{text}\n)"


def predicate_error(error: Exception, what: str, state: str) -> ConfigError:
    """Return the error for a predicate that cannot be evaluated; DuckDB's own words only where they hold no value."""
    told = ""
    if isinstance(error, duckdb.BinderException):
        told = f": {str(error).splitlines()[0].removeprefix('Binder Error: ')}"
    return ConfigError(
        f"{what} cannot be evaluated over the archived rows{told or '.'}",
        state=state,
        next_step="Correct the names and types in it; tidegate query shows the archived columns.",
    )


@contextmanager
def searching(what: str, state: str) -> Iterator[None]:
    """Turn DuckDB's errors into those of the house while rows are looked for.

    Args:
        what: Names in errors what they are looked for by.
        state: What state the data is in.

    Raises:
        LakeError: A file could not be read, or there was no room.
        ConfigError: The predicate is wrong.
    """
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        raise LakeError(
            f"The archived rows could not be searched: {type(error).__name__}.",
            state=state,
            next_step="tidegate verify shows what is missing or damaged; if it is memory, raise memory_limit.",
        ) from None
    except duckdb.Error as error:
        raise predicate_error(error, what, state) from None
