"""Finds the children of an archive's table, and every other table that would lose its hold on a deleted row."""

from collections.abc import Iterator

from blocks.run_log import log_event
from blocks.source import Session
from schemas.archive_options import ChildOptions
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError
from schemas.job import Job, Parent
from schemas.table import ForeignKey, Table


def with_children(session: Session, job: Job) -> Job:
    """Return the job with the jobs of the children that its archive names.

    Raises:
        ConfigError: A child is not there, has no key, does not refer to the table, or is itself referred to.
    """
    children = tuple(_child(session, job, options) for options in job.archive.children)
    return job.model_copy(update={"children": children})


def reference_obstacles(job: Job) -> Iterator[tuple[str, str]]:
    """Yield the foreign keys that keep rows of the table from being deleted, or would change other rows with them."""
    children = {str(child.table) for child in job.archive.children}
    for key in job.table.referenced_by:
        if key.table in children:
            continue
        if key.on_delete not in {"no action", "restrict"}:
            yield (
                f"Deleting from {job.table.quoted} would change rows of another table: {key}.",
                f"Name {key.table} under archives[{job.archive.name}].children, make the key NO ACTION, or run with "
                "--no-purge.",
            )
        elif job.archive.purge.references == "refuse":
            yield (
                f"Rows of another table refer to those of {job.table.quoted}: {key}.",
                f"Name {key.table} under archives[{job.archive.name}].children to let its rows go with them. If they "
                "go another way before, set purge.references: check; the database refuses what is still referred to.",
            )


def _child(session: Session, job: Job, options: ChildOptions) -> Job:
    where = f"archives[{job.archive.name}].children[{options.table}]"
    table = session.describe(options.table)
    foreign_key = _foreign_key(job.table, options, where)
    if tuple(foreign_key.referenced) != job.key and set(foreign_key.referenced) != set(job.key):
        raise ConfigError(
            f"{where}: {foreign_key.name} refers to ({', '.join(foreign_key.referenced)}) and not to the key "
            f"({', '.join(job.key)}).",
            next_step=f"Give archives[{job.archive.name}].key as the columns that the children refer to.",
        )
    if table.referenced_by:
        raise ConfigError(
            f"{where}: other tables refer to its rows in turn: {'; '.join(map(str, table.referenced_by))}.",
            next_step="A family is a table and its children. Archive the grandchildren before, by themselves.",
        )
    if not foreign_key.indexed:
        columns = ", ".join(quote_identifier(name) for name in foreign_key.columns)
        log_event(
            "foreign_key_without_index",
            table=foreign_key.table,
            cost=repr("every deleted batch reads the whole table"),
            create=repr(f"CREATE INDEX CONCURRENTLY ON {table.quoted} ({columns})"),
        )
    key = options.key or table.primary_key
    if not key:
        raise ConfigError(
            f"{where}: {table.quoted} has no primary key, so a single row of it cannot be named.",
            next_step=f"Name a unique, NOT NULL key in {where}.key.",
        )
    naming = dict(zip(foreign_key.referenced, foreign_key.columns, strict=True))
    parent = Parent(table=job.table, time=job.time, key=job.key, foreign_key=tuple(naming[name] for name in job.key))
    time_name = f"{job.table.name}_{job.time.name}"
    derived = {**options.columns.derive, time_name: _time_of_parent(parent, table)}
    archive = job.archive.model_copy(
        update={
            "table": options.table,
            "key": key,
            "time_column": time_name,
            "columns": options.columns.model_copy(update={"derive": derived}),
            "folder": options.resolved_folder,
            "children": (),
            "retention": None,
            "holds": (),
        }
    )
    return Job(
        config_dir=job.config_dir,
        settings=job.settings,
        archive=archive,
        table=table,
        columns=(),
        key=key,
        parent=parent,
    )


def _foreign_key(table: Table, options: ChildOptions, where: str) -> ForeignKey:
    """Return the foreign key by which the child's rows belong to rows of the table."""
    found = [key for key in table.referenced_by if key.table == str(options.table)]
    if options.foreign_key is not None:
        found = [key for key in found if set(key.columns) == set(options.foreign_key)]
    if len(found) == 1:
        return found[0]
    columns = f" over ({', '.join(options.foreign_key)})" if options.foreign_key else ""
    if not found:
        others = "; ".join(map(str, table.referenced_by)) or "none"
        raise ConfigError(
            f"{where}: {options.table} has no foreign key{columns} that refers to {table.quoted}. The keys that do: "
            f"{others}.",
            next_step="Name a table that has one; only the database can keep new children away while a family leaves.",
        )
    raise ConfigError(
        f"{where}: {options.table} refers to {table.quoted} in more than one way: {'; '.join(map(str, found))}.",
        next_step=f"Say by which columns, in {where}.foreign_key.",
    )


def _time_of_parent(parent: Parent, child: Table) -> str:
    same = " AND ".join(
        f"parent.{quote_identifier(key)} = {child.quoted}.{quote_identifier(name)}"
        for key, name in zip(parent.key, parent.foreign_key, strict=True)
    )
    return f"(SELECT parent.{parent.time.quoted} FROM {parent.table.quoted} AS parent WHERE {same})"
