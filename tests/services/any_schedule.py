"""A state machine over a real table and a real lake: random steps of users and archivers, each checked by the model."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from service_bench import Bench
from service_crash import dying_after
from source_model import AMOUNTS, KEYS, MOMENTS, NOTES, SINCE, UNTIL, WHERE, Seen, SourceModel, key, key_of

from schemas.report import RunFailed, RunReport
from schemas.restore import RestoreConflict, RestoreReport, RestoreRequest
from tasks.audit import audit
from tasks.restore import restore_rows

MOST_EFFECTS = 24  # about those of a run over two windows; with more than it has, a run comes to its end

numbers = st.integers(0, KEYS - 1)
change = st.tuples(numbers, *(st.integers(0, len(choice) - 1) for choice in (MOMENTS, AMOUNTS, NOTES)))
changes = st.lists(change, min_size=1, max_size=6, unique_by=lambda change: change[0])
bounds = st.sampled_from([*MOMENTS[:6], None])
effects = st.integers(0, MOST_EFFECTS)


@dataclass
class Figures:
    """What was done by all machines of this process."""

    schedules: int = 0
    steps: int = 0
    rows_written: int = 0
    rows_archived: int = 0
    rows_deleted: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def counting(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] = self.seconds.get(what, 0) + time.perf_counter() - started
            self.counts[what] = self.counts.get(what, 0) + 1

    def __str__(self) -> str:
        steps = ", ".join(f"{self.counts[what]} {what} ({self.seconds[what]:.1f} s)" for what in sorted(self.counts))
        return (
            f"{self.schedules} schedules, {self.steps} steps, {self.rows_written} row versions written, "
            f"{self.rows_archived} archived, {self.rows_deleted} purged: {steps}"
        )


class AnySchedule(RuleBasedStateMachine):
    """One table and one lake, made anew for each schedule; `bench` is set by whoever runs it."""

    bench: ClassVar[Bench]
    figures: ClassVar[Figures]
    model: SourceModel | None = None

    @initialize(
        primary_key=st.sampled_from([("no",), ("shop", "no")]),
        window=st.sampled_from(["month", "month", "year", "day"]),
        batch_rows=st.sampled_from([1, 3, 50]),
        first=changes,
    )
    def start(self, primary_key: tuple[str, ...], window: str, batch_rows: int, first: list[Any]) -> None:
        shutil.rmtree(self.bench.folder / "lake", ignore_errors=True)
        self.stop_file = self.bench.folder / "stop"
        self.stop_file.unlink(missing_ok=True)
        purge = {"mode": "delete", "batch_rows": batch_rows, "stop_file": str(self.stop_file)}
        self.bench.configure(**{"from": SINCE, "to": UNTIL, "where": WHERE, "window": window, "purge": purge})
        self.primary_key = primary_key
        self.model = SourceModel(self.bench, primary_key)
        self.model.put(first)
        self.seen = self.model.look()

    def teardown(self) -> None:
        if self.model is not None:
            self.figures.schedules += 1
            self.figures.rows_written += self.model.rows_written
            self.figures.rows_archived += len(self.seen.archived) if hasattr(self, "seen") else 0
            self.model.close()

    @invariant()
    def nothing_is_lost_doubled_or_touched(self) -> None:
        if self.model is not None:
            with self.figures.counting("looks"):
                self.seen = self.model.look()
            self.figures.steps += 1

    # What users do

    @rule(changes=changes)
    def users_insert_and_update(self, changes: list[Any]) -> None:
        self._model.put(change for change in changes if change[0] not in self._model.locked)

    @rule(changes=changes)
    def users_move_and_update(self, changes: list[Any]) -> None:
        self._model.put(self._of_present_rows(changes))

    @rule(changes=changes)
    def users_delete_and_insert_again(self, changes: list[Any]) -> None:
        self._model.replace(change for change in changes if change[0] not in self._model.locked)

    @rule(numbers=st.sets(numbers, min_size=1, max_size=4), all_of_them=st.sampled_from([False] * 9 + [True]))
    def users_delete(self, numbers: set[int], all_of_them: bool) -> None:
        if all_of_them and not self._model.transaction_is_open:
            self._model.truncate()
        else:
            self._model.remove(numbers - self._model.locked)

    @precondition(lambda self: not self.model.transaction_is_open)
    @rule(changes=changes, inserts=changes, removed=st.sets(numbers, max_size=2))
    def users_begin_a_transaction(self, changes: list[Any], inserts: list[Any], removed: set[int]) -> None:
        self._model.begin([*self._of_present_rows(changes), *inserts[:2]], removed)

    @precondition(lambda self: self.model.transaction_is_open)
    @rule(commit=st.booleans())
    def users_end_their_transaction(self, commit: bool) -> None:
        self._model.end(commit=commit)

    # Users write more often than archivers run, and it costs next to nothing.
    users_insert_and_update_more = users_insert_and_update
    users_move_and_update_more = users_move_and_update
    users_delete_and_insert_again_more = users_delete_and_insert_again
    users_delete_more = users_delete

    # What archivers do

    @precondition(lambda self: not self.model.transaction_is_open)
    @rule(changes=changes, commit=st.booleans())
    def archive_while_a_transaction_is_open(self, changes: list[Any], commit: bool) -> None:
        """The rows that it writes are read as they were before, and are to be seen as changed afterwards."""
        self._model.begin(self._of_present_rows(changes), set())
        self.archive("keeping")
        self._model.end(commit=commit)

    @rule(how=st.sampled_from(["keeping", "purging", "purging twice", "stopped"]))
    def archive(self, how: str) -> None:
        purging = how != "keeping" and not self._model.locked  # a purge would wait for the rows of a transaction
        if purging and how == "stopped":
            self._archive_and_stop()
            return
        with self.figures.counting("runs"):
            report = self.bench.run(purging=purging)
        self._is_as_predicted(self.seen, report, purging)
        if purging and how == "purging twice":
            before = self.bench.records()
            with self.figures.counting("re-runs"):
                report = self.bench.run()
            assert not any(report.totals.values()), report
            assert self.bench.records() == before, "a run with nothing to do wrote into the lake"

    def _archive_and_stop(self) -> None:
        """Run while somebody asks for a stop: all is archived, and not a batch deleted."""
        before = self.seen
        self.stop_file.touch()
        try:
            with self.figures.counting("stopped runs"):
                self.bench.run()
        except RunFailed as failure:
            assert "Stopped by the stop file" in str(failure)
        finally:
            self.stop_file.unlink()
        after = self._model.look()
        assert after.source == before.source
        assert after.archived == before.archived | before.in_scope

    @rule(effects=effects, purging=st.booleans())
    def archive_and_crash(self, effects: int, purging: bool) -> None:
        before, purging, report = self.seen, purging and not self._model.locked, None
        with self.figures.counting("crashed runs"), dying_after(effects):
            report = self.bench.run(purging=purging)
        if report is not None:
            self._is_as_predicted(before, report, purging)
            return
        after = self._model.look()
        assert after.source.keys() <= before.source.keys()
        assert before.source.keys() - after.source.keys() <= (before.in_scope & after.archived if purging else set())
        assert before.archived <= after.archived <= before.archived | before.in_scope

    @precondition(lambda self: self.seen.lake)
    @rule(
        since=bounds, until=bounds, wanted=st.none() | st.sets(numbers, min_size=1, max_size=4), skip=st.booleans(),
        effects=st.none() | st.integers(0, 6),
    )  # fmt: skip
    def restore(
        self, since: str | None, until: str | None, wanted: set[int] | None, skip: bool, effects: int | None
    ) -> None:
        if since is None and until is None and wanted is None:
            since = MOMENTS[0]
        if since is not None and until is not None:
            since, until = (min(since, until), max(since, until)) if since != until else (since, None)
        texts = None if wanted is None else [",".join(self._key(n)) for n in sorted(wanted)]
        request = RestoreRequest.of(from_=since, to=until, keys=texts, on_conflict="skip" if skip else "refuse")
        expected = self.seen.restored(since, until, wanted)
        missing = {version for version in expected if key_of(version) not in self.seen.keys}
        before, report = self.seen, None
        self._model.expect_change()
        with self.figures.counting("restores"), dying_after(effects):
            try:
                report = self._restore(request)
            except RestoreConflict:
                assert not skip and missing != expected
                missing = set()
        after = self._model.look()
        assert after.source.keys() in ([before.source.keys() | missing] + ([] if report else [before.source.keys()]))
        assert after.archived == before.archived
        if report is not None:
            assert (report.rows, report.skipped) == (len(missing), len(expected - missing))

    @precondition(lambda self: self.seen.lake)
    @rule(now=st.sampled_from([True, False, False, False]))  # it is dear, and most damage is seen by `look`
    def audit(self, now: bool) -> None:
        if not now:
            return
        with self.figures.counting("audits"):
            report = audit(self.bench.config_dir)
        assert not report.findings
        assert report.totals["rows"] == len(self.seen.archived)

    def _of_present_rows(self, changes: list[Any]) -> list[Any]:
        """Return the changes as those of rows that are there and not locked."""
        present = sorted(self._model.numbers() - self._model.locked)
        if not present:
            return []
        numbered = ((present[number % len(present)], *rest) for number, *rest in changes)
        return list({change[0]: change for change in numbered}.values())

    # How it is compared

    @property
    def _model(self) -> SourceModel:
        assert self.model is not None
        return self.model

    def _key(self, number: int) -> list[str]:
        shop, no = key(number)
        return [{"shop": shop, "no": no}[column] for column in self.primary_key]

    def _restore(self, request: RestoreRequest) -> RestoreReport:
        project = self.bench.project
        return restore_rows(project, project.archives[0], request)

    def _is_as_predicted(self, before: Seen, report: RunReport, purging: bool) -> None:
        """Compare what a run that came to its end left, and said, with what it had to do."""
        after = self._model.look()
        new, gone = before.in_scope - before.archived, before.in_scope if purging else set()
        assert after.archived == before.archived | new
        assert after.source.keys() == before.source.keys() - gone
        left_over = self._model.left_over()
        assert not left_over, f"a run that came to its end leaves something over: {left_over}"
        receipts = self._purged(before, after)
        told = report.totals
        assert (told["archived"], told["deleted"]) == (len(new), len(gone))
        assert (told["changed_since"], told["already_gone"]) == (receipts[1], receipts[2])
        self.figures.rows_deleted += told["deleted"]

    def _purged(self, before: Seen, after: Seen) -> tuple[int, int, int]:
        """Return deleted, changed and gone rows by the receipts of a run, each found to be what it has to be."""
        there = {key_of(version): version for version in before.source}
        totals = (0, 0, 0)
        for receipt in after.receipts[len(before.receipts) :]:
            versions = after.lake[receipt.manifest]
            deleted = [version for version in versions if there.get(key_of(version)) == version]
            for version in deleted:
                del there[key_of(version)]
            changed = sum(key_of(version) in there for version in versions)
            counts = len(deleted), changed, len(versions) - len(deleted) - changed
            assert (receipt.deleted, receipt.changed_since, receipt.already_gone) == counts, receipt
            assert receipt.archived == len(versions)
            totals = tuple(a + b for a, b in zip(totals, counts, strict=True))  # type: ignore[assignment]
        return totals


def run_schedules(schedules: int, steps: int, seed: int | None = None) -> Figures:
    """Run random schedules, those of a seed or ever new ones; a failure of the latter is made as small as may be.

    Raises:
        AssertionError: The real thing did not do what the model says; the steps that led there are in its notes.
    """
    AnySchedule.figures = Figures()
    machine = AnySchedule if seed is None else seeded(seed)(type("Seeded", (AnySchedule,), {}))
    phases = [Phase.reuse, Phase.generate, Phase.shrink] if seed is None else [Phase.generate]
    options: dict[str, Any] = {} if seed is None else {"database": None}
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=schedules, stateful_step_count=steps, phases=phases, deadline=None,
            print_blob=seed is None, suppress_health_check=list(HealthCheck), **options,
        ),
    )  # fmt: skip
    return AnySchedule.figures
