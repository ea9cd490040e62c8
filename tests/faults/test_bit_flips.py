"""An audit finds every single flipped bit, wherever in the lake it is: rows, footers, manifests, receipts, the rest."""

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from service_bench import Bench
from service_shortcuts import shortcuts

from schemas.manifest import Removal
from tasks.audit import audit_datasets

FLIPS = 1000  # in data files and manifests
OTHER_FLIPS = 200
DATASETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "quarantined": {"gate": "flip_gate:Orders", "on_gate_failure": "quarantine"},
    "removed": {"gate": None, "on_gate_failure": None, "file_max_rows": 12},
}


@pytest.fixture
def lake(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Datasets of one generation each, so that each is audited in a moment; together they hold all kinds of files."""
    (tmp_path / "flip_gate.py").write_text(
        "import pandera.polars as pa\n\nclass Orders(pa.DataFrameModel):\n    id: int = pa.Field(ge=12)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bench.fill_orders(100)  # January of 2024
    for number, (dataset, options) in enumerate(DATASETS.items()):
        bench.configure(folder=dataset, where=f"id % {len(DATASETS)} = {number}", **options)
        bench.run()
    assert bench.count() == 4, "what the gate has put aside stays in the source"
    (generation,) = bench.generations()
    removal = Removal(
        dataset="removed", paths=generation.files[:1], rows=9, reason="test", removed_at=datetime.now(UTC)
    )
    bench.ledger.record_removal(removal, "run")
    bench.lake.delete(generation.files[:1])
    return bench


def files_of(bench: Bench) -> dict[str, Path]:
    """Return every file that a finished run leaves in the lake, by its path."""
    return {entry.path: bench.folder / "lake" / entry.path for entry in bench.lake.list("")}


def dataset_of(path: str) -> str:
    """Return whose file that is: `small/…`, `_tidegate/receipts/small/…`."""
    parts = path.split("/")
    return parts[2] if parts[0] == "_tidegate" else parts[0]


@contextmanager
def flipped(file: Path, bit: int) -> Iterator[None]:
    """Flip one bit of a file for as long as the block runs."""
    content = file.read_bytes()
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    file.write_bytes(damaged)
    yield
    file.write_bytes(content)


@pytest.mark.slow
def test_each_of_a_thousand_flipped_bits_is_found_and_only_that(lake: Bench) -> None:
    with shortcuts():
        _flip_and_audit(lake)


def _flip_and_audit(lake: Bench) -> None:
    files, settings, seed = files_of(lake), lake.project.settings, secrets.randbits(32)
    assert not audit_datasets(settings, None).findings
    kinds = {path.split("/")[1] if path.startswith("_tidegate") else "data" for path in files}
    assert kinds == {"data", "manifests", "receipts", "attempts", "removals", "quarantine"}
    choice = random.Random(seed)
    vital = [path for path in files if path.startswith(("_tidegate/manifests/", *(f"{name}/" for name in DATASETS)))]
    others = [path for path in files if path not in vital]
    paths = [*(vital[n % len(vital)] for n in range(FLIPS)), *(others[n % len(others)] for n in range(OTHER_FLIPS))]
    for number, path in enumerate(paths):
        file = files[path]
        bit = choice.randrange(file.stat().st_size * 8)
        with flipped(file, bit):
            report = audit_datasets(settings, [dataset_of(path)])
        where = {finding.where for finding in report.findings}
        # Without the record of a removal, what was removed is missing.
        missed = where - {path} if "/removals/" not in path else set()
        assert path in where and not missed, f"flip {number} of seed {seed}: bit {bit} of {path}: {report.findings}"
    assert not audit_datasets(settings, None).findings
