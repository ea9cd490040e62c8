"""The lake's disk fills up, or turns read-only, in the middle of a run: no row is lost, the next run does the rest.

What is full or read-only from the beginning: `tests/flows/test_lake_refusals.py`, `tests/contract/`.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracle import Oracle
from service_bench import Bench
from service_disks import mounted, remount

from blocks.progress import Progress, listening
from schemas.errors import LakeError
from schemas.report import RunFailed

ROWS = 120  # of two windows


@pytest.fixture
def disk(bench: Bench) -> Iterator[Path]:
    """The lake's folder, a small disk of its own."""
    bench.configure(purge={"mode": "delete", "batch_rows": 20})
    bench.fill_orders(ROWS)
    with mounted(bench.folder / "lake", "size=1m") as folder:
        yield folder


def fill(disk: Path) -> None:
    """Leave not a byte."""
    with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()


def turn_read_only(disk: Path) -> None:
    remount(disk, "ro")


def turn_writable(disk: Path) -> None:
    remount(disk, "rw")


FAULTS = {
    "full": (fill, make_room, r"No space left|disk is full", "df -h"),
    "read-only": (turn_read_only, turn_writable, r"read-only|Read-only", "ount"),
}


@contextmanager
def at_first(phase: str, act: Callable[[], None]) -> Iterator[None]:
    """Act once, at the first progress of a phase: of an export, after its snapshot; of a purge, after a batch."""
    acted: list[Progress] = []

    def listener(progress: Progress) -> None:
        if progress.phase == phase and not acted:
            acted.append(progress)
            act()

    with listening(listener):
        yield
    assert acted


# A disk cannot be made read-only while an export writes to it.
@pytest.mark.parametrize(
    ("moment", "fault"),
    [("export", "full"), ("between", "full"), ("between", "read-only"), ("purge", "full"), ("purge", "read-only")],
)
def test_a_disk_that_fails_in_mid_run_fails_it_clearly_and_the_next_run_finishes(
    bench: Bench, disk: Path, moment: str, fault: str
) -> None:
    breaks, mends, told, advice = FAULTS[fault]
    oracle = Oracle(bench)
    if moment == "between":
        bench.run("export", purging=False)
        breaks(disk)
        left, errors = ROWS, errors_of(bench)
    else:
        with at_first(moment, lambda: breaks(disk)):
            errors = errors_of(bench)
        left = bench.count()
        assert left == ROWS if moment == "export" else left < ROWS
    assert errors and all(re.search(told, error) and "Next: " in error for error in errors), errors
    assert any(advice in error for error in errors)
    assert bench.count() == left
    mends(disk)
    oracle.check()
    bench.run("again")
    assert bench.count() == 0
    assert oracle.check() == ROWS
    for generation in bench.generations():
        receipt = generation.receipts[-1]
        assert receipt.archived == receipt.deleted + receipt.changed_since + receipt.already_gone
    assert bench.ledger.orphans() == []


def errors_of(bench: Bench) -> list[str]:
    """Run, and return what went wrong: with the whole run, or with each window."""
    try:
        bench.run()
    except RunFailed as failure:
        return [str(window.error) for window in failure.report.windows if window.error]
    except LakeError as error:
        return [str(error)]
    return []
