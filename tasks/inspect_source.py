"""Checks an archive's configuration against its table, before anything is read or written."""

from datetime import UTC, datetime

from blocks.gate import load_gate
from blocks.open_source import open_source, replica_obstacles
from blocks.source import Session, Source
from schemas.column_plan import TIME_KINDS, Column
from schemas.config import Archive
from schemas.errors import ConfigError, TidegateError
from schemas.job import Job
from schemas.partition import check_partition_keys
from schemas.project import Project
from schemas.table import Table
from schemas.window import WindowUnit, as_moment
from tasks.holds import read_holds
from tasks.inspect_family import with_children
from tasks.purge_obstacles import purge_obstacles
from tasks.stored_columns import stored_columns

_UNTOUCHED = "Nothing was read, written or deleted."


def inspect_source(project: Project, archive: Archive) -> Job:
    """Return the job of an archive, having found everything that would make it fail later.

    Raises:
        ConfigError: Something that the configuration names is not there, not allowed, or not safe.
        SourceUnavailable: The source could not be reached.
    """
    try:
        source = project.database(archive.source)
        job = _inspect(open_source(source), project, archive)
        for what, next_step in replica_obstacles(source, job):
            raise ConfigError(what, next_step=next_step)
        return job
    except TidegateError as error:
        error.state = error.state or _UNTOUCHED
        raise


def _inspect(source: Source, project: Project, archive: Archive) -> Job:
    gate_digest = load_gate(archive.gate).digest if archive.gate else None
    with source.session() as session:
        table = session.describe(archive.table)
        columns = _columns(session, archive, table)
        job = Job(
            config_dir=project.config_dir,
            settings=project.settings,
            archive=archive,
            table=table,
            columns=columns,
            key=_key(archive, table),
            gate_digest=gate_digest,
        )
        _check_time(job)
        check_partition_keys(archive.partition_by, columns, job.time)
        session.check_export(job)
        job = job.model_copy(update={"average_row_bytes": session.average_row_bytes(table)})
        job = _with_children(session, job)
        job = job.model_copy(update={"holds": read_holds(session, archive, table, job.key_columns if job.key else ())})
        if archive.window is WindowUnit.PARTITION:
            session.partitions(job)
        if archive.purge.mode != "none":
            for what, next_step in purge_obstacles(session, job):
                raise ConfigError(what, next_step=next_step)
    return job


def _with_children(session: Session, job: Job) -> Job:
    """Return the job with its children's jobs, checked like its own."""
    job = with_children(session, job)
    checked = []
    for bare in job.children:
        child = bare.model_copy(update={"columns": _columns(session, bare.archive, bare.table)})
        check_partition_keys(child.archive.partition_by, child.columns, child.time)
        session.check_export(child)
        checked.append(child.model_copy(update={"average_row_bytes": session.average_row_bytes(child.table)}))
    return job.model_copy(update={"children": tuple(checked)})


def _columns(session: Session, archive: Archive, table: Table) -> tuple[Column, ...]:
    named = (
        ("time_column", [] if archive.time_column in archive.columns.derive else [archive.time_column]),
        ("key", archive.key or ()),
        ("purge.discard_columns", archive.purge.discard_columns),
    )
    return stored_columns(session, table, archive.columns, f"archives[{archive.name}]", named, archive.time_column)


def _key(archive: Archive, table: Table) -> tuple[str, ...]:
    key = archive.key or table.primary_key
    return () if set(key) & set(archive.columns.exclude) else tuple(key)


def _check_time(job: Job) -> None:
    time = job.time
    if time.kind not in TIME_KINDS:
        usable = [column.name for column in job.table.columns if column.kind in TIME_KINDS]
        raise ConfigError(
            f"archives[{job.archive.name}].time_column: {time.name} is of type {time.source_type}; windows need a "
            f"date, timestamp or timestamptz. Columns that are: {', '.join(usable) or 'none'}.",
            next_step="Name one of them in archives.yaml.",
        )
    if job.archive.window == "hour" and time.kind == "date":
        raise ConfigError(
            f"archives[{job.archive.name}].window: {time.name} is a date; its windows cannot be hours.",
            next_step="Set window to day, month or year.",
        )
    until = job.archive.to
    if until is not None:
        now = datetime.now(UTC)
        if as_moment(until, job.zone, aware=True) > now:
            raise ConfigError(
                f"archives[{job.archive.name}].to: {until.isoformat()} is in the future; rows of windows that are not "
                "over yet are still being written.",
                next_step="Give a `to` that is not after now, or use older_than.",
            )
