"""Which generations may hold newer versions of rows of which others, as manifests and receipts tell."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from lake_builder import COLUMNS, NOON, TIME, LakeBuilder, flight, month

from blocks.ledger import Generation
from blocks.local_lake import LocalLake
from schemas.column_plan import Kind
from schemas.window import Window
from tasks.superseding import superseding

JANUARY, FEBRUARY, MARCH = month(2013, 1), month(2013, 2), month(2013, 3)


@pytest.fixture
def flights(tmp_path: Path) -> LakeBuilder:
    return LakeBuilder(LocalLake(tmp_path / "lake"))


def found(flights: LakeBuilder) -> tuple[set[int], set[int]]:
    result = superseding(flights.generations())
    return result.older, result.newer


def commit(flights: LakeBuilder, *windows: Window, purged: bool) -> None:
    for n, window in enumerate(windows):
        flights.commit([flight(n, window.start)], window, purged=purged)


def test_windows_that_left_the_source_whole_supersede_nothing(flights: LakeBuilder) -> None:
    commit(flights, JANUARY, FEBRUARY, MARCH, purged=True)
    assert found(flights) == (set(), set())


def test_generations_of_one_window_supersede_each_other_even_if_purged(flights: LakeBuilder) -> None:
    commit(flights, JANUARY, FEBRUARY, JANUARY, JANUARY, purged=True)
    assert found(flights) == ({0, 2}, {2, 3})


def test_windows_that_overlap_in_a_chain_are_taken_together(flights: LakeBuilder) -> None:
    quarter = Window(start=JANUARY.start, end=MARCH.end)
    commit(flights, quarter, JANUARY, MARCH, month(2013, 4), purged=True)
    assert found(flights) == ({0, 1}, {1, 2})


def test_what_is_still_in_the_source_may_be_in_all_later_generations_and_in_no_earlier_one(
    flights: LakeBuilder,
) -> None:
    commit(flights, JANUARY, purged=True)
    commit(flights, FEBRUARY, purged=False)
    commit(flights, MARCH, month(2013, 4), purged=True)
    assert found(flights) == ({1}, {2, 3})


def test_generation_that_is_not_purged_may_supersede_one_that_was_purged_after_its_snapshot(
    flights: LakeBuilder,
) -> None:
    january = flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    february = flights.commit([flight(1, date(2013, 2, 5))], FEBRUARY)
    flights.purge(january, after_h=2)
    assert found(flights) == ({0}, {1})
    flights.purge(february)
    assert found(flights) == (set(), set())


def test_interrupted_purge_that_found_rows_gone_proves_nothing(flights: LakeBuilder) -> None:
    january = flights.commit([flight(1, date(2013, 1, 5)), flight(2, date(2013, 1, 5))], JANUARY)
    flights.commit([flight(3, date(2013, 2, 5))], FEBRUARY, purged=True)
    flights.purge(january, already_gone=1)
    assert found(flights) == ({0}, {1})


def test_time_in_the_key_keeps_windows_apart(flights: LakeBuilder) -> None:
    flights.key = ("id", "departed_at")
    commit(flights, JANUARY, FEBRUARY, JANUARY, purged=False)
    assert found(flights) == ({0}, {2})


def test_windows_with_and_without_time_zone_cannot_be_told_apart(flights: LakeBuilder) -> None:
    commit(flights, JANUARY, purged=True)
    flights.columns = tuple(TIME.model_copy(update={"kind": Kind.TIMESTAMP}) if c == TIME else c for c in COLUMNS)
    flights.commit(
        [flight(1, datetime(2014, 1, 1))], Window(start=datetime(2014, 1, 1), end=datetime(2014, 2, 1)), purged=True
    )
    assert found(flights) == ({0}, {1})


def test_many_generations_are_sorted_out_at_once(flights: LakeBuilder) -> None:
    manifest = flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    attested = manifest.attestation
    many = []
    for day in range(3650):
        start = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(days=day)
        snapshot = attested.snapshot.model_copy(update={"taken_at": NOON + timedelta(days=day)})
        changes = {
            "window": Window(start=start, end=start + timedelta(days=1)),
            "attestation": attested.model_copy(update={"snapshot": snapshot}),
        }
        many.append(Generation(manifest.model_copy(update=changes)))
    assert superseding(many).older == set(range(3649))
