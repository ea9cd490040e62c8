"""Finds that a table no longer has the columns that were archived: then an archived row is not all of a row."""

from schemas.column_plan import Column
from schemas.errors import ProofFailed
from schemas.job import Job
from schemas.manifest import Manifest


def refuse_other_columns(job: Job, manifest: Manifest) -> None:
    """Refuse to delete what is archived with other columns: a column that came later is in no archived row.

    Args:
        job: The job, with its table as it is now.
        manifest: Of what was archived.

    Raises:
        ProofFailed: It names the columns.
    """
    now = {c.name: c for c in job.table.columns}
    archived = {c.name: c for c in manifest.columns if c.derived is None}
    discarded = set(manifest.excluded) & set(job.archive.purge.discard_columns)
    added = sorted(set(now) - set(archived) - discarded)
    changed = sorted(name for name, column in archived.items() if not _same_type(now.get(name), column))
    if added or changed:
        what = [f"{name} was not archived" for name in added] + [f"{name} is another column now" for name in changed]
        raise ProofFailed(
            f"Window {manifest.window}: the table's columns have changed since it was archived: {'; '.join(what)}.",
            state="No row of this window was deleted.",
            next_step=f"tidegate archive {manifest.archive} archives its rows again as they are now.",
        )


def _same_type(now: Column | None, archived: Column) -> bool:
    # What is stored as text by choice (columns.as_text), or as the moments that a text holds, is of another kind than
    # the catalog says.
    if now is None or now.source_type != archived.source_type:
        return False
    return now.kind == archived.kind or archived.stored_by_choice
