"""What has to hold after a run was killed: nothing is lost or doubled, and the next run comes to the end."""

from service_bench import Bench
from service_effects import Kill
from service_kills import States
from service_stage import Stage

_GATE = """
import pandera.polars as pa

class Orders(pa.DataFrameModel):
    note: str = pa.Field(ne="refused", nullable=True)
"""


def add_gate(bench: Bench) -> None:
    """Put rows whose note says that they are refused into quarantine."""
    (bench.folder / "fault_gate.py").write_text(_GATE)
    bench.configure(gate="fault_gate:Orders", on_gate_failure="quarantine")


def survive_archiving(stage: Stage, kill: Kill, states: States) -> int:
    """Kill a run, look, run again, look, and see that a further run has nothing to do."""
    oracle = stage.oracle
    stage.run(kill=kill)
    rows: int = oracle.check()
    if states.is_done(kill, stage.left()):
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
    assert stage.litter() == [], "what a dead run left is still there"
    before = stage.bench.records()
    assert stage.run().mutations == []
    assert stage.bench.records() == before
    assert stage.state() == (source, archived)
    return rows


def survive_restoring(stage: Stage, kill: Kill, states: States) -> int:
    """Kill a restore, find all rows back or none and the archive as it was, and restore again."""
    oracle, records = stage.oracle, stage.bench.records()
    before, archived = stage.state()
    taken = {dict(version)["id"] for version in before}
    newest = {version for version in archived & oracle.live if dict(version)["id"] not in taken}
    with oracle.user_acts():
        stage.run("restore", kill)
    assert stage.state()[0] in (before, before | newest), "some rows are back, and some are not"
    assert stage.bench.records() == records
    rows: int = oracle.check()
    if states.is_done(kill, stage.left()):
        return rows
    with oracle.user_acts():
        stage.run("restore")
    assert stage.state() == (before | newest, archived)
    assert stage.bench.records() == records
    return rows + oracle.check()
