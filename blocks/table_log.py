"""Tables of the lake that no database locks: files, answers of APIs and what pipelines build.

Their generations are one line: the next one has the number after the last one that its writer has seen, and one
number is taken once. Whoever is late has to look at what the other one did. So two runs never store the same thing
twice, and a run that stalled for hours cannot commit on top of what it does not know.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from uuid import uuid4

from blocks.lake import Lake
from blocks.ledger import Generation, Ledger
from blocks.parquet_writer import WrittenFile
from schemas.built import Built
from schemas.column_plan import Column
from schemas.errors import Busy, ConfigError, LakeError
from schemas.extracted import Extracted
from schemas.manifest import Attestation, DataFile, Intent, Manifest, Snapshot
from schemas.partition import partition_path
from schemas.window import ALWAYS as ALWAYS  # a table that is not cut by time has one window


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to become a generation; its files are local still.

    Attributes:
        source: Name of the source, or of the pipeline.
        table: What is read: a file, a path of an API, a query; for people.
        time_column: Name of the column that says when rows came; "" if there is none.
        folder: Below the dataset's folder, in front of partition keys, such as `year=2026/month=01/day=31`; or "".
        partition_by: Keys of the table. Without any, files that are split by columns lie in folders of their own, and
            readers do not know of it.
        rows_read: Rows that the source had: those of `files` and `quarantine` together.
        quarantine: Rows that a gate put aside.
    """

    source: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    time_column: str = ""
    folder: str = ""
    rows_read: int
    files: Sequence[WrittenFile]
    quarantine: Sequence[WrittenFile] = ()
    gate: str | None = None
    timezone: str = "UTC"
    extracted: Extracted | None = None
    built: Built | None = None


@dataclass
class TableLog:
    """The generations of one table, as they were when they were last looked at.

    Attributes:
        lake: The lake.
        dataset: The table's name in it.
        generations: All that exist, oldest first.
    """

    lake: Lake
    dataset: str
    generations: list[Generation] = field(default_factory=list)
    _next: int = 1

    def __post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Look at the generations again.

        Raises:
            ConfigError: The dataset is one that a database's table was extracted or archived into.
        """
        ledger = Ledger(self.lake, self.dataset)
        self._next = ledger.next_generation(ALWAYS)  # first: whoever commits in between is noticed when we commit
        self.generations = ledger.generations()
        other = next((g.manifest for g in self.generations if g.manifest.window != ALWAYS), None)
        if other is not None:
            raise ConfigError(
                f"{self.dataset} in the lake holds rows of {other.table}, which {other.source} was read from.",
                state="Nothing was read or written.",
                next_step="Give the table another name in the configuration.",
            )

    def commit(self, draft: Draft, run_id: str) -> Manifest:
        """Store a draft's files, then make it exist as the next generation.

        Raises:
            Busy: Another run committed to this table meanwhile. Nothing of this draft is part of the lake;
                `refresh`, look at what is there now, and do it again if it is still to be done.
            LakeError: There is no room for its files, or they may not be written.
        """
        ledger = Ledger(self.lake, self.dataset)
        stem = f"g{self._next:06d}-{uuid4().hex[:12]}"
        ledger.begin(Intent(stem=stem, run_id=run_id, at=datetime.now(UTC), number=self._next))
        manifest = self._manifest(draft, run_id, stem)
        if not self.lake.put_if_absent(manifest.path, manifest.to_bytes()):
            raise Busy(
                f"Another run stored something in {self.dataset} at the same time.",
                state="Nothing of this run's part is in the lake; what the other committed is.",
                next_step="Run the same command again; it goes on from what is committed.",
            )
        with suppress(LakeError):  # it is committed; whoever comes next takes the intent away
            ledger.forget([stem])
        self._next += 1
        self.generations.append(Generation(manifest))
        return manifest

    def sweep(self) -> int:
        """Remove the files of runs that died and can commit no more; return how many that were."""
        ledger = Ledger(self.lake, self.dataset)
        late = [i.stem for i in ledger.intents() if i.number is not None and i.number < self._next]
        if not late:
            return 0
        left_over = [path for path in ledger.orphans() if any(stem in path for stem in late)]
        self.lake.delete(left_over)
        ledger.forget(late)
        return len(left_over)

    def _manifest(self, draft: Draft, run_id: str, stem: str) -> Manifest:
        files = tuple(
            self._store(file, self._folder(draft, file), f"{stem}-{n:04d}") for n, file in enumerate(draft.files)
        )
        if not draft.partition_by:  # folders alone: readers take no column of the table from their names
            files = tuple(file.model_copy(update={"partition": {}}) for file in files)
        aside = f"_tidegate/quarantine/{self.dataset}"
        quarantine = tuple(self._store(file, aside, f"{stem}-q{n:04d}") for n, file in enumerate(draft.quarantine))
        rows, quarantined = sum(file.rows for file in files), sum(file.rows for file in quarantine)
        return Manifest(
            version=4,
            archive=self.dataset,
            dataset=self.dataset,
            source=draft.source,
            table=draft.table,
            time_column=draft.time_column,
            window=ALWAYS,
            timezone=draft.timezone,
            generation=self._next,
            columns=draft.columns,
            key=draft.key,
            partition_by=draft.partition_by,
            gate=draft.gate,
            proof="counts",
            attestation=Attestation(
                rows_in_window=draft.rows_read,
                rows=rows,
                quarantined=quarantined,
                snapshot=Snapshot(taken_at=self._now(), cluster="lake"),
            ),
            files=files,
            quarantine=quarantine,
            run_id=run_id,
            committed_at=datetime.now(UTC),
            written_by=f"tidegate {version('tidegate')}",
            extracted=draft.extracted,
            built=draft.built,
        )

    def _now(self) -> datetime:
        # Generations are ordered by this: a clock that goes back must not make the next one the older one.
        last = self.generations[-1].manifest.attestation.snapshot.taken_at if self.generations else None
        now = datetime.now(UTC)
        return now if last is None or now > last else last + timedelta(microseconds=1)

    def _folder(self, draft: Draft, file: WrittenFile) -> str:
        return "/".join(filter(None, [self.dataset, draft.folder, partition_path(file.partition)]))

    def _store(self, file: WrittenFile, folder: str, name: str) -> DataFile:
        path = f"{folder}/{name}.parquet"
        self.lake.store(file.local, path)
        return DataFile(
            path=path, rows=file.rows, size_bytes=file.size_bytes, sha256=file.sha256, partition=file.partition
        )
