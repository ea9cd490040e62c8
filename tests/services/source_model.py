"""A model of a table and its lake: what users do to the table, and what each step of an archiver has to make of it.

Small on purpose: few keys, few moments and few values, so that random schedules meet the same row again and again.
The model knows versions of rows and the order in which they were archived, and nothing of how Tidegate works.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from oracle import Oracle, Version, versions_in
from psycopg import sql
from service_bench import Bench

from schemas.manifest import Manifest
from schemas.purge_records import Receipt

TABLE = """
DROP TABLE IF EXISTS orders;
CREATE TABLE orders (
    shop text, no integer, placed_at timestamptz, amount numeric(12,4), note text, PRIMARY KEY ({}))
"""
WHERE = "note IS DISTINCT FROM 'keep'"
SINCE, UNTIL = "2024-01-01", "2024-03-01"
SCOPE = f"placed_at >= '{SINCE}' AND placed_at < '{UNTIL}' AND {WHERE}"
COLUMNS = ("amount", "no", "note", "placed_at", "shop")
SOURCE = f"SELECT ({SCOPE}) IS TRUE, {', '.join(f'{column}::text' for column in COLUMNS)} FROM orders".encode()
MOMENTS = (
    "2024-01-01 00:00:00+00", "2024-01-15 12:00:00.5+00", "2024-01-31 23:59:59.999999+00", "2024-02-01 00:00:00+00",
    "2024-02-10 12:00:00+00", "2024-02-29 23:59:59+00", "2024-03-01 00:00:00+00", "2023-12-31 23:59:59.999999+00", None,
)  # fmt: skip
AMOUNTS = ("1.5000", "-0.0001", None)
NOTES = ("", "a", '\u00e9, "b"\n', None, "keep")
KEYS = 12

Key: TypeAlias = tuple[str, str]
Change: TypeAlias = tuple[int, int, int, int]  # number of a key, and places in MOMENTS, AMOUNTS and NOTES


def key(number: int) -> Key:
    """Return the (shop, no) of a key's number: unique together, and `no` alone."""
    return f"shop {number % 3}", str(number)


def key_of(version: Version) -> Key:
    """Return the (shop, no) of a row version."""
    values = dict(version)
    return str(values["shop"]), str(values["no"])


@dataclass(frozen=True)
class Seen:
    """What is there at a moment.

    Attributes:
        source: The versions in the table, and whether each is in scope.
        lake: The versions of each generation, by the path of its manifest, in the order of their commits.
        receipts: Those of all purges that came to their end, in that order.
    """

    source: dict[Version, bool]
    lake: dict[str, list[Version]]
    receipts: tuple[Receipt, ...]

    @property
    def in_scope(self) -> set[Version]:
        return {version for version, inside in self.source.items() if inside}

    @property
    def archived(self) -> set[Version]:
        return {version for versions in self.lake.values() for version in versions}

    @property
    def keys(self) -> set[Key]:
        return {key_of(version) for version in self.source}

    def restored(self, since: str | None, until: str | None, numbers: Iterable[int] | None) -> set[Version]:
        """Return what a restore of a range, or of some keys in it, is to bring back if the table holds none of it."""
        newest = {key_of(version): version for versions in self.lake.values() for version in versions}
        wanted = newest.keys() if numbers is None else {key(number) for number in numbers}
        return {v for k, v in newest.items() if k in wanted and _is_between(dict(v)["placed_at"], since, until)}


