"""Finds the children of an archive's table, and every other table that would lose its hold on a deleted row."""

from collections.abc import Iterator, Sequence

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
    """Yield the foreign keys that keep rows of the table from being deleted, or would change other rows with them.

    Of a child, only the key that its rows are archived by is none of them; any other key is like another table's.
    """
    ours = [key for child in job.children for key in job.table.referenced_by if _belongs_by(child, key)]
    for child in job.children:
        yield from _child_obstacles(child, [key for key in ours if _belongs_by(child, key)])
    children = {str(child.archive.table) for child in job.children}
    for key in job.table.referenced_by:
        if key not in ours:
            yield from _key_obstacles(job, key, of_a_child=key.table in children)


def _belongs_by(child: Job, key: ForeignKey) -> bool:
    """Return whether that is the key by which the child's rows belong to rows of the table."""
    assert child.parent is not None
    pairs = set(zip(child.parent.foreign_key, child.parent.key, strict=True))
    return key.table == str(child.archive.table) and set(zip(key.columns, key.referenced, strict=True)) == pairs


def _child_obstacles(child: Job, keys: Sequence[ForeignKey]) -> Iterator[tuple[str, str]]:
    """Yield what has happened to a child since it was found to be one, and a key that keeps nobody away."""
    assert child.parent is not None
    parent, where = child.parent.table.quoted, f"archives[{child.archive.name}].children[{child.archive.table}]"
    if not keys or not all(key.enforced for key in keys):
        columns = ", ".join(child.parent.foreign_key)
        state = "; ".join(f"{key.name} is not checked" for key in keys if not key.enforced) or "there is none"
        yield (
            f"{where}: the database enforces no foreign key over ({columns}) that refers to {parent} ({state}); only "
            "one keeps new children away while a family leaves.",
            _ENFORCE,
        )
    if child.table.referenced_by:
        yield _referred_to(where, child.table)


def _key_obstacles(job: Job, key: ForeignKey, *, of_a_child: bool) -> Iterator[tuple[str, str]]:
    """Yield what keeps rows from being deleted for the sake of one foreign key that no child is archived by."""
    table = job.table.quoted
    if of_a_child:
        who, how = "a child", " by another key than the one that it is archived by"
        as_child = ""
    else:
        who, how = "another table", ""
        as_child = f"Name {key.table} under archives[{job.archive.name}].children"
    if key.on_delete not in {"no action", "restrict"}:
        yield (
            f"Deleting from {table} would change rows of {who}{how}: {key}.",
            f"{as_child + ', make' if as_child else 'Make'} the key NO ACTION, or run with --no-purge.",
        )
    elif job.archive.purge.references == "refuse":
        yield (
            f"Rows of {who} refer to those of {table}{how}: {key}.",
            f"{as_child + ' to let its rows go with them. ' if as_child else ''}If they go another way before, set "
            "purge.references: check; the database refuses what is still referred to.",
        )
    elif not key.enforced:
        yield (
            f"purge.references: check leaves it to the database, which does not check this foreign key: {key}.",
            _ENFORCE,
        )


_ENFORCE = (
    "ALTER TABLE … ALTER CONSTRAINT … ENFORCED, or ENABLE TRIGGER ALL where its triggers are disabled, on both tables; "
    "or run with --no-purge."
)


def _referred_to(where: str, table: Table) -> tuple[str, str]:
    return (
        f"{where}: other tables refer to its rows in turn: {'; '.join(map(str, table.referenced_by))}.",
        "A family is a table and its children. Archive the grandchildren before, by themselves.",
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
        what, next_step = _referred_to(where, table)
        raise ConfigError(what, next_step=next_step)
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
