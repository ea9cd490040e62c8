"""The throttle: any one reason to wait wins, is told by name, is never silent, and ends with a stop request."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from rich.progress import Progress as Bars

from blocks.dialects.postgresql.pressure import wal_file_number
from blocks.dialects.postgresql.replica_lag import KEPT, LagHistory
from blocks.progress import Progress
from blocks.stop import StopRequest
from blocks.throttle.brake import Stopped, Wait
from blocks.throttle.limit import Limit
from blocks.throttle.lock_watch import CountWaiting, LockWatch
from blocks.throttle.pause_variable import PauseVariable
from blocks.throttle.throttle import Throttle
from schemas.errors import Interrupted
from schemas.throttle_options import ThrottleOptions
from schemas.window import Window
from tidegate.show.progress_bars import _Shown


@dataclass
class World:
    """A clock that moves when somebody sleeps, and what happens meanwhile."""

    now: float = 1000.0
    stop: StopRequest = field(default_factory=StopRequest)
    stop_at: float = float("inf")
    told: list[str | None] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.stop_at:
            self.stop.note(15, None)

    def throttle(self, *brakes: Any, **options: Any) -> Throttle:
        return Throttle(
            "purge", ThrottleOptions.model_validate(options), brakes, self.stop,
            tell=self.told.append, clock=lambda: self.now, sleep=self.sleep,
        )  # fmt: skip


@dataclass
class Until:
    """A brake that holds until a moment of the world's clock, and counts the looks."""

    world: World
    moment: float
    reason: str = "tide"
    every_s: float = 1.0
    looks: int = 0

    def look(self) -> Wait | None:
        self.looks += 1
        return Wait(self.reason, f"{self.reason} is high") if self.world.now < self.moment else None


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    """What was logged."""
    caplog.set_level(logging.INFO, "tidegate")
    yield lambda: [record.getMessage() for record in caplog.records]


def test_without_a_reason_work_goes_on_at_once(events: Any) -> None:
    world = World()
    throttle = world.throttle(Until(world, 0))
    for _ in range(10):
        throttle.go()
    assert (world.now, world.told, events()) == (1000.0, [], [])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_one_reason_holds_the_work_back_and_is_named(place: int, events: Any) -> None:
    world = World()
    brakes = [Until(world, 1007.5 if place == each else 0, f"reason{each}") for each in range(3)]
    world.throttle(*brakes).go()
    assert 1007.5 <= world.now < 1009
    assert world.told == [f"reason{place} is high", None]
    assert events() == [f"event=purge_waits reason=reason{place} waited_s=0.0", "event=purge_goes_on waited_s=8.0"]


def test_reasons_that_follow_each_other_are_all_waited_out(events: Any) -> None:
    world = World()
    world.throttle(Until(world, 1005, "one", 1.0), Until(world, 1010, "two", 2.0)).go()
    assert world.now >= 1010
    assert world.told == ["one is high", "two is high", None]
    assert len(events()) == 3


def test_a_wait_is_never_silent_for_long(events: Any) -> None:
    world = World()
    world.throttle(Until(world, 1000 + 3600)).go()
    assert 3600 / 60 <= len(events()) <= 3600 / 29
    assert all(event.startswith("event=purge_waits reason=tide") for event in events()[:-1])


def test_a_reason_is_not_looked_at_more_often_than_it_is_worth() -> None:
    world = World()
    brake = Until(world, 0, every_s=5.0)
    throttle = world.throttle(brake, pause_s=0.25)
    for _ in range(100):
        throttle.go()
    assert 5 <= brake.looks <= 7


@pytest.mark.parametrize("options", [{}, {"pause_s": 3600}])
def test_a_stop_request_ends_a_wait_within_a_second(options: dict[str, Any]) -> None:
    world = World(stop_at=1100)
    throttle = world.throttle(Until(world, 99999, every_s=600), **options)
    with pytest.raises(Interrupted, match="SIGTERM"):
        throttle.go()
    assert 1100 <= world.now < 1101
    with pytest.raises(Interrupted):
        throttle.go()


def test_a_stop_request_ends_a_pause_within_a_second() -> None:
    world = World(stop_at=1100)
    throttle = world.throttle(pause_s=3600)
    throttle.go()
    with pytest.raises(Interrupted):
        throttle.go()
    assert 1100 <= world.now < 1101


