"""Which tables of the lake a node of a dbt project reads, by `source` or by their plain names."""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from tasks.build.dbt_database import DATABASE, View, folded
from tasks.build.dbt_graph import Graph
from tasks.build.expressions import NotOneExpression, is_steady, syntax_tree, walk

# What makes rows of its arguments alone.
_ROWS_OF_THEIR_OWN = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree", "repeat"})
_WITHOUT_SCHEMA = "main"


@dataclass(frozen=True, slots=True)
class Reads:
    """What a node reads.

    Attributes:
        views: The lake's views, as far as they are there.
        is_steady: Whether it makes the same of the same tables at any time, as far as its SQL tells.
    """

    views: frozenset[View]
    is_steady: bool


def reads_of(graph: Graph, name: str, views: Mapping[View, object]) -> Reads:
    """Return what a node reads itself, not by way of others."""
    node = graph.nodes[name]
    kind = node["resource_type"]
    if kind == "source":
        view = folded((str(node["schema"]), str(node["identifier"])))
        return Reads(frozenset({view} & views.keys()), view in views)
    sources = [graph.nodes[one] for one in graph.parents(name) if graph.nodes[one]["resource_type"] == "source"]
    named = {folded((str(one["schema"]), str(one["identifier"]))) for one in sources}
    if kind in ("seed", "unit_test"):
        return Reads(frozenset(named & views.keys()), True)
    code = graph.code(name)
    if code is None or node.get("language") == "python":
        return Reads(frozenset(named & views.keys()), False)
    return _in_sql(code, named, views, {folded(place) for place in _relations(graph)})


def _relations(graph: Graph) -> list[View]:
    return [(str(node["schema"]), str(node.get("alias") or node["name"])) for node in graph.nodes.values()]


def _in_sql(sql: str, named: set[View], views: Mapping[View, object], made: set[View]) -> Reads:
    with duckdb.connect(":memory:") as parser:
        try:
            nodes = list(walk(syntax_tree(parser, sql)))
        except NotOneExpression:  # dbt says what is wrong with it, if it is
            return Reads(frozenset(named & views.keys()), False)
    found, steady = set(named), is_steady(nodes)
    local = {str(cte["key"]).casefold() for node in nodes if "cte_map" in node for cte in node["cte_map"]["map"]}
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            schema, table = str(node["schema_name"]).casefold(), str(node["table_name"]).casefold()
            if not schema and not node["catalog_name"] and table in local:
                continue
            view = (schema or _WITHOUT_SCHEMA, table)
            found.add(view)
            known = view in views or view in made
            # Such as a file that is named like a table, or a table of a database that the SQL attaches.
            steady = steady and known and str(node["catalog_name"]).casefold() in ("", DATABASE)
        if node.get("type") == "TABLE_FUNCTION":
            steady = steady and str(node["function"].get("function_name", "")).casefold() in _ROWS_OF_THEIR_OWN
        if node.get("type") == "SHOW_REF":
            steady = False
    return Reads(frozenset(found & views.keys()), steady)
