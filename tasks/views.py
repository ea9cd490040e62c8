"""The lake as DuckDB views: of committed generations only, the newest version of each key first.

For each dataset there are three views: `flights` with the newest version of each key, `flights__history` with every
version and the columns `_window_start`, `_generation` and `_taken_at`, and `flights__quarantine` with the rows that a
gate or a check put aside, each with its `_reason`. A dataset in a folder, `crm/orders`, is the view `orders` of the
schema `crm`. The partition keys that come from the time column (`year`, `month`, `day`, `hour`) are integer columns. A
condition on partition keys keeps the other partitions' files unopened. What the lake's records say of all datasets is
in the schema `catalog`.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NoReturn

import duckdb

from blocks.duck import duck, read_files
from blocks.lake import Lake
from blocks.ledger import Ledger, datasets
from schemas.column_plan import quote_identifier
from schemas.config import Settings
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError, LakeError
from tasks.build.expressions import NotOneExpression, syntax_tree, walk, writes
from tasks.current_state import current_state
from tasks.versions import Versions

HISTORY, QUARANTINE = "__history", "__quarantine"
_UNCHANGED = "The lake is as it was: queries only read it."
# Statements about views as such, or that name them in some roundabout way: then all views have to be there.
_CATALOG = re.compile(r"\b(show|information_schema|sqlite_master|query|query_table|duckdb_\w+|pg_\w+)\b", re.IGNORECASE)
# Views of the lake's own records (`tasks.catalog.sql_views`).
_RECORDS = re.compile(r"""\bcatalog"?\s*\.""", re.IGNORECASE)
_SPACE = r"(\s|--[^\n]*\n|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"{_SPACE}explain\s+(analyze\b|\([^)]*\))?", re.IGNORECASE | re.DOTALL)
# DuckDB lets these stand in WITH, and calls the whole of it a SELECT.
_WRITE = frozenset({b"COPY", b"INSERT", b"UPDATE", b"DELETE"})
_RUNS_SQL = frozenset({"json_execute_serialized_sql"})
_PIVOT = re.compile(rf"{_SPACE}(from|with|pivot)\b", re.IGNORECASE | re.DOTALL)