def test_a_remedy_runs_while_waiting_and_is_told_of_a_stop() -> None:
    world = World()
    heard: list[bool] = []

    class Silt:
        every_s = 1.0

        def look(self) -> Wait | None:
            return None if heard else Wait("silt", "silt", remedy=self.dredge)

        def dredge(self, stopped: Stopped) -> None:
            heard.append(stopped())
            world.stop.note(15, None)
            heard.append(stopped())

    with pytest.raises(Interrupted):
        world.throttle(Silt()).go()
    assert heard == [False, True]


def test_between_two_batches_there_is_the_pause_and_before_the_first_there_is_none() -> None:
    world = World()
    throttle = world.throttle(pause_s=0.5)
    throttle.go()
    assert world.now == 1000
    throttle.go()
    assert world.now == pytest.approx(1000.5)


def test_a_batch_that_made_others_wait_is_followed_by_a_pause_and_a_smaller_one(events: Any) -> None:
    world = World()
    throttle = world.throttle(max_lock_waits=1)
    throttle.go()
    throttle.took(5000, 0.25, waiting=1)
    assert throttle.rows == 5000
    throttle.go()
    assert world.now == 1000
    throttle.took(5000, 0.25, waiting=2)
    assert throttle.rows == 2500
    throttle.go()
    assert world.now == pytest.approx(1001)
    assert world.told == ["sessions waiting for our locks 2 > 1", None]
    assert events() == ["event=purge_yields reason=lock_waits waiting=2 limit=1 batch_rows=2500"]


# What people see of a wait

FEBRUARY = Window(start=datetime(2024, 2, 1), end=datetime(2024, 3, 1))


def test_the_bar_of_a_window_says_what_the_work_waits_for() -> None:
    bars = Bars()
    shown = _Shown(bars, "archiving")
    shown(Progress("purge", FEBRUARY, 10, 100, "replica lag 12 s > 5 s"))
    assert bars.tasks[-1].fields["rows"] == "10 of 100 rows, waits: replica lag 12 s > 5 s"
    shown(Progress("purge", FEBRUARY, 10, 100))
    assert bars.tasks[-1].fields["rows"] == "10 of 100 rows"


def test_the_artifact_says_at_once_what_the_work_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import show_progress

    told: list[str] = []
    for name in ("create_progress_artifact", "update_progress_artifact"):
        monkeypatch.setattr(show_progress, name, lambda *_, description, **__: told.append(description) or "id")
    artifact = show_progress._ProgressArtifact("orders", FEBRUARY)
    artifact(Progress("purge", FEBRUARY, 10, 100))
    assert told == []
    artifact(Progress("purge", FEBRUARY, 10, 100, "replica lag 12 s > 5 s"))
    artifact(Progress("purge", FEBRUARY, 10, 100, "replica lag 13 s > 5 s"))
    artifact(Progress("purge", FEBRUARY, 20, 100))
    assert [text.partition("; ")[2] for text in told] == ["waits: replica lag 12 s > 5 s", ""]


def test_a_prefect_that_cannot_be_reached_does_not_end_a_purge(monkeypatch: pytest.MonkeyPatch, events: Any) -> None:
    from tasks import show_progress

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(show_progress, "create_progress_artifact", unreachable)
    monkeypatch.setattr(show_progress, "EVERY_S", 0.0)
    artifact = show_progress._ProgressArtifact("orders", FEBRUARY)
    for rows in (10, 20, 30):
        artifact(Progress("purge", FEBRUARY, rows, 100))
    assert events() == ["event=progress_not_shown error=ConnectionError"]


def test_a_limit_says_what_was_found_and_what_is_allowed() -> None:
    readings: list[float | None] = [None, 5.0, 12.04, 1234567.0]
    lag = Limit("replica_lag", "replica lag", "lag_s", lambda: readings.pop(0), 5, " s")
    assert (lag.look(), lag.look()) == (None, None)
    wait = lag.look()
    assert wait is not None
    assert (wait.text, dict(wait.values)) == ("replica lag 12 s > 5 s", {"lag_s": 12, "limit_s": 5})
    count = Limit("wal_not_archived", "WAL files not archived", "files", lambda: readings.pop(0), 8).look()
    assert count is not None
    assert (count.text, dict(count.values)) == (
        "WAL files not archived 1,234,567 > 8",
        {"files": 1234567, "limit": 8},
    )


# How far replicas are behind


