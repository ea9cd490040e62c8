"""One SQL expression of an operator: that it is one and no more, which columns it names, and whether it is steady."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb

# What DuckDB computes anew at each run, though nothing has changed.
_UNSTEADY_FUNCTIONS = frozenset({
    "now", "today", "current_date", "current_timestamp", "get_current_timestamp", "get_current_time", "current_time",
    "transaction_timestamp", "current_localtime", "current_localtimestamp", "localtime", "localtimestamp", "random",
    "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval", "setseed",
})  # fmt: skip
# Words that stand for a value where a column's name could stand.
_VALUES = frozenset({
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user", "session_user",
    "user",
})  # fmt: skip
_WRITING = "_QUERY_NODE"
_LEFT_OUT = ("distinct", "where_clause", "having", "qualify", "sample")


@dataclass(frozen=True, slots=True)
class Expression:
    """An SQL expression.

    Attributes:
        sql: As it is put into a query: in brackets, on lines of its own.
        columns: The columns that it names, or () if none.
        is_steady: Whether it says the same of the same rows at any time.
    """

    sql: str
    columns: tuple[str, ...]
    is_steady: bool


class NotOneExpression(ValueError):
    """A text is not one SQL expression over the columns of a row; says why."""


def parse_expression(parser: duckdb.DuckDBPyConnection, text: str) -> Expression:
    """Return an expression; what else the text may hold is refused.

    Args:
        parser: Any connection; nothing is run on it but its parser.
        text: The operator's text.

    Raises:
        NotOneExpression: It does not parse, is more than one expression, or looks at other tables.
    """
    # By itself, so that no bracket of ours closes one of its own; and in brackets, as it will stand.
    value = _only_value(parser, f"SELECT\n{text}\n")
    if value.get("alias"):
        raise NotOneExpression(f"must be an expression without a name of its own (AS {value['alias']})")
    _only_value(parser, f"SELECT (\n{text}\n)")
    nodes = list(walk(value))
    if any(node.get("class") == "SUBQUERY" for node in nodes):
        raise NotOneExpression("must not look at other tables; use a join, or a pipeline with sql")
    if any(node.get("class") == "STAR" for node in nodes):
        raise NotOneExpression("must be one expression, and not one for all columns (*, COLUMNS)")
    inside = text.strip()
    return Expression(
        f"(\n{inside}\n)" if "\n" in inside or "--" in inside else f"({inside})", columns_in(value), is_steady(nodes)
    )


def syntax_tree(parser: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return the statements of a text, as DuckDB reads them.

    Raises:
        NotOneExpression: It does not parse; the message has DuckDB's line.
    """
    try:
        parser.extract_statements(sql)  # whose errors show the line
    except duckdb.Error as error:
        raise NotOneExpression(f"is not SQL: {error}") from None
    answer = parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert answer is not None
    tree: dict[str, Any] = json.loads(answer[0])
    if tree["error"]:
        raise NotOneExpression(f"must be a SELECT: {tree['error_message']}")
    statements: list[dict[str, Any]] = tree["statements"]
    return statements


def walk(node: object) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a syntax tree."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def is_steady(nodes: list[dict[str, Any]]) -> bool:
    """Return whether nothing in it changes from run to run by itself."""
    called = {str(node.get("function_name", "")).casefold() for node in nodes}
    named = {str(name).casefold() for node in nodes for name in node.get("column_names", ())[:1]}
    # With one moment, its age is that of today.
    ages = any(str(n.get("function_name", "")).casefold() == "age" and len(n["arguments"]) == 1 for n in nodes)
    return not ages and called.isdisjoint(_UNSTEADY_FUNCTIONS) and named.isdisjoint(_UNSTEADY_FUNCTIONS & _VALUES)


def writes(nodes: Iterable[dict[str, Any]]) -> str:
    """Return the statement that writes, such as COPY or INSERT, if one stands among the nodes; or "".

    DuckDB lets them stand in WITH, and calls the whole of it a SELECT.
    """
    kinds = (str(node.get("type", "")) for node in nodes)
    return next((kind.removesuffix(_WRITING) for kind in kinds if kind.endswith(_WRITING)), "")


def columns_in(node: object, bound: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return the columns that an expression names, but for the parameters of its lambdas."""
    return tuple(dict.fromkeys(_columns(node, bound)))


def _columns(node: object, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(node, list):
        for value in node:
            yield from _columns(value, bound)
    elif isinstance(node, dict):
        if node.get("class") == "LAMBDA" and node.get("syntax_type") == "LAMBDA_KEYWORD":  # the arrow is JSON's
            yield from _columns(node["expr"], bound | set(_columns(node["lhs"], frozenset())))
        elif node.get("class") == "COLUMN_REF":
            name = str(node["column_names"][0])
            if name not in bound and name.casefold() not in _VALUES:
                yield name
        else:
            for value in node.values():
                yield from _columns(value, bound)


def _only_value(parser: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    statements = syntax_tree(parser, sql)
    select = statements[0]["node"]
    plain = (
        len(statements) == 1
        and select["type"] == "SELECT_NODE"
        and select["from_table"]["type"] == "EMPTY"
        and not select["modifiers"]
        and not select["cte_map"]["map"]
        and not select["group_expressions"]
        and not any(select.get(key) for key in _LEFT_OUT)
        and len(select["select_list"]) == 1
    )
    if not plain:
        raise NotOneExpression("must be one SQL expression, and nothing else")
    value: dict[str, Any] = select["select_list"][0]
    return value
