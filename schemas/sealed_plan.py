"""What an archive with `approve: true` asks a person: the sealed plan of a purge, and what was decided about it.

Both are records that are written once and never changed. A plan names each generation by the SHA-256 of its
manifest's bytes, so that what is deleted in the end is what was shown to the person who approved it.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import ProofFailed
from schemas.hold import holds_digest
from schemas.job import Job
from schemas.manifest import UNSIGNED_64
from schemas.record import Record
from schemas.window import Window

EXPIRES_AFTER = timedelta(days=7)
PLAN_ID = r"^[0-9a-f]{8}$"
Outcome = Literal["approved", "refused"]
How = Literal["cli", "prefect", "--yes"]
SHA_256 = r"^[0-9a-f]{64}$"


class NotApproved(ProofFailed):
    """An archive demands an approval, and none covers what would be deleted now. Nothing was deleted."""


class PlannedPurge(BaseModel):
    """One generation of which rows are to be deleted, at most as many as it holds.

    Attributes:
        manifest: Path of its manifest.
        sha256: Of the manifest's bytes.
        table: Whose rows they are: the archive's table, or one of its children.
        receipts: How many purges of it had come to their end when the plan was sealed. One more, and this entry is
            used up: an approval deletes a generation's rows once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    sha256: str = Field(pattern=SHA_256)
    table: str
    window: Window
    generation: int = Field(ge=1)
    rows: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    digest: str | None = Field(default=None, pattern=UNSIGNED_64)
    receipts: int = Field(default=0, ge=0)


class PurgeScope(BaseModel):
    """Who would lose rows, and what a row is there. No secret.

    Attributes:
        source: The source's name in `sources.yaml`.
        database: Where that is: type, address and database, without the login.
        table: The table, with its schema.
        key: The columns by which rows are named.
        columns: What is archived of a row: name and type of each column.
        discarded: Columns whose values are lost with the rows, as `purge.discard_columns` allows.
        children: Tables whose rows leave together with the rows that they belong to: key, link and columns of each.
        holds: What tells the legal holds of that moment from others, or None without any.
        mode: How rows leave: `purge.mode`.
        triggers: Triggers that may fire when they do: `purge.triggers`.
        references: Whether rows that others refer to are left to the database's own check: `purge.references`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    database: str
    table: str
    time_column: str
    where: str | None = None
    key: tuple[str, ...]
    columns: tuple[str, ...]
    discarded: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    holds: str | None = None
    mode: str
    triggers: tuple[str, ...] = ()
    references: str = "refuse"

    @classmethod
    def of(cls, job: Job, database: str) -> Self:
        """Return the scope of a job as it is now."""
        return cls(
            source=job.archive.source,
            database=database,
            table=str(job.archive.table),
            time_column=job.archive.time_column,
            where=job.archive.where,
            key=job.key,
            columns=_columns(job),
            discarded=job.archive.purge.discard_columns,
            children=tuple(map(_child, job.children)),
            holds=holds_digest(job.archive.holds),
            mode=job.archive.purge.mode,
            triggers=job.archive.purge.triggers,
            references=job.archive.purge.references,
        )

    def differences(self, now: "PurgeScope") -> list[str]:
        """Return what is not as it was when the plan was sealed, a sentence each."""
        told = []
        for name in type(self).model_fields:
            sealed, present = getattr(self, name), getattr(now, name)
            if isinstance(sealed, tuple) and isinstance(present, tuple):
                gone, new = [v for v in sealed if v not in present], [v for v in present if v not in sealed]
                if sealed != present and not gone and not new:
                    told.append(f"{name}: another order")
                else:
                    told += [f"{name}: {value!r} is not there any more" for value in gone]
                    told += [f"{name}: {value!r} is new" for value in new]
            elif sealed != present:
                told.append(f"{name}: {sealed!r} when the plan was sealed, {present!r} now")
        return told


class SealedPlan(Record):
    """What would be deleted, proven and counted: the question that a person answers.

    Attributes:
        plan_id: Short enough to be typed.
        run_id: Of the run that sealed it.
        expires_at: From here on it cannot be approved, nor a purge by it be begun.
        generations: What would be deleted, in the order in which it would be.
        supersedes: Plans that waited, and that this one takes the place of.
    """

    kind: ClassVar[str] = "plan"

    plan_id: str = Field(pattern=PLAN_ID)
    archive: str
    dataset: str
    run_id: str
    made_at: datetime
    expires_at: datetime
    scope: PurgeScope
    generations: Annotated[tuple[PlannedPurge, ...], Field(min_length=1)]
    supersedes: tuple[str, ...] = ()

    @property
    def manifests(self) -> tuple[str, ...]:
        """Paths of the generations' manifests."""
        return tuple(planned.manifest for planned in self.generations)

    @property
    def rows_by_table(self) -> dict[str, int]:
        """Who may lose how many rows."""
        tables = dict.fromkeys(planned.table for planned in self.generations)
        return {table: sum(g.rows for g in self.generations if g.table == table) for table in tables}

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all generations."""
        return {
            "windows": len({planned.window for planned in self.generations}),
            "generations": len(self.generations),
            "rows": sum(planned.rows for planned in self.generations),
            "bytes": sum(planned.size_bytes for planned in self.generations),
        }

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, `totals` included."""
        body = self.model_dump(mode="json", exclude={"version"})
        generations = body.pop("generations")
        return {**body, "totals": self.totals, "generations": generations}


class Decision(Record):
    """What was decided about a plan. The first one counts, and it is never changed.

    Attributes:
        by: Who decided: the name of the system's user, or what that person entered.
        how: `cli` by `tidegate approve`, `prefect` by the form of a paused run, `--yes` in advance.
    """

    kind: ClassVar[str] = "decision"

    plan_id: str = Field(pattern=PLAN_ID)
    dataset: str
    outcome: Outcome
    by: str = Field(min_length=1)
    reason: str = ""
    how: How
    at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return self.model_dump(mode="json", exclude={"version"})

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.outcome} by {self.by} at {self.at:%Y-%m-%d %H:%M:%S} UTC{reason}"


def _columns(job: Job) -> tuple[str, ...]:
    return tuple(
        f"{c.name} {c.source_type}" + (f" = {c.derived}" if c.derived is not None else "") for c in job.columns
    )


def _child(job: Job) -> str:
    link = f" by {', '.join(job.parent.foreign_key)}" if job.parent else ""
    return f"{job.archive.table} ({', '.join(job.key)}){link}: {', '.join(_columns(job))}"
