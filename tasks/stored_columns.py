"""Decides which columns of a table are stored, and as what."""

from collections import Counter
from collections.abc import Iterable

from blocks.source import Session
from schemas.archive_options import ColumnOptions
from schemas.column_plan import TIME_KINDS, Column
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.table import Table


def stored_columns(
    session: Session,
    table: Table,
    options: ColumnOptions,
    label: str,
    named: Iterable[tuple[str, Iterable[str]]] = (),
    time: str | None = None,
) -> tuple[Column, ...]:
    """Return the columns that are stored: the table's without the excluded ones, then the derived ones.

    Args:
        session: A session of the table's source.
        table: The table.
        options: What the configuration says of its columns.
        label: Where it says so, for errors.
        named: Further columns that the configuration names, by its keys; each has to be there.
        time: The column whose values are to be moments, also where a database has no type for time.

    Raises:
        ConfigError: A column that is named is not there, or two could not be told apart in the lake.
    """
    names = [column.name for column in table.columns]
    for key, wanted in (("columns.exclude", options.exclude), ("columns.as_text", options.as_text), *named):
        for name in wanted:
            if name not in names:
                raise ConfigError(
                    f"{label}.{key}: {table.quoted} has no column {name!r}{did_you_mean(name, names) or '.'}",
                    next_step=f"Correct the name. The table's columns: {', '.join(names)}.",
                )
    kept = [
        _stored(session, options, table, column, time) for column in table.columns if column.name not in options.exclude
    ]
    for name, expression in options.derive.items():
        if name in names:
            raise ConfigError(
                f"{label}.columns.derive: {table.quoted} already has a column {name!r}.",
                next_step="Give the derived column a name of its own.",
            )
        kept.append(session.derived_column(table, name, expression))
    alike = [name for name, count in Counter(column.name.casefold() for column in kept).items() if count > 1]
    if alike:
        raise ConfigError(
            f"{table.quoted} has columns whose names differ only in case ({', '.join(alike)}); readers of the lake "
            "cannot tell them apart.",
            next_step="Exclude one of them (columns.exclude) and derive it under another name (columns.derive).",
        )
    return tuple(kept)


def _stored(session: Session, options: ColumnOptions, table: Table, column: Column, time: str | None) -> Column:
    if column.name in options.as_text:
        return session.as_text(column)
    if column.name == time and column.kind not in TIME_KINDS:
        return session.as_time(table, column) or column
    return column
