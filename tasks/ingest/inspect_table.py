"""Checks what the configuration says of a source's table against its database, before anything is read or written."""

from blocks.gate import load_gate
from blocks.open_source import open_source, replica_obstacles
from blocks.source import Session
from schemas.column_plan import TIME_KINDS, Column, Kind
from schemas.config import Source
from schemas.errors import ConfigError, TidegateError
from schemas.extract_config import ExtractTable, options_of
from schemas.extraction import PROVENANCE, Extraction
from schemas.project import Project
from schemas.table import Table
from schemas.table_name import TableName
from tasks.ingest.query_errors import name_query
from tasks.stored_columns import stored_columns

_UNTOUCHED = "Nothing was read or written."


def inspect_table(project: Project, source: Source, entry: ExtractTable) -> Extraction:
    """Return how a table is to be extracted, having found everything that would make it fail later.

    Raises:
        ConfigError: Something that the configuration names is not there, or not fit for its purpose.
        SourceUnavailable: The source could not be reached.
    """
    try:
        extraction = _inspect(project, source, entry)
        for what, next_step in replica_obstacles(source, extraction):
            raise ConfigError(what, next_step=next_step)
        return extraction
    except TidegateError as error:
        error.state = error.state or _UNTOUCHED
        name_query(error, entry, _label(source, entry))
        raise


def _inspect(project: Project, source: Source, entry: ExtractTable) -> Extraction:
    options = options_of(entry, source.extract)
    label = _label(source, entry)
    gate_digest = load_gate(entry.gate).digest if entry.gate else None
    with open_source(source).session() as session:
        table = _described(session, source, entry, label)
        named = [("extract.key_column", [options.key_column])] if options.key_column else []
        named += [("key", list(entry.key))] if entry.key else []
        by = table.column(options.key_column) if options.key_column else None
        time = by.name if by and by.kind is not Kind.INTEGER else None
        columns = stored_columns(session, table, entry.columns, label, named, time)
        key = () if set(table.primary_key) & set(entry.columns.exclude) else table.primary_key
        extraction = Extraction(
            config_dir=project.config_dir,
            settings=project.settings,
            table=table,
            columns=columns,
            key=key,
            source=source.name,
            entry=entry,
            options=options,
            dataset=source.raw_dataset(entry),
            gate_digest=gate_digest,
        )
        _check_names(extraction)
        _check_key_column(extraction)
        session.check_export(extraction)
        return extraction.model_copy(update={"average_row_bytes": session.average_row_bytes(table)})


def _label(source: Source, entry: ExtractTable) -> str:
    return f"sources[{source.name}].tables[{entry.folder}]"


def _described(session: Session, source: Source, entry: ExtractTable, label: str) -> Table:
    """Return what is read: a table with the key that its database knows, or a query with the one that it was given."""
    if entry.query is None:
        assert entry.table is not None
        return session.describe(entry.table)
    table = session.describe_query(TableName(source.name, entry.folder), entry.query, f"{label}.query")
    return table.model_copy(update={"primary_key": entry.key})


def _check_names(extraction: Extraction) -> None:
    taken = {column.name.casefold() for column in extraction.columns} & {column.name for column in PROVENANCE}
    if taken:
        raise ConfigError(
            f"{extraction.table.quoted} has columns that the raw layer adds to every row: {', '.join(sorted(taken))}.",
            next_step=f"In {extraction.label}, exclude them (columns.exclude) and derive them under other names.",
        )


def _check_key_column(extraction: Extraction) -> None:
    name, column = extraction.options.key_column, extraction.key_column
    if name is None:
        return
    if column is None:
        raise ConfigError(
            f"{extraction.label}.columns.exclude: {name} is the key_column, and is needed in the lake.",
            next_step="Keep it, or name another key_column.",
        )
    if column.kind not in {*TIME_KINDS, Kind.INTEGER}:
        fit = [c.name for c in extraction.columns if c.kind in {*TIME_KINDS, Kind.INTEGER}]
        raise ConfigError(
            f"{extraction.label}.extract.key_column: {name} is of type {column.source_type}; a watermark needs moments "
            f"or whole numbers. Columns that hold them: {', '.join(fit) or 'none'}.",
            next_step="Name one of them that never goes down, such as updated_at; or read the table with mode: full.",
        )
    _check_overlap(extraction, column)


def _check_overlap(extraction: Extraction, column: Column) -> None:
    overlap = extraction.options.overlap
    is_number = column.kind is Kind.INTEGER
    if overlap is not None and isinstance(overlap, int) != is_number:
        fits = "a whole number, such as 1000" if is_number else "a span, such as 2 hours"
        raise ConfigError(
            f"{extraction.label}.extract.overlap: {overlap} does not go with {column.name} ({column.source_type}).",
            next_step=f"Write {fits}.",
        )