@contextmanager
def open_views(
    lake: Lake, settings: Settings, only: Collection[str] | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB connection with the views of the lake's datasets; it is closed at the end.

    The views read; nothing can be written through them. Settings can no longer be changed on the connection.

    Args:
        lake: The lake.
        settings: DuckDB's limits.
        only: Names of the datasets that are needed; by default all. Each costs a read of its records.

    Raises:
        LakeError: There is no dataset in the lake.
        ConfigError: Two datasets would have the same view.
        ProofFailed: A record of a dataset is damaged.
    """
    known = _known(lake)
    with _opened(lake, settings, known, known if only is None else only) as connection:
        yield connection


@contextmanager
def query_lake(lake: Lake, settings: Settings, sql: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """Run one query over the lake's views; the result can be read until the block ends.

    Args:
        lake: The lake.
        settings: DuckDB's limits.
        sql: One statement that reads: SELECT, FROM, WITH, VALUES, PIVOT, SHOW, DESCRIBE, SUMMARIZE or EXPLAIN.

    Raises:
        ConfigError: The statement is wrong, does not only read, or names a dataset that does not exist; then the
            error names those that do.
        LakeError: There is no dataset in the lake, or a file could not be read.
    """
    known = _known(lake)
    with reading(lake, known):
        with duckdb.connect(":memory:") as parser:
            _refuse_unless_it_reads(sql, parser)
        catalog = _mentions_catalog(sql, known)
        with _opened(lake, settings, known, _mentioned(sql, known, catalog=catalog), catalog=catalog) as connection:
            yield connection.sql(sql)


def view_name(dataset: str) -> str:
    """Return the name of a dataset's view as it is written in SQL: `flights`, `crm.orders`."""
    folders, _, name = dataset.rpartition("/")
    return ".".join(_readable(part) for part in (folders, name) if part)


def _known(lake: Lake) -> list[str]:
    known = datasets(lake)
    if not known:
        raise LakeError(
            f"The lake {lake.url} holds no dataset: nothing was committed to it yet.",
            state="Nothing was read or changed.",
            next_step="Archive something first (tidegate archive NAME), or correct `lake` in settings.yaml.",
        )
    return known


@contextmanager
def _opened(
    lake: Lake, settings: Settings, known: list[str], needed: Collection[str], *, catalog: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    views: dict[str, str] = {}
    for name in known:
        _claim(name, views)
    with duck(settings) as connection:
        lake.attach(connection)
        with reading(lake, known):
            for name in known:
                if name in needed:
                    _create_views(connection, lake, name)
            if catalog:
                from tasks.catalog.sql_views import add_catalog  # reads the records of the whole lake

                add_catalog(connection, lake)
        connection.execute("SET lock_configuration = true")
        yield connection


def _create_views(connection: duckdb.DuckDBPyConnection, lake: Lake, dataset: str) -> None:
    generations = [g for g in Ledger(lake, dataset).generations() if g.manifest.dataset == dataset]
    every = Versions(lake, generations)
    # A table that is stored as a whole has the columns, and their types, that it has now.
    now = Versions(lake, current_state(generations))
    folders, _, name = dataset.rpartition("/")
    schema = f"memory.{quote_identifier(folders or 'main')}"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    connection.execute(f"CREATE VIEW {schema}.{quote_identifier(name)} AS {now.newest()}")
    connection.execute(f"CREATE VIEW {schema}.{quote_identifier(name + HISTORY)} AS {every.history()}")
    aside = [lake.duckdb_path(f.path) for g in current_state(generations) for f in g.quarantine]
    put_aside = f"SELECT *, CAST(NULL AS VARCHAR) AS _reason FROM ({now.newest()}) WHERE false"
    if aside:
        put_aside = f"SELECT * FROM {read_files(aside)[:-1]}, union_by_name = true)"
    connection.execute(f"CREATE VIEW {schema}.{quote_identifier(name + QUARANTINE)} AS {put_aside}")


def _claim(dataset: str, views: dict[str, str]) -> None:
    """Refuse two datasets whose views DuckDB could not tell apart; it ignores case."""
    name = (dataset if "/" in dataset else f"main/{dataset}").casefold()
    for view in (name, name + HISTORY, name + QUARANTINE):
        if view in views:
            raise ConfigError(
                f"The datasets {views[view]!r} and {dataset!r} would both have the view {view!r}.",
                state=_UNCHANGED,
                next_step="Give one of them another name: set `folder` in archives.yaml and move it in the lake.",
            )
        views[view] = dataset


def _mentions_catalog(sql: str, known: list[str]) -> bool:
    """Return whether the SQL names a view of the schema `catalog`; a folder of this name takes its place."""
    return bool(_RECORDS.search(sql)) and not any(name.casefold().startswith("catalog/") for name in known)


def _mentioned(sql: str, known: list[str], *, catalog: bool = False) -> list[str]:
    """Return the datasets whose names occur in the SQL, or all of them if that may not be what it needs."""
    text = sql.casefold()
    found = [name for name in known if name.rpartition("/")[2].casefold() in text]
    return found if (found or catalog) and not _CATALOG.search(sql) else known


def _refuse_unless_it_reads(sql: str, parser: duckdb.DuckDBPyConnection) -> None:
    statements = parser.extract_statements(sql)
    if len(statements) != 1:
        raise ConfigError(
            f"A query is one statement; these are {len(statements)}.",
            state=_UNCHANGED,
            next_step="Run them one by one.",
        )
    kind = statements[0].type
    if kind == duckdb.StatementType.EXPLAIN:  # EXPLAIN ANALYZE runs what it explains
        explain = _EXPLAIN.match(sql)
        if explain is None:
            _refuse(kind.name)
        _refuse_unless_it_reads(sql[explain.end() :], parser)
    elif kind == duckdb.StatementType.MULTI:  # what PIVOT comes apart into
        if not _PIVOT.match(sql):
            _refuse(kind.name)
        if writing := _in_brackets(sql):
            _refuse(writing)
    elif kind != duckdb.StatementType.SELECT:
        _refuse(kind.name)
    else:
        try:
            nodes = list(walk(syntax_tree(parser, sql)))
        except NotOneExpression:  # a SELECT of which DuckDB gives no syntax tree
            writing = _in_brackets(sql)
        else:
            called = {str(node.get("function_name", "")).casefold() for node in nodes}
            writing = writes(nodes) or next(iter(called & _RUNS_SQL), "")
        if writing:
            _refuse(writing)


def _in_brackets(sql: str) -> str:
    """Return the statement that writes in WITH, or "": of what PIVOT comes apart into, DuckDB gives no syntax tree."""
    text = sql.encode()  # places are counted in bytes
    starts = [place for place, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    words = [re.split(rb"\W", text[place : place + 8])[0].upper() or text[place : place + 1] for place in starts]
    return next((word.decode() for before, word in pairwise(words) if before == b"(" and word in _WRITE), "")


def _refuse(kind: str) -> NoReturn:
    raise ConfigError(
        f"{kind} is not a query: only statements that read are run here.",
        state=_UNCHANGED,
        next_step='Ask with SELECT, and send the answer where you want it: tidegate query --json "SELECT …" > FILE',
    )


@contextmanager
def reading(lake: Lake, known: list[str]) -> Iterator[None]:
    """Raise DuckDB's errors as those that say what to do next.

    Args:
        lake: The lake that is read.
        known: Its datasets.
    """
    try:
        yield
    except duckdb.CatalogException as error:
        missing = re.match(r"Catalog Error: Table with name (\S+)", str(error))
        if missing is None:
            raise _wrong_query(error) from error
        name = missing[1].strip('"')
        names = [view_name(dataset) for dataset in known]
        raise ConfigError(
            f"There is no dataset {name!r} in the lake {lake.url}{did_you_mean(name, names)}"
            f"{'' if did_you_mean(name, names) else '.'} Datasets: {', '.join(names)}.",
            state=_UNCHANGED,
            next_step=f"Name one of them; each has its earlier versions in NAME{HISTORY}.",
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise LakeError(
            f"The query needs more memory or disk than it may use: {error}",
            state=_UNCHANGED,
            next_step="Raise memory_limit, or set temp_dir to a larger disk, in settings.yaml.",
        ) from error
    except duckdb.Error as error:
        if not isinstance(error, duckdb.IOException) and f"{lake.url}/" not in str(error):
            raise _wrong_query(error) from error
        raise LakeError(
            f"A file could not be read: {error}",
            state=_UNCHANGED,
            next_step="If files were being removed just now, run it again; tidegate verify shows what is missing.",
        ) from error


def _wrong_query(error: duckdb.Error) -> ConfigError:
    return ConfigError(f"The query cannot be answered: {error}", state=_UNCHANGED, next_step="Correct the query.")


def _readable(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else quote_identifier(name)
