"""Runs that are killed at each of their effects: no row is lost, none comes twice, and the next run goes on.

After every kill the oracle looks. A further run goes on from every state that a kill left, once: what a kill after an
effect leaves is what one before the next effect leaves, so that only a first run is killed after each effect as well.
With TIDEGATE_TORTURE=1 every run is, and it goes on after every kill.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias

import pytest
from oracle import Oracle
from service_effects import LAKE_EFFECTS, LAKE_READS, Kill
from service_kills import Figures, Stage, States, every_moment, in_scope, stages
from service_zygote import Zygote

from blocks.lake import Lake
from blocks.local_lake import LocalLake
from tidegate.demo.postgres import EmbeddedPostgres

EACH = bool(os.environ.get("TIDEGATE_TORTURE"))
WORKERS = 2  # a run and the database that serves it take turns

Prepare: TypeAlias = Callable[[Stage], None]
Survive: TypeAlias = Callable[[Stage, Kill, States], int]

GATE = """
import pandera.polars as pa

class Orders(pa.DataFrameModel):
    note: str = pa.Field(ne="refused", nullable=True)
"""


@pytest.fixture(scope="module")
def zygotes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Zygote]]:
    """Processes that run flows in children, one a worker."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("zygotes")
        yield [stack.enter_context(Zygote(folder / str(n))) for n in range(WORKERS)]


@pytest.fixture
def one_stage(postgres: EmbeddedPostgres, zygotes: list[Zygote], tmp_path: Path) -> Iterator[Stage]:
    """A stage with three months of rows."""
    with stages(postgres, zygotes[:1], tmp_path, three_months) as (stage,):
        yield stage


@pytest.fixture
def killing(postgres: EmbeddedPostgres, zygotes: list[Zygote], tmp_path: Path) -> Callable[..., Figures]:
    """Prepare stages, find the effects of a flow there, and call `survive` for each moment at which it can die."""

    def act(prepare: Prepare, survive: Survive, flow: str = "archive", *, after: bool = True) -> Figures:
        figures, states = Figures(), States(each=EACH)
        with stages(postgres, zygotes, tmp_path, prepare) as made, ThreadPoolExecutor(WORKERS) as threads:
            effects = made[0].run(flow).effects
            kills = list(every_moment(effects, after=after or EACH))
            free: SimpleQueue[Stage] = SimpleQueue()
            for stage in made:
                free.put(stage)

            def killed(kill: Kill) -> int:
                stage = free.get()
                try:
                    stage.reset()
                    return survive(stage, kill, states)
                except Exception as error:
                    threads.shutdown(wait=False, cancel_futures=True)  # the others would take a minute
                    error.add_note(f"after a kill {kill.moment} {effects[kill.number]}")
                    raise
                finally:
                    free.put(stage)

            figures.effects, figures.kills = len(effects), len(kills)
            figures.rows = sum(threads.map(killed, kills))
            figures.states = len(states)
        print(f"\n{flow}: {figures}")
        return figures

    return act


def three_months(stage: Stage) -> None:
    """Rows of three windows, and others that no run may touch."""
    bench = stage.bench
    bench.fill_orders(330)  # from January into April; those of `shop 2` are out of scope
    bench.sql("INSERT INTO orders VALUES (1001, NULL), (1002, 'infinity'), (1003, '2026-01-01'), (1004, '2023-12-31')")
    stage.oracle = Oracle(bench, scope=in_scope(bench))


def changed_and_interrupted(stage: Stage) -> None:
    """Two windows that were archived, changed, half purged, changed again, and half exported again."""
    bench = stage.bench
    (bench.folder / "fault_gate.py").write_text(GATE)
    bench.configure(gate="fault_gate:Orders", on_gate_failure="quarantine", to="2024-03-01")
    three_months(stage)
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
    three_months(stage)
    stage.run(purge=False)
    stage.oracle.write("UPDATE orders SET note = 'changed' WHERE id % 20 = 0")
    stage.run()
    stage.oracle.write("INSERT INTO orders VALUES (4, '2024-05-05', 'shop 1', 5, 'the key is used again', NULL)")


def survive_archiving(stage: Stage, kill: Kill, states: States) -> int:
    """Kill a run, look, run again, look, and see that a further run has nothing to do."""
    oracle = stage.oracle
    stage.run(kill=kill)
    rows: int = oracle.check()
    if states.is_done(stage.left()):
        return rows
    stage.run()
    rows += oracle.check()
    source, archived = stage.state()
    wanted = {version for version in oracle.live if oracle.written[version]}
    refused = {version for version in wanted if ("note", "refused") in version}
    assert source & wanted == refused, "not all that was to leave has left"
    assert wanted - refused <= archived
    assert stage.bench.ledger.orphans() == [], "files of a dead run are still there"
    assert not list(stage.bench.lake.list("_tidegate/intents"))
    before = stage.bench.records()
    assert stage.run().mutations == []
    assert stage.bench.records() == before
    assert stage.state() == (source, archived)
    return rows


def survive_restoring(stage: Stage, kill: Kill, states: States) -> int:
    """Kill a restore, find all rows back or none and the archive as it was, and restore again."""
    oracle, records = stage.oracle, stage.bench.records()
    before, archived = stage.state()
    newest = {v for v in archived & oracle.live if ("id", "4") not in v}
    with oracle.user_acts():
        stage.run("restore", kill)
    assert stage.state()[0] in (before, before | newest), "some rows are back, and some are not"
    assert stage.bench.records() == records
    rows: int = oracle.check()
    if states.is_done(stage.left()):
        return rows
    with oracle.user_acts():
        stage.run("restore")
    assert stage.state() == (before | newest, archived)
    assert stage.bench.records() == records
    return rows + oracle.check()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_first_run_killed_at_any_effect_is_finished_by_the_next(killing: Callable[..., Figures]) -> None:
    figures = killing(three_months, survive_archiving)
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
    for lake in (Lake, LocalLake):
        assert {name for name in vars(lake) if not name.startswith("_")} <= known