def test_a_replica_that_stopped_to_replay_falls_behind_with_the_clock() -> None:
    now = [0.0]
    history = LagHistory(lambda: now[0])
    assert history.lag_s(100, [(100, None)]) == 0
    now[0] = 10
    assert history.lag_s(200, [(100, 0.01)]) == 0.01, "since this moment, as far as we know"
    now[0] = 25
    assert history.lag_s(300, [(100, 0.01)]) == 15
    assert history.lag_s(300, [(300, None)]) == 0
    now[0] = 30
    assert history.lag_s(400, [(300, 0.01), (399, 7.0)]) == 7, "the one that is furthest behind"


def test_a_replica_that_replays_slowly_is_behind_since_the_primary_was_where_it_is() -> None:
    now = [0.0]
    history = LagHistory(lambda: now[0])
    for second in range(60):
        now[0] = float(second)
        lag = history.lag_s(second * 10, [(second * 5, None)])
    assert lag == pytest.approx(59 - 30, abs=1)


def test_a_long_wait_does_not_make_the_history_long() -> None:
    now = [0.0]
    history = LagHistory(lambda: now[0])
    for second in range(10 * KEPT):
        now[0] = float(second)
        lag = history.lag_s(second, [(0, None)])
    assert lag == 10 * KEPT - 2
    assert len(history._seen) <= KEPT + 1


def test_wal_files_are_counted_by_their_names() -> None:
    megabytes = 16 * 2**20
    assert wal_file_number("000000010000000000000003", megabytes) == 3
    assert wal_file_number("000000020000000100000000", megabytes) == 256, "on whatever timeline"
    assert wal_file_number("0000000100000001000000FF.partial", megabytes) == 511
    assert wal_file_number("00000002.history", megabytes) is None


# The Prefect Variable


@pytest.mark.parametrize("value", [True, "pause", "PAUSE ", "true", "yes", 1, "stop", {"pause": True}])
def test_a_variable_holds_the_work_back(value: Any) -> None:
    variable = PauseVariable("brake", lambda: value)
    variable.ask()
    wait = variable.look()
    assert wait is not None
    assert (wait.reason, wait.values["value"]) == ("pause_variable", value)


@pytest.mark.parametrize("value", [None, False, "", "false", "No", "off", 0, "go"])
def test_a_variable_that_is_not_set_or_says_go_holds_nothing_back(value: Any) -> None:
    variable = PauseVariable("brake", lambda: value)
    variable.ask()
    assert variable.look() is None


def test_as_long_as_prefect_does_not_answer_the_work_waits_and_says_why() -> None:
    answers: list[Any] = [ConnectionError("refused"), False]

    def read() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    variable = PauseVariable("brake", read)
    variable.ask()
    wait = variable.look()
    assert wait is not None
    assert (wait.reason, wait.values["error"]) == ("pause_variable_unread", "ConnectionError")
    variable.ask()
    assert variable.look() is None


def test_a_server_that_hangs_delays_neither_a_look_nor_the_end() -> None:
    hanging, asked = threading.Event(), threading.Event()

    def read() -> None:
        asked.set()
        hanging.wait(20)

    with PauseVariable("brake", read).watched() as variable:
        wait = variable.look()
        assert asked.is_set()
        assert wait is not None and wait.reason == "pause_variable_unread"
    hanging.set()


def test_the_variable_is_asked_again_and_again() -> None:
    answers, heard = ["pause", "go"], threading.Event()

    def read() -> str:
        if len(answers) == 1:
            heard.set()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    with PauseVariable("brake", read, ask_every_s=0.01).watched() as variable:
        assert heard.wait(10)
        while variable.look() is not None:
            pass


# The watch over locks


def test_the_most_that_waited_during_a_batch_are_counted_and_the_next_batch_begins_anew() -> None:
    counts, seen = [1, 3, 2], threading.Event()

    def count() -> int:
        number = counts.pop(0) if counts else 0
        if not counts:
            seen.set()
        return number

    @contextmanager
    def connect() -> Iterator[CountWaiting]:
        yield count

    with LockWatch(connect, sample_s=0.001).watching() as watch:
        with watch.batch():
            assert seen.wait(10)
        assert (watch.look(), watch.most_waiting) == (None, 3)
        with watch.batch():
            pass
        assert watch.most_waiting == 0


def test_a_watch_that_cannot_see_holds_the_work_back_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.throttle.lock_watch.FIRST_LOOK_S", 0.05)

    @contextmanager
    def connect() -> Iterator[CountWaiting]:
        raise ConnectionError("too many clients")
        yield

    with LockWatch(connect).watching() as watch:
        wait = watch.look()
        assert wait is not None
        assert (wait.reason, wait.values["error"]) == ("lock_waits_unseen", "too many clients")
