"""Whether a table still has the columns that were extracted before, and what to do if it has not."""

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.ledger import Generation
from blocks.run_log import log_event, run_logger
from schemas.column_plan import Column
from schemas.errors import DriftRefused
from schemas.extraction import Extraction


@dataclass(frozen=True, slots=True)
class Schema:
    """The version of a table's columns, and what changed with it, in words."""

    version: int
    drift: tuple[str, ...] = ()


def schema_drift(extraction: Extraction, generations: Sequence[Generation]) -> Schema:
    """Compare the columns with those of the newest generation.

    Raises:
        DriftRefused: They differ, and `on_drift` says to refuse that.
    """
    newest = generations[-1].manifest if generations else None
    if newest is None or newest.extracted is None:
        return Schema(1)
    before = tuple(column for column in newest.columns if not column.added)
    drift = tuple(_changes(before, extraction.columns))
    if not drift:
        return Schema(newest.extracted.schema_version)
    table, what = extraction.table.quoted, "; ".join(drift)
    if extraction.options.on_drift == "refuse":
        raise DriftRefused(
            f"The columns of {table} have changed since they were last extracted: {what}.",
            state="Nothing was read or written.",
            next_step=f"Change it back, or take the new columns with `on_drift: evolve` in {extraction.label}.",
        )
    log_event("schema_drift", dataset=extraction.dataset, version=newest.extracted.schema_version + 1, changes=what)
    if extraction.options.on_drift == "warn":
        run_logger().warning("The columns of %s have changed: %s", table, what)
    return Schema(newest.extracted.schema_version + 1, drift)


def _changes(before: Sequence[Column], now: Sequence[Column]) -> list[str]:
    old, new = ({column.name: column for column in columns} for columns in (before, now))
    changes = [f"{name} ({new[name].source_type}) is new" for name in new if name not in old]
    changes += [f"{name} ({old[name].source_type}) is gone" for name in old if name not in new]
    for name in new:
        if name in old and old[name].identity != new[name].identity:
            was, is_ = old[name].source_type, new[name].source_type
            changes.append(f"{name} was {was} and is {is_}" if was != is_ else f"{name} ({is_}) is stored otherwise")
    return changes
