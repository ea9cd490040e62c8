"""What keeps rows of a table from being purged: asked when a job is made, and again before and during each purge."""

from collections.abc import Iterator

from blocks.source import Session
from schemas.job import Job
from tasks.inspect_family import reference_obstacles


def purge_obstacles(session: Session, job: Job) -> Iterator[tuple[str, str]]:
    """Yield what would make deleting delete more than was archived, or fail, and what to do about it.

    Args:
        session: A session of the source.
        job: The job; its tables are taken to be as they are described there.
    """
    for member in job.family:
        yield from _of_the_table(member)
    yield from reference_obstacles(job)
    for member in job.family:
        yield from session.purge_obstacles(member)


def described_now(session: Session, job: Job) -> Job:
    """Return the job with its tables, and those of its children, as the catalog describes them at this moment.

    Raises:
        ConfigError: A table is not there any more.
    """
    children = tuple(described_now(session, child) for child in job.children)
    return job.model_copy(update={"table": session.describe(job.archive.table), "children": children})


def _of_the_table(job: Job) -> Iterator[tuple[str, str]]:
    archive, table = job.archive, job.table
    where = f"archives[{archive.name}]"
    lost = set(archive.columns.exclude) - set(archive.purge.discard_columns)
    if not job.key:
        yield (
            f"{table.quoted} has no primary key (a deferrable one is none), so a single row of it cannot be named.",
            f"Name a unique, NOT NULL key in {where}.key, or archive without purge (--no-purge).",
        )
    elif frozenset(job.key) not in table.unique_keys:
        yield (
            f"{where}.key: no unique index of {table.quoted} covers exactly ({', '.join(job.key)}) with all of it "
            "NOT NULL (a partial or deferrable one does not count), so a key might mean several rows.",
            "Use the primary key, or create a unique index over NOT NULL columns.",
        )
    if lost:
        yield (
            f"{where}: the columns {', '.join(sorted(lost))} are excluded from the archive; a purge would lose them.",
            "Archive them, or name each of them under purge.discard_columns.",
        )
