"""The SQL of a pipeline: `{{ raw('shop.orders') }}` is a table of the lake, and tells what the SQL depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError
from schemas.pipelines.pipeline import Pipeline
from schemas.pipelines.place import LAYERS, TablePlace
from tasks.build.expressions import NotOneExpression, is_steady, syntax_tree, walk, writes
from tasks.build.shape import wrong

# All others read what is in no lake, so that nobody could tell when it has changed, or do more than to read: DuckDB has
# functions of tables that run any SQL, or have it write a log of its own into a file.
_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"})


@dataclass(frozen=True, slots=True)
class SqlText:
    """A pipeline's SQL.

    Attributes:
        where: The file, or the key of the configuration.
        sql: One SELECT, with the names of the lake's views.
        datasets: What it reads, in the order in which it names it.
        is_steady: Whether it says the same of the same rows at any time.
    """

    where: str
    sql: str
    datasets: tuple[str, ...]
    is_steady: bool


def sql_text(pipeline: Pipeline, folder: Path) -> SqlText:
    """Return a pipeline's SQL with its references resolved.

    Args:
        pipeline: One that has SQL.
        folder: The project's folder, from which the paths of files start.

    Raises:
        ConfigError: The file cannot be read, is no template, is not one SELECT, or reads what is not a table of the
            lake. It names the file, and the line where that is known.
    """
    where, text = _source(pipeline, folder)
    found: dict[str, None] = {}
    sql = _rendered(where, text, found)
    with duckdb.connect(":memory:") as parser:
        try:
            statements = syntax_tree(parser, sql)
        except NotOneExpression as error:
            raise wrong(where, str(error), f"Correct the SQL of the pipeline '{pipeline.name}'.") from None
    if len(statements) != 1:
        raise wrong(where, f"must be one SELECT; these are {len(statements)} statements")
    nodes = list(walk(statements[0]))
    if kind := writes(nodes):
        raise wrong(where, f"must be a SELECT; there is a {kind} in it, which writes")
    _check_tables(where, nodes, tuple(found))
    return SqlText(where, sql, tuple(found), is_steady(nodes))


def view_of(dataset: str) -> str:
    """Return the quoted name of a dataset's view."""
    folders, _, name = dataset.rpartition("/")
    return ".".join(quote_identifier(part) for part in (folders, name) if part)


def _source(pipeline: Pipeline, folder: Path) -> tuple[str, str]:
    assert pipeline.sql is not None
    key = f"{pipeline.label}.sql"
    if not pipeline.sql_is_a_file:
        return key, pipeline.sql
    path = pipeline.sql_file(folder)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise wrong(
            key, f"the file {path} cannot be read: {error.strerror}", "Write it, or correct the path."
        ) from None
    except UnicodeDecodeError as error:
        raise wrong(str(path), f"must be UTF-8 text (byte {error.start} is not)") from None
    if not text.strip():
        raise wrong(str(path), "is empty; it must hold one SELECT")
    return str(path), text


def _rendered(where: str, text: str, found: dict[str, None]) -> str:
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)

    def layer(name: str) -> Callable[[Any], str]:
        def reference(table: Any) -> str:
            try:
                place = TablePlace.parse(str(table), name)
            except ValueError as error:
                raise wrong(where, f"{name}({str(table)!r}) {error}") from None
            found[place.dataset] = None
            return view_of(place.dataset)

        return reference

    environment.globals = {name: layer(name) for name in LAYERS}
    known = ", ".join(f"{name}('domain.table')" for name in LAYERS)
    try:
        return environment.from_string(text).render()
    except ConfigError:
        raise
    except TemplateSyntaxError as error:
        raise wrong(where, f"line {error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise wrong(where, f"{error.message}; known here: {known}") from None
    except Exception as error:  # noqa: BLE001 (whatever an expression in a template does)
        raise wrong(where, f"{type(error).__name__} in a reference: {error}; known here: {known}") from None


def _check_tables(where: str, nodes: list[dict[str, Any]], datasets: tuple[str, ...]) -> None:
    local = {str(cte["key"]).casefold() for node in nodes if "cte_map" in node for cte in node["cte_map"]["map"]}
    allowed = {tuple(part.casefold() for part in _path(dataset)) for dataset in datasets}
    hint = "Name tables of the lake as {{ raw('domain.table') }}, {{ staging('domain.table') }} or {{ consume('…') }}."
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            schema, table = str(node["schema_name"]), str(node["table_name"])
            alone = not schema and not node["catalog_name"] and table.casefold() in local
            if not alone and (schema.casefold(), table.casefold()) not in allowed:
                name = f"{schema}.{table}" if schema else table
                raise wrong(where, f"reads '{name}', which is neither a reference nor a WITH of its own", hint)
        if node.get("type") == "TABLE_FUNCTION":
            function = str(node["function"].get("function_name", "")).casefold()
            if function not in _FUNCTIONS:
                raise wrong(where, f"calls {function}(), which reads what is no table of the lake", hint)
        if node.get("type") == "SHOW_REF":
            raise wrong(where, "must be a SELECT over tables of the lake", hint)


def _path(dataset: str) -> tuple[str, str]:
    folders, _, name = dataset.rpartition("/")
    return folders, name
