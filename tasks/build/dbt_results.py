"""What dbt's tests found, in the words of quality checks; and what failed, with the file it stands in."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import duckdb

from schemas.run_record import CheckResult
from tasks.build.dbt_graph import Graph
from tasks.build.dbt_invoke import Results

EXAMPLES = 3
LONGEST = 60
_PASSED = ("pass", "success", "no-op", "reused")
_NOT_RUN = "skipped"


def checks_of(
    graph: Graph, name: str, results: Results, connection: duckdb.DuckDBPyConnection, rows: int
) -> tuple[CheckResult, ...]:
    """Return what the tests of a node found.

    Args:
        graph: The project.
        name: The node.
        results: What became of it and of its tests.
        connection: One to the database, to fetch examples of what is wrong.
        rows: Rows of the node.
    """
    tests = [test for test in graph.tests_of(name) if test in results and results[test]["status"] != _NOT_RUN]
    return tuple(check_of(graph, test, results[test], connection, rows) for test in sorted(tests))


def check_of(
    graph: Graph, name: str, result: Mapping[str, Any], connection: duckdb.DuckDBPyConnection, rows: int = 0
) -> CheckResult:
    """Return what a test found."""
    node, status = graph.nodes[name], result["status"]
    failed = int(result.get("failures") or 0)
    is_unit_test = node["resource_type"] == "unit_test"
    severity = str((node.get("config") or {}).get("severity") or "error").casefold()
    return CheckResult(
        check=_words(node),
        severity="warn" if severity == "warn" else "error",
        state="passed" if status in _PASSED else "warned" if status == "warn" else "refused",
        checked=0 if is_unit_test else max(rows, failed),
        failed=failed,
        examples=() if is_unit_test or not failed or status in _PASSED else _examples(result, connection),
        message="" if status in _PASSED else message_of(result),
    )


def message_of(result: Mapping[str, Any]) -> str:
    """Return what dbt says of a node that did not go well."""
    lines = [line.rstrip() for line in str(result.get("message") or result["status"]).splitlines()]
    return "\n".join(line for line in lines if line.strip()).strip()


def is_bad(result: Mapping[str, Any]) -> bool:
    """Return whether a node failed by itself: not one that passed, warned, or was not run because of another."""
    return result["status"] not in (*_PASSED, "warn", _NOT_RUN)


def _words(node: Mapping[str, Any]) -> str:
    metadata = node.get("test_metadata")
    if not metadata:
        return str(node["name"])
    name = ".".join(filter(None, [metadata.get("namespace"), metadata["name"]]))
    column = metadata.get("kwargs", {}).get("column_name")
    return f"{name}({column})" if column else name


def _examples(result: Mapping[str, Any], connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    with suppress(duckdb.Error):  # they are not there if what the test reads was not built
        found = connection.execute(f"SELECT * FROM (\n{result['compiled_code']}\n) LIMIT {EXAMPLES}").fetchall()
        return tuple(", ".join(str(value) for value in row)[:LONGEST] for row in found)
    return ()
