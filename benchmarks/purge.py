"""Delete by proof beside what people use instead, on PostgreSQL and on MariaDB, in one run: ratios, not seconds.

    python benchmarks/purge.py                # a million rows on each
    python benchmarks/purge.py --rows 100000  # a quick look

On PostgreSQL the rival is the usual loop (`DELETE … WHERE id IN (SELECT … LIMIT 5000)`), on MariaDB it is
`pt-archiver --purge --bulk-delete` of Debian's percona-toolkit. Neither has copied anything anywhere, let alone
compared a row before it deletes it. Rates are of the deleting alone; nothing is flushed to disk on any side.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

import yaml
from archive import END, START
from archive import Bench as PostgresBench
from measured import Measured, aim, machine, measure

from tidegate.demo.debian_packages import unpacked
from tidegate.demo.mariadb import MariaDB
from tidegate.demo.postgres import EmbeddedPostgres

HERE = Path(__file__).parent

TABLE = """
CREATE TABLE lineitem (
    id bigint PRIMARY KEY, shipped_at datetime(6) NOT NULL, quantity int, price decimal(12,4), discount decimal(12,4),
    comment varchar(100), payload json, reference char(36), KEY (shipped_at))
"""
FILL = """
INSERT INTO lineitem
SELECT seq, '{start}' + INTERVAL seq * (TIMESTAMPDIFF(SECOND, '{start}', '{end}') / ({rows} + 1)) SECOND,
       seq % 50, (seq * 7919 % 10000000) / 1e4, CASE WHEN seq % 11 <> 0 THEN (seq % 10) / 1e2 END,
       CONCAT('order ', seq, ' of customer ', seq * 31 % 9973), JSON_OBJECT('n', seq, 'tags', JSON_ARRAY('a', seq % 7)),
       UUID()
FROM seq_1_to_{rows}
"""
PERCONA = (
    "percona-toolkit",
    "libdbi-perl",
    "libdbd-mysql-perl",
    "libterm-readkey-perl",
    "libmariadb3",
    "mariadb-common",
)
BATCH_ROWS = 5000


class MariaBench:
    """A MariaDB server with the table, and a project that archives it."""

    def __init__(self, server: MariaDB, folder: Path) -> None:
        self.server, self.folder = server, folder
        (folder / "config").mkdir()
        server.sql("CREATE DATABASE bench CHARACTER SET utf8mb4")
        self.url = server.url("bench")

    def load(self, rows: int) -> None:
        self.server.sql("DROP TABLE IF EXISTS lineitem", database="bench")
        self.server.sql(TABLE, database="bench")
        self.server.sql(FILL.format(start=START, end=END, rows=rows), database="bench")
        self.server.sql("ANALYZE TABLE lineitem", database="bench")

    def configure(self) -> None:
        """Write the project, with an empty lake."""
        shutil.rmtree(self.folder / "lake", ignore_errors=True)
        archive = {
            "name": "lineitem", "source": "bench", "table": "lineitem", "time_column": "shipped_at",
            "window": "month", "to": END, "purge": {"mode": "delete"},
        }  # fmt: skip
        source = {"name": "bench", "type": "mysql", "connection": {"url": self.url}}
        for name, content in (
            ("settings", {"lake": "./lake", "memory_limit": "1GB"}),
            ("sources", {"sources": [source]}),
            ("archives", {"archives": [archive]}),
        ):
            (self.folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def pt_archiver(self) -> dict[str, float]:
        """Run pt-archiver over the whole table and return its rate, by its own clock."""
        root = unpacked("percona", PERCONA)
        parts = urlsplit(self.url)
        perl = [str(root / "usr/share/perl5"), *map(str, root.glob("usr/lib/*/perl5/5.*"))]
        libraries = [str(path) for path in root.glob("usr/lib/*-linux-gnu")]
        password = unquote(parts.password or "").replace(",", "\\,")
        dsn = f"h=127.0.0.1,P={parts.port},u={parts.username},p={password},D=bench,t=lineitem"
        command = [
            "perl", str(root / "usr/bin/pt-archiver"), "--source", dsn, "--purge", "--bulk-delete",
            "--where", f"shipped_at < '{END}'", "--limit", str(BATCH_ROWS), "--commit-each", "--no-check-charset",
            "--statistics",
        ]  # fmt: skip
        surroundings = {"PERL5LIB": ":".join(perl), "LD_LIBRARY_PATH": ":".join(libraries), "PATH": os.environ["PATH"]}
        rows = int(self.server.sql("SELECT count(*) FROM lineitem", database="bench")[0][0])
        started = time.monotonic()
        subprocess.run(command, env=surroundings, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        left = int(self.server.sql("SELECT count(*) FROM lineitem", database="bench")[0][0])
        return {"rows_per_s": (rows - left) / seconds}


def ours(folder: Path) -> dict[str, float]:
    """Export and prove everything, then delete: only the last is timed."""
    figures = Measured()
    measure(figures, [sys.executable, str(HERE / "tidegate_steps.py"), str(folder / "config"), "export", "purge-alone"])
    return figures.said[-1]


def loop(url: str) -> dict[str, float]:
    """Run the usual loop."""
    command = [sys.executable, str(HERE / "rival_loop.py"), url, "lineitem", END]
    said: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return said


def paired(rounds: int, load: Callable[[], None], rival: Callable[[], float], us: Callable[[], float]) -> list[float]:
    """Return [our rate, the rival's rate, the ratio]: medians over the rounds, whose order alternates."""
    pairs = []
    for number in range(rounds):
        rates = {}
        for contestant in (rival, us) if number % 2 else (us, rival):
            load()
            rates[contestant] = contestant()
        pairs.append((rates[us], rates[rival]))
    return [median(a for a, _ in pairs), median(b for _, b in pairs), median(a / b for a, b in pairs)]


def on_postgresql(folder: Path, rows: int, rounds: int) -> list[float]:
    settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
    with EmbeddedPostgres(settings=settings) as server:
        bench = PostgresBench(server, folder)

        def us() -> float:
            bench.configure("rows")
            return ours(folder)["rows_per_s"]

        return paired(rounds, lambda: bench.load("lineitem", rows), lambda: loop(bench.url)["rows_per_s"], us)


def on_mariadb(folder: Path, rows: int, rounds: int) -> list[float]:
    with MariaDB(settings={"log-bin": "binlog", "innodb-buffer-pool-size": "512M"}) as server:
        bench = MariaBench(server, folder)

        def us() -> float:
            bench.configure()
            return ours(folder)["rows_per_s"]

        return paired(rounds, lambda: bench.load(rows), lambda: bench.pt_archiver()["rows_per_s"], us)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. {options.rows:,} rows × 8 columns, {options.rounds} rounds.",
        "",
        "| | delete by proof, rows/s | rival, rows/s | ratio |",
        "|---|---|---|---|",
    ]
    ratios = {}
    for name, contest in (
        ("PostgreSQL 18, the LIMIT loop", on_postgresql),
        ("MariaDB 10.11, pt-archiver --bulk-delete", on_mariadb),
    ):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
            us, rival, ratio = contest(Path(folder), options.rows, options.rounds)
        lines.append(f"| {name} | {us:,.0f} | {rival:,.0f} | {ratio:.2f} × |")
        ratios[name] = ratio
    lines += ["", "| aim | measured | |", "|---|---|---|"]
    lines += [aim(f"at least 1 × {name}", f"{ratio:.2f} ×", ratio >= 1) for name, ratio in ratios.items()]
    text = "\n".join(lines) + "\n"
    print(text)
    (HERE / "results" / "purge.md").write_text(text)


if __name__ == "__main__":
    main()