class SourceModel(Oracle):
    """The oracle, on a connection that stays open and with a memory of the lake's files.

    Args:
        bench: The project; its table is made anew.
        primary_key: The table's.

    Attributes:
        locked: Numbers of the keys of rows that an open transaction has changed.
        rows_written: Row versions that users wrote.
    """

    def __init__(self, bench: Bench, primary_key: Sequence[str]) -> None:
        self._connection = psycopg.connect(bench.url, autocommit=True, options="-c TimeZone=UTC")
        self._connection.execute(TABLE.format(", ".join(primary_key)).encode())
        self._writer: psycopg.Connection[Any] | None = None
        self._folder = bench.folder / "lake"
        self._files: dict[str, tuple[int, int, int]] = {}
        self._generations: dict[str, tuple[Manifest, list[Version]]] = {}
        self._receipts: dict[str, Receipt] = {}
        self._fresh = 100
        self._source: dict[Version, bool] = {}
        self._users_acted = True
        self.locked: frozenset[int] = frozenset()
        self.rows_written = 0
        super().__init__(bench, scope=SCOPE)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._connection.close()

    @property
    def transaction_is_open(self) -> bool:
        return self._writer is not None

    def put(self, changes: Iterable[Change]) -> None:
        """Insert the rows, or update those whose keys are there."""
        self._write(_upsert(changes))

    def replace(self, changes: Iterable[Change]) -> None:
        """Delete the rows and insert them with other values, in one transaction."""
        changes = list(changes)
        self._write("; ".join([_delete(number for number, *_ in changes), _upsert(changes)]))

    def remove(self, numbers: Iterable[int]) -> None:
        self._write(_delete(numbers))

    def truncate(self) -> None:
        self._write("TRUNCATE orders")

    def expect_change(self) -> None:
        """Take what is different at the next look for a user's will."""
        self._users_acted = True

    def _write(self, text: str) -> None:
        self._connection.execute(text.encode())
        self.expect_change()

    def begin(self, changes: Iterable[Change], removed: Iterable[int]) -> None:
        """Change rows in a transaction that stays open; what is no row yet becomes one with a key of its own."""
        present = self.numbers()
        written: list[Change] = []
        for number, moment, amount, note in changes:
            if number in {change[0] for change in written}:
                continue
            if number not in present:  # nobody else is to wait for this key
                self._fresh += 1
                number = self._fresh
            written.append((number, moment, amount, note))
        removed = present & set(removed)
        self._writer = psycopg.connect(self._bench.url)
        kept = _upsert(change for change in written if change[0] not in removed)
        self._writer.execute("; ".join([_delete(removed), kept]).encode())
        self.locked = frozenset(present & {*removed, *(number for number, *_ in written)})

    def end(self, *, commit: bool) -> None:
        """End the open transaction."""
        assert self._writer is not None
        (self._writer.commit if commit else self._writer.rollback)()
        self.expect_change()
        self._writer.close()
        self._writer, self.locked = None, frozenset()

    def numbers(self) -> set[int]:
        """Return the numbers of the keys that were in the table at the last look."""
        return {int(key_of(version)[1]) for version in self._source}

    def look(self) -> Seen:
        """Return what is there, every invariant checked."""
        source, lake = self.source(), self.lake()
        if self._users_acted:
            self._note(self._source, source)
        self._source, self._users_acted = source, False
        self.compare(source, lake)
        return Seen(source, lake, tuple(sorted(self._receipts.values(), key=lambda receipt: receipt.finished_at)))

    def source(self) -> dict[Version, bool]:
        """See `Oracle.source`; in one query."""
        return {tuple(zip(COLUMNS, texts, strict=True)): inside for inside, *texts in self._connection.execute(SOURCE)}

    def lake(self) -> dict[str, list[Version]]:
        """Return the versions in each generation; a file that was there before has to be there as it was."""
        found = dict(_files_below(self._folder, ""))
        kept = {path: state for path, state in self._files.items() if not _is_passing(path)}
        changed = sorted(path for path, state in kept.items() if found.get(path) != state)
        assert not changed, f"files of the lake were changed or removed: {changed}"
        new = {path: (self._folder / path).read_bytes() for path in found.keys() - self._files.keys()}
        self._files = found
        manifests = [Manifest.from_bytes(new[p], p) for p in new if p.startswith("_tidegate/manifests/")]
        for manifest in sorted(manifests, key=lambda manifest: manifest.attestation.snapshot.taken_at):
            contents = [(self._folder / file.path).read_bytes() for file in manifest.files]
            self._generations[manifest.path] = manifest, [v for content in contents for v in versions_in(content)]
        self._receipts |= {p: Receipt.from_bytes(new[p], p) for p in new if p.startswith("_tidegate/receipts/")}
        return {path: versions for path, (_, versions) in self._generations.items()}

    def left_over(self) -> set[str]:
        """Return the files that no manifest names and that are no records, as of the last look.

        A crash at some effects leaves an empty probe or mark for good, which nobody minds.
        """
        named = {file.path for manifest, _ in self._generations.values() for file in manifest.files}
        lasting = tuple(f"_tidegate/{kind}/" for kind in ("manifests", "receipts", "attempts", "probe"))
        return {p for p in self._files if p not in named and not p.startswith(lasting) and not p.endswith(".void")}

    def _note(self, before: dict[Version, bool], after: dict[Version, bool]) -> None:
        self.rows_written += len(after.keys() - before.keys())
        super()._note(before, after)


def _upsert(changes: Iterable[Change]) -> str:
    rows = [(*key(n), MOMENTS[moment], AMOUNTS[amount], NOTES[note]) for n, moment, amount, note in changes]
    if not rows:
        return "SELECT 1"
    values = ", ".join(f"({', '.join(sql.Literal(value).as_string() for value in row)})" for row in rows)
    return (
        "INSERT INTO orders SELECT v.shop, v.no::int, v.placed_at::timestamptz, v.amount::numeric, v.note "
        f"FROM (VALUES {values}) AS v(shop, no, placed_at, amount, note) ON CONFLICT ON CONSTRAINT orders_pkey "
        "DO UPDATE SET placed_at = excluded.placed_at, amount = excluded.amount, note = excluded.note"
    )


def _delete(numbers: Iterable[int]) -> str:
    return f"DELETE FROM orders WHERE no = ANY('{{{', '.join(str(number) for number in numbers)}}}')"


def _is_between(moment: str | None, since: str | None, until: str | None) -> bool:
    assert moment is not None, "a row without a time is in no window"
    at, start, end = (datetime.fromisoformat(text) if text else None for text in (moment, since, until))
    assert at is not None
    return (start is None or start <= at) and (end is None or at < end)


def _files_below(folder: Path, path: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Yield path and (inode, size, time of the last change) of every file but the scratch files."""
    if not path and not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            below = f"{path}{entry.name}"
            if entry.is_dir():
                if below != "_tidegate/scratch":
                    yield from _files_below(folder / entry.name, f"{below}/")
            else:
                status = entry.stat()
                yield below, (status.st_ino, status.st_size, status.st_mtime_ns)


def _is_passing(path: str) -> bool:
    """Return whether a file may go again: what an export stores before it commits, and what is only a probe."""
    return not path.startswith(("_tidegate/manifests/", "_tidegate/receipts/", "_tidegate/attempts/"))
