"""Runs over SQLite, MariaDB and a lake on S3 that are killed at each of their effects.

As `test_kill_at_every_effect.py` does it over PostgreSQL and a local lake. With TIDEGATE_TORTURE=1 all of it is done in
all of these places; otherwise what takes long, or is the same in two of them, is left to one.
"""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from service_effects import Kill
from service_kills import EACH, Killing, zygotes_in
from service_stage import MakeStage, Stage, fill, stages
from service_survival import add_gate, survive_archiving, survive_restoring
from service_zygote import Zygote
from stage_mariadb import MariaDBStage
from stage_postgresql import S3Stage
from stage_sqlite import SqliteStage

PLACES = ("SQLite with a log", "SQLite with a journal", "MariaDB", "S3")
WINDOWS, BATCHES = 2, 4  # of a first run, in each


def in_places(*everyday: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", PLACES if EACH else everyday, indirect=True)


@pytest.fixture(scope="module")
def zygotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Zygote]]:
    with zygotes_in(tmp_path_factory.mktemp("zygotes")) as zygotes:
        yield zygotes


@pytest.fixture
def make(request: pytest.FixtureRequest) -> MakeStage:
    """Makes stages in one of the places."""
    service = request.getfixturevalue
    match request.param:
        case "MariaDB":
            return partial(MariaDBStage, service("mariadb"))
        case "S3":
            return partial(S3Stage, service("postgres"), service("s3_server"), service("s3_bucket"))
        case sqlite:
            return partial(SqliteStage, wal=sqlite == "SQLite with a log")


@pytest.fixture
def one_stage(make: MakeStage, zygotes: list[Zygote], tmp_path: Path) -> Iterator[Stage]:
    with stages(make, zygotes[:1], tmp_path, fill) as (stage,):
        yield stage


def changed_and_interrupted(stage: Stage) -> None:
    """Two windows that were archived, changed, half purged, changed again, and half exported again."""
    add_gate(stage.bench)
    stage.fill()
    write = stage.oracle.write
    write("UPDATE orders SET note = 'refused' WHERE id IN (120, 150)")
    stage.run(purge=False)
    write("UPDATE orders SET note = 'changed' WHERE id IN (40, 130)")
    write("DELETE FROM orders WHERE id = 30")
    write("UPDATE orders SET placed_at = '2024-02-09 01:00:00' WHERE id = 60")
    write("INSERT INTO orders (id, placed_at, note) VALUES (2001, '2024-01-07 12:00:00', 'late')")
    stage.run(kill=Kill(0, "after", "COMMIT"))
    assert any(gone not in stage.oracle.source() for gone in stage.oracle.live)
    write("INSERT INTO orders (id, placed_at, note) VALUES (10, '2024-01-04 00:10:00', 'the key came back')")
    write("UPDATE orders SET amount = amount + 1 WHERE id IN (130, 150, 160)")
    write("INSERT INTO orders (id, placed_at, note) VALUES (2002, '2024-02-07 12:00:00', 'late')")
    stage.run(kill=Kill(0, "after", "store"))
    assert stage.bench.ledger.orphans()


def all_archived(stage: Stage) -> None:
    """Two windows that left for the lake, some rows of them in two versions, and a key that was used again."""
    stage.fill()
    stage.run(purge=False)
    stage.oracle.write("UPDATE orders SET note = 'changed' WHERE id IN (40, 60, 130)")
    stage.run()
    stage.oracle.write(
        "INSERT INTO orders (id, placed_at, note) VALUES (40, '2024-05-05 00:00:00', 'the key is used again')"
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@in_places("SQLite with a log", "MariaDB", "S3")
def test_a_first_run_killed_at_any_effect_is_finished_by_the_next(
    make: MakeStage, zygotes: list[Zygote], tmp_path: Path
) -> None:
    figures = Killing(zygotes, tmp_path)(make, fill, survive_archiving)
    assert figures.kills >= 2 * figures.effects > 50
    assert figures.states > 15


@pytest.mark.slow
@pytest.mark.timeout(1800)
@in_places("SQLite with a journal", "MariaDB")
def test_a_run_after_an_interrupted_one_killed_at_any_effect_is_finished_by_the_next(
    make: MakeStage, zygotes: list[Zygote], tmp_path: Path
) -> None:
    figures = Killing(zygotes, tmp_path)(make, changed_and_interrupted, survive_archiving, after=False, every=3)
    assert figures.effects > 50
    assert figures.kills > 20
    assert figures.states > 15


@pytest.mark.slow
@pytest.mark.timeout(1800)
@in_places("SQLite with a log", "MariaDB")
def test_a_restore_killed_at_any_effect_brings_back_all_rows_or_none(
    make: MakeStage, zygotes: list[Zygote], tmp_path: Path
) -> None:
    figures = Killing(zygotes, tmp_path)(make, all_archived, survive_restoring, "restore")
    assert figures.kills == 2 * figures.effects > 10
    assert figures.states >= 2  # and what lies about beside a SQLite file


@in_places(*PLACES)
def test_a_dry_run_makes_no_mutating_call(one_stage: Stage) -> None:
    source = one_stage.oracle.source()
    assert one_stage.run(dry_run=True).effects == []
    assert one_stage.bench.records() == {}
    one_stage.run(purge=False)
    before = one_stage.bench.records()
    assert one_stage.run(dry_run=True).effects == []
    assert (one_stage.oracle.source(), one_stage.bench.records()) == (source, before)
    assert one_stage.litter() == []


@in_places(*PLACES)
def test_the_recorder_counts_what_a_first_run_does(one_stage: Stage) -> None:
    """What it might miss all the same, `States.check_recorder` finds."""
    before = one_stage.oracle.source()
    done = Counter(effect.what for effect in one_stage.run().effects)
    deleted = len(before) - len(one_stage.oracle.source())
    assert done["lock"] == 1 + WINDOWS  # to export, and for each window to purge it
    assert done["store"] == WINDOWS
    assert done["put_if_absent"] == 2 + 4 * WINDOWS  # a probe, twice; intent, manifest, attempt and receipt
    assert done["COMMIT"] == BATCHES
    assert done["DELETE"] in (BATCHES, deleted)  # SQLite's are of a row each
