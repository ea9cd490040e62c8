"""Whether rows have the columns that their table had before, and what to do if they have not."""

from collections.abc import Sequence
from typing import Any

from blocks.run_log import log_event, run_logger
from schemas.column_plan import Column
from schemas.errors import DriftRefused
from schemas.manifest import Manifest
from tasks.ingest.request import IngestRequest
from tasks.ingest.schema_drift import Schema, _changes


def column_drift(newest: Manifest | None, columns: Sequence[Column], request: IngestRequest[Any, Any]) -> Schema:
    """Compare columns with those of the newest generation.

    Raises:
        DriftRefused: They differ, and `on_drift` says to refuse that.
    """
    if newest is None or newest.extracted is None:
        return Schema(1)
    before = tuple(column for column in newest.columns if not column.added)
    drift = tuple(_changes(before, columns))
    if not drift:
        return Schema(newest.extracted.schema_version)
    what, version = "; ".join(drift), newest.extracted.schema_version + 1
    if request.entry.on_drift == "refuse":
        raise DriftRefused(
            f"The columns of {request.label} have changed since they were last read: {what}.",
            state="Nothing of this table was committed; what was read before is as it was.",
            next_step=f"Give `types` or a `select`, or take them as they are: `on_drift: evolve` in {request.label}.",
        )
    log_event("schema_drift", dataset=request.dataset, version=version, changes=what)
    if request.entry.on_drift == "warn":
        run_logger().warning("The columns of %s have changed: %s", request.label, what)
    return Schema(version, drift)
