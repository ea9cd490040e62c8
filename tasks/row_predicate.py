"""Predicates over archived rows, as operators write them: one expression of DuckDB's SQL, and nothing else."""

import json

import duckdb

from schemas.errors import ConfigError


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
