"""Runs that are killed at each of their effects: no row is lost, none comes twice, and the next run goes on.

After every kill the oracle looks. A further run goes on from every state that a kill left, once: what a kill after an
effect leaves is what one before the next effect leaves, so that only a first run is killed after each effect as well.
With TIDEGATE_TORTURE=1 every run is, and it goes on after every kill.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from recorded_lakes import LAKE_EFFECTS, LAKE_READS, LAKES
from service_effects import Kill
from service_kills import Figures, Killing, zygotes_in
from service_stage import Stage, fill, stages
from service_survival import add_gate, survive_archiving, survive_restoring
from service_zygote import Zygote
from stage_postgresql import PostgresStage

from blocks.lake import Lake
from tidegate.demo.postgres import EmbeddedPostgres


@pytest.fixture(scope="module")
def zygotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Zygote]]:
    with zygotes_in(tmp_path_factory.mktemp("zygotes")) as zygotes:
        yield zygotes


@pytest.fixture
def one_stage(postgres: EmbeddedPostgres, zygotes: list[Zygote], tmp_path: Path) -> Iterator[Stage]:
    """A stage with three months of rows."""
    with stages(partial(PostgresStage, postgres), zygotes[:1], tmp_path, fill) as (stage,):
        yield stage


@pytest.fixture
def killing(postgres: EmbeddedPostgres, zygotes: list[Zygote], tmp_path: Path) -> Callable[..., Figures]:
    return partial(Killing(zygotes, tmp_path), partial(PostgresStage, postgres))


def changed_and_interrupted(stage: Stage) -> None:
    """Two windows that were archived, changed, half purged, changed again, and half exported again."""
    bench = stage.bench
    add_gate(bench)
    bench.configure(to="2024-03-01")
    stage.fill()
    write = stage.oracle.write
    write("UPDATE orders SET note = 'refused' WHERE id IN (121, 123)")
    stage.run(purge=False)
    write("UPDATE orders SET note = 'changed' WHERE id % 20 = 0")
    write("DELETE FROM orders WHERE id % 30 = 1")
    write("UPDATE orders SET placed_at = placed_at + interval '30 days' WHERE id % 40 = 3")
    write("INSERT INTO orders SELECT 2000 + g, '2024-01-07 12:00Z', 'late', g, NULL, '{}' FROM generate_series(1, 5) g")
    stage.run(kill=Kill(0, "after", "COMMIT"))
    assert any(gone not in stage.oracle.source() for gone in stage.oracle.live)
    write("INSERT INTO orders VALUES (1, '2024-01-01 07:13Z', 'again', 1, 'the key came back', NULL)")
    write("UPDATE orders SET amount = amount + 1 WHERE id IN (124, 126, 129)")
    write("INSERT INTO orders VALUES (2100, '2024-02-07 12:00Z', 'late', 2, NULL, NULL)")
    stage.run(kill=Kill(0, "after", "store"))
    assert bench.ledger.orphans()


def all_archived(stage: Stage) -> None:
    """Three windows that left for the lake, some rows of them in two versions, and a key that was used again."""
    stage.fill()
    stage.run(purge=False)
    stage.oracle.write("UPDATE orders SET note = 'changed' WHERE id % 20 = 0")
    stage.run()
    stage.oracle.write("INSERT INTO orders VALUES (4, '2024-05-05', 'shop 1', 5, 'the key is used again', NULL)")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_first_run_killed_at_any_effect_is_finished_by_the_next(killing: Callable[..., Figures]) -> None:
    figures = killing(fill, survive_archiving)
    assert figures.kills > 2 * figures.effects > 60
    assert figures.states > 20


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_after_an_interrupted_one_killed_at_any_effect_is_finished_by_the_next(
    killing: Callable[..., Figures],
) -> None:
    figures = killing(changed_and_interrupted, survive_archiving, after=False)
    assert figures.kills > figures.effects > 40
    assert figures.states > 30


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_restore_killed_at_any_effect_brings_back_all_rows_or_none(killing: Callable[..., Figures]) -> None:
    figures = killing(all_archived, survive_restoring, "restore")
    assert figures.kills == 2 * figures.effects > 10
    assert figures.states == 2


def test_a_dry_run_makes_no_mutating_call(one_stage: Stage) -> None:
    source = one_stage.oracle.source()
    assert one_stage.run(dry_run=True).effects == []
    assert not (one_stage.bench.folder / "lake").exists()
    one_stage.run(purge=False)
    before = one_stage.bench.records()
    assert one_stage.run(dry_run=True).effects == []
    assert (one_stage.oracle.source(), one_stage.bench.records()) == (source, before)


def test_the_recorder_knows_everything_that_a_lake_does() -> None:
    known = LAKE_EFFECTS | LAKE_READS
    for lake in (Lake, *LAKES):
        assert {name for name in vars(lake) if not name.startswith("_")} <= known
