"""A stage over a SQLite file."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from oracle import QuietOracle, Version
from service_stage import Stage, scope_of
from service_zygote import Zygote
from sqlite_bench import SqliteBench

ARCHIVE = {
    "from": "2024-01-01", "to": "2024-03-01", "where": "shop IS NOT 'shop 2'",
    "purge": {"mode": "delete", "batch_rows": 4},
}  # fmt: skip
# As the oracle prints what is in the lake.
_TEXTS = {
    "INTEGER": "CAST({} AS TEXT)", "DECIMAL(12,4)": "printf('%.4f', {})", "REAL": "printf('%.15g', {})",
    "BOOLEAN": "CASE WHEN {} THEN 'true' ELSE 'false' END", "BLOB": r"'\x' || lower(hex({}))",
    "TEXT": "{}", "DATETIME": "{}", "DATE": "{}",
}  # fmt: skip


class SqliteOracle(QuietOracle):
    """The oracle of a SQLite file. It looks at copies: who opens the file itself tidies up after dead writers."""

    def source(self) -> dict[Version, bool]:
        assert isinstance(self._bench, SqliteBench)
        with TemporaryDirectory() as folder:
            for file in database_files(self._bench):
                shutil.copy(file, folder)
            with closing(sqlite3.connect(Path(folder) / self._bench.file.name)) as connection:
                columns = sorted((row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({self._table})"))
                texts = [f"CASE WHEN {name} IS NOT NULL THEN {_TEXTS[kind].format(name)} END" for name, kind in columns]
                query = f"SELECT ({self._scope}) IS TRUE, {', '.join(texts)} FROM {self._table}"
                names = [name for name, _ in columns]
                return {
                    tuple(zip(names, texts, strict=True)): bool(inside) for inside, *texts in connection.execute(query)
                }


class SqliteStage(Stage):
    """A stage with a SQLite file of its own, which is copied to and fro.

    Args:
        zygote: Runs the flows.
        folder: Of the file and the project.
        wal: Whether the file has a write-ahead log; otherwise, a rollback journal.
    """

    bench: SqliteBench

    def __init__(self, zygote: Zygote, folder: Path, *, wal: bool) -> None:
        super().__init__(SqliteBench.in_folder(folder, wal=wal), zygote)
        self.bench.configure(**ARCHIVE)
        self._kept_files = folder / "kept"

    def fill(self) -> None:
        """Few rows, from January into March: each is deleted by a statement of its own."""
        self.bench.fill_orders(220)
        self.bench.sql("DELETE FROM orders WHERE id % 10")
        self.bench.sql("INSERT INTO orders (id, placed_at) VALUES (1001, NULL), (1002, '2026-01-01 00:00:00')")
        self.bench.sql("INSERT INTO orders (id, placed_at) VALUES (1003, '2023-12-31 23:59:59')")
        self.oracle = SqliteOracle(self.bench, scope=scope_of(self.bench.archive))

    def keep_source(self) -> None:
        self._kept_files.mkdir()
        for file in database_files(self.bench):
            shutil.copy(file, self._kept_files)

    def reset_source(self) -> None:
        for file in database_files(self.bench):
            file.unlink()
        for file in self._kept_files.iterdir():
            shutil.copy(file, self.bench.file.parent)

    def settle(self) -> None:
        """A file is let go with the process."""

    def close(self) -> None:
        """The folder is the caller's."""

    def litter(self) -> list[str]:
        return [file.name for file in database_files(self.bench) if file != self.bench.file]


def database_files(bench: SqliteBench) -> list[Path]:
    """Return the database and what lies beside it: journals, and the archiver's lock."""
    return sorted(bench.file.parent.glob(f"{bench.file.name}*"))
