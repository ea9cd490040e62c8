"""All records of a lake that the catalog is made of, read in bulk: what is damaged hides nothing else."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

from blocks.lake import Entry, Lake
from blocks.ledger import ROOT, Generation, Ledger
from blocks.run_records import read_run_log
from schemas.errors import ProofFailed
from schemas.manifest import Manifest, dataset_of
from schemas.run_record import RunRecord
from schemas.window import ALWAYS

_KINDS = ("manifests", "receipts", "removals", "erasures")


@dataclass(frozen=True, slots=True)
class LakeRecords:
    """What the records of a lake say.

    Attributes:
        generations: Of each dataset, oldest first: all, or those from the last one that holds the table as a whole.
        committed: Of each dataset, how many generations were committed and have not left the lake.
        runs: The run log, oldest first.
        damaged: What is wrong with records, by dataset; under "" what is wrong with the run log.
    """

    generations: dict[str, list[Generation]] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    damaged: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def all_damaged(self) -> tuple[str, ...]:
        """What is wrong with records, each naming its file."""
        return tuple(what for of_dataset in self.damaged.values() for what in of_dataset)


def read_records(lake: Lake, *, whole: bool) -> LakeRecords:
    """Read the records of all datasets, and the run log.

    Args:
        lake: The lake.
        whole: Whether generations are wanted that do not count any more; they need not be read otherwise.
    """
    log = read_run_log(lake)
    found = LakeRecords(runs=log.records, damaged={"": log.damaged} if log.damaged else {})
    held = _Held(lake)
    by_dataset: dict[str, list[str]] = {}
    for path in held.below(f"{ROOT}/manifests"):
        by_dataset.setdefault(dataset_of(path), []).append(path)
    if not whole:
        _leave_out_old_ones(held, by_dataset)
    held.read_ahead()
    for dataset, paths in sorted(by_dataset.items()):
        found.committed[dataset] = len(paths)
        try:
            generations = Ledger(cast(Lake, held), dataset).generations()
        except ProofFailed as error:
            found.damaged[dataset] = (error.what,)
        else:
            if generations:
                found.generations[dataset] = generations
    return found


def with_history(lake: Lake, records: LakeRecords, dataset: str) -> LakeRecords:
    """Return the records, with all generations of one dataset; if one of these is damaged, that is among them."""
    try:
        generations = Ledger(lake, dataset).generations()
    except ProofFailed as error:
        return replace(records, damaged={**records.damaged, dataset: (error.what,)})
    return replace(records, generations={**records.generations, dataset: generations}) if generations else records


class _Held:
    """The records as they were listed, read all at once: what `Ledger` needs of a lake to read them."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        listed = (entry for kind in _KINDS for entry in lake.list(f"{ROOT}/{kind}"))
        self._entries = {entry.path: entry for entry in listed}
        self._order = sorted(self._entries)
        self._contents: dict[str, bytes] = {}

    def below(self, folder: str) -> "list[str]":
        """Return the paths of records below a folder."""
        first = bisect_left(self._order, f"{folder}/")
        return self._order[first : bisect_left(self._order, f"{folder}0")]  # "0" comes next to "/"

    def leave_out(self, paths: Iterable[str]) -> None:
        """Do as if these were not there."""
        for path in paths:
            del self._entries[path]
        self._order = sorted(self._entries)

    def read_ahead(self) -> None:
        """Read all that was not read yet."""
        self.read_many(self._order)

    def read_many(self, paths: Iterable[str]) -> "list[bytes]":
        """See `Lake.read_many`."""
        wanted = list(paths)
        missing = [path for path in wanted if path not in self._contents]
        self._contents.update(zip(missing, self._lake.read_many(missing), strict=True))
        return [self._contents[path] for path in wanted]

    def list(self, prefix: str) -> Iterator[Entry]:
        """See `Lake.list`."""
        return (self._entries[path] for path in self.below(prefix))


def _leave_out_old_ones(held: _Held, by_dataset: dict[str, list[str]]) -> None:
    """Leave out what the newest generation replaces as a whole, of tables with one line of generations.

    Only there the order of the paths is surely that of time.
    """
    lines = [paths for paths in by_dataset.values() if len(paths) > 1 and _is_a_line(paths)]
    newest = held.read_many(paths[-1] for paths in lines)
    for paths, data in zip(lines, newest, strict=True):
        try:
            manifest = Manifest.from_bytes(data, paths[-1])
        except ProofFailed:  # told where it is read for good
            continue
        if manifest.is_whole and not manifest.supersedes:
            held.leave_out(paths[:-1])


def _is_a_line(paths: list[str]) -> bool:
    return all(path.rsplit("/", 2)[1] == ALWAYS.id for path in paths)
