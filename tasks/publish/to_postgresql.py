"""Publishes one dataset as a table of a PostgreSQL database: looks what is there, then replaces or upserts it."""

import hashlib
import json
from dataclasses import dataclass

from blocks.run_records import read_run_records
from blocks.warehouse.column_types import column_types
from blocks.warehouse.connect import Connection, one, warehouse
from blocks.warehouse.existing import ExistingTable, existing_table, quoted
from blocks.warehouse.load import Incoming, Refused, make_schema
from blocks.warehouse.replace import Wanted, replace_table
from blocks.warehouse.rights import missing_rights
from blocks.warehouse.upsert import add_columns, upsert, upsert_obstacles
from schemas.errors import ConfigError
from schemas.pipelines.publication import Grants, PostgresPublication, PublishedTable, PublishMode
from schemas.publish_report import PublishedReport, PublishState
from schemas.table_name import TableName
from tasks.publish.lake_rows import LakeRows, lake_rows
from tasks.publish.mark import mark_of, marked
from tasks.publish.plan_publications import MAX_NAME_BYTES
from tasks.publish.request import PublishRequest


@dataclass(frozen=True, slots=True)
class _Form:
    """What the configuration makes of a dataset.

    Attributes:
        state: A digest of this and of the rows: nothing is to be done as long as it stays the same.
    """

    table: TableName
    mode: PublishMode
    types: dict[str, str]
    key: tuple[str, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    grants: Grants
    state: str


def publish_to_postgresql(request: PublishRequest) -> PublishedReport:
    """Copy a dataset into its table, unless the table holds it already.

    Raises:
        ConfigError: A right is missing, something hangs on the table that would be lost, or the publication asks for
            what the dataset does not have. Nothing was written.
        TidegateError: It failed; the table is as it was.
    """
    publication, placement = request.publication, request.placement
    assert isinstance(publication, PostgresPublication) and placement.table is not None
    unchanged = f"{placement.target} is as it was."
    with (
        lake_rows(request.lake, request.project.settings, placement.dataset) as source,
        warehouse(publication, unchanged) as connection,
    ):
        form = _form(publication, placement.entry or PublishedTable(dataset=placement.dataset), placement.table, source)
        there = existing_table(connection, form.table)
        if not request.full and (rows := _published(connection, there, placement.dataset, form)) is not None:
            return placement.report(PublishState.UNCHANGED, rows=rows)
        upserts = form.mode == "upsert" and there is not None
        _refuse_what_cannot_be(connection, request, form, there, upserts=upserts)
        expected = source.count()
        action = "create" if there is None else form.mode
        if request.dry_run:
            return placement.report(PublishState.PLANNED, action=action, rows=expected)
        incoming = Incoming(form.types, source.batches(expected), expected)
        comment = marked(there.comment if there else None, placement.dataset, form.state, expected)
        try:
            if there is not None and upserts:
                return _upsert(connection, request, form, there, incoming)
            make_schema(connection, form.table)
            wanted = Wanted(
                key=form.primary_key, indexes=form.indexes, grants=form.grants, comment=comment,
                lock_timeout_s=publication.lock_timeout_s, give_up_after_s=publication.give_up_after_s,
            )  # fmt: skip
            replace_table(connection, form.table, there, incoming, wanted)
        except Refused as error:
            raise _nul_refused(error, form.table, source) from error
        return placement.report(PublishState.DONE, action=action, rows=expected)


def _upsert(
    connection: Connection, request: PublishRequest, form: _Form, there: ExistingTable, incoming: Incoming
) -> PublishedReport:
    added = add_columns(connection, form.table, there, form.types)
    comment = marked(there.comment, request.placement.dataset, form.state, "{rows}") if there.owned else None
    done = upsert(connection, form.table, incoming, form.key, form.grants, comment)
    return request.placement.report(
        PublishState.DONE if done.inserted or done.updated or added else PublishState.UNCHANGED,
        action="upsert",
        rows=incoming.expected,
        inserted=done.inserted,
        updated=done.updated,
        equal=done.equal,
        note=f"new columns: {', '.join(added)}" if added else "",
    )


def _form(publication: PostgresPublication, entry: PublishedTable, table: TableName, source: LakeRows) -> _Form:
    types = column_types(source.columns, source.manifests)
    where = f"publish.yaml: publications[{publication.name}].tables[{entry.dataset}]"
    for columns, option in ((entry.key or (), "key"), *((index, "indexes") for index in entry.indexes)):
        for name in columns:
            if name not in types:
                raise _wrong(f"{where}.{option}: {table} has no column '{name}'; it has {', '.join(types)}.")
    long = next((name for name in types if len(name.encode()) > MAX_NAME_BYTES), None)
    if long is not None:
        raise _wrong(f"{table}: '{long}' has more than the {MAX_NAME_BYTES} bytes that a column's name can have.")
    mode: PublishMode = entry.mode or publication.mode
    key = entry.key or source.key
    if mode == "upsert" and not key:
        raise _wrong(f"{where}: mode: upsert needs a key, and the lake knows none of this dataset.")
    indexes = (*entry.indexes, *(i for i in publication.indexes if set(i) <= set(types) and i not in entry.indexes))
    grants = {
        role: tuple(dict.fromkeys((*publication.grants.get(role, ()), *entry.grants.get(role, ()))))
        for role in dict.fromkeys((*publication.grants, *entry.grants))
    }
    primary = key if mode == "upsert" else entry.key or ()
    said = json.dumps([mode, types, key, primary, indexes, sorted(grants.items())])
    state = hashlib.sha256(f"{source.state} {said}".encode()).hexdigest()
    return _Form(table, mode, types, key, primary, indexes, grants, state)


def _published(connection: Connection, there: ExistingTable | None, dataset: str, form: _Form) -> int | None:
    """Return how many rows a table has that holds what it would be given; None if it does not."""
    mark = mark_of(there.comment) if there is not None else None
    if mark is None or (mark.dataset, mark.state) != (dataset, form.state):
        return None
    return mark.rows if one(connection, f"SELECT count(*) FROM {quoted(form.table)}") == mark.rows else None


def _refuse_what_cannot_be(
    connection: Connection, request: PublishRequest, form: _Form, there: ExistingTable | None, *, upserts: bool
) -> None:
    found = missing_rights(connection, form.table, there, form.grants, upsert=upserts)
    next_step = "Grant what is missing, then run the same command again."
    if not found and there is not None and upserts:
        found = upsert_obstacles(form.table, there, form.types, form.key)
        next_step = "Change the table or the pipeline so that they agree, or publish with mode: replace."
    elif not found and there is not None:
        found = list(there.obstacles)
        next_step = (
            "A new table in its place would be without it. Drop it first, publish under another name (as:), or with "
            "mode: upsert, which keeps the table and its rows."
        )
        if not found and _is_somebodys(connection, request, form.table, there):
            found = ["it has rows that Tidegate did not publish"]
            next_step = "Publish under another name (as:), or empty the table first if its rows may go."
    if found:
        raise ConfigError(
            f"{form.table} cannot be published: {'; '.join(found)}.",
            state=f"{form.table} is as it was.",
            next_step=next_step,
        )


def _is_somebodys(connection: Connection, request: PublishRequest, table: TableName, there: ExistingTable) -> bool:
    """Return whether a table holds rows, and nothing tells that they were published by us."""
    if mark_of(there.comment) is not None:
        return False
    if not one(connection, f"SELECT count(*) FROM (SELECT FROM {quoted(table)} LIMIT 1) AS any_row"):
        return False
    return not any(r.job == "publish" and r.error is None for r in read_run_records(request.lake, [request.name]))


def _nul_refused(error: Refused, table: TableName, source: LakeRows) -> Refused:
    """Return the error for rows that PostgreSQL refused, with the columns that hold what no PostgreSQL can store."""
    if "0x00" not in error.what:
        return error
    columns = ", ".join(f"{name} ({rows} rows)" for name, rows in source.columns_with_nul().items())
    return Refused(
        f"{table}: PostgreSQL cannot store the NUL character in text, and there is one in: {columns}.",
        state=error.state,
        next_step="Let the pipeline replace it: replace(column, chr(0), '').",
    )


def _wrong(what: str) -> ConfigError:
    return ConfigError(what, state="Nothing was published of it.", next_step="Correct publish.yaml or the pipeline.")
