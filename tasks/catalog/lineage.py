"""Where the rows of a lake's tables come from, and where they go: between tables, and between columns."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from blocks.ledger import Generation
from schemas.catalog import ColumnOrigin, Node
from schemas.manifest import Manifest
from schemas.run_record import RunRecord
from tasks.catalog.lake_records import LakeRecords
from tasks.catalog.sources import source_label
from tasks.catalog.tables import runs_by_table
from tasks.current_state import current_state

Edge = tuple[str, str]
ColumnName = tuple[str, str]
"""A table (or source) and a column of it."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The graph of a lake.

    Attributes:
        nodes: By id (`schemas.catalog.Node`).
        up: For each node, what it is made from, directly.
        down: For each node, what is made from it, directly.
        columns: For each column that is known to be made of others, these.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    up: dict[str, list[str]] = field(default_factory=dict)
    down: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[ColumnName, tuple[ColumnName, ...]] = field(default_factory=dict)

    def reached(self, start: str, *, upwards: bool) -> list[str]:
        """Return the ids of all nodes that are reached from one, itself excluded, the nearest first."""
        edges, seen = self.up if upwards else self.down, [start]
        for node in seen:
            seen += [other for other in dict.fromkeys(edges.get(node, ())) if other not in seen]
        return seen[1:]

    def part(self, start: str, *, up: bool = True, down: bool = True) -> tuple[list[Node], list[Edge]]:
        """Return the nodes that rows of one come from or go to, and the edges between these, in the rows' direction."""
        above = [start, *(self.reached(start, upwards=True) if up else ())]
        below = [start, *(self.reached(start, upwards=False) if down else ())]
        edges = [(other, node) for node in above for other in self.up.get(node, ()) if up]
        edges += [(node, other) for node in below for other in self.down.get(node, ()) if down]
        return [self.nodes[node] for node in dict.fromkeys((*above, *below))], list(dict.fromkeys(edges))

    def origins(self, tables: Collection[str]) -> list[ColumnOrigin]:
        """Return what is known of the columns of these tables."""
        return [
            ColumnOrigin(table=table, column=column, made_of=made_of)
            for (table, column), made_of in self.columns.items()
            if table in tables
        ]


def lineage_of(records: LakeRecords) -> Lineage:
    """Return the graph of all tables, their sources, and what is published of them."""
    found = Lineage()
    runs = runs_by_table(records.runs)
    for dataset in sorted({*records.generations, *runs}):
        generations = records.generations.get(dataset, [])
        _add(found, Node(id=dataset, kind="table", label=dataset, in_lake=bool(generations)))
        if generations and generations[-1].manifest.built is None:
            _add_source(found, dataset, generations)
        else:
            inputs = _inputs(generations[-1].manifest if generations else None, runs.get(dataset, ()))
            _connect(found, inputs, dataset, records.generations)
            _add_columns(found, dataset, inputs, runs.get(dataset, ()))
    # The last run of a publication that came to its end says what is there; the first one may have failed.
    last: dict[tuple[str, str | None], RunRecord] = {}
    for run in records.runs:
        if run.job == "publish" and (run.state != "failed" or (run.name, run.dataset) not in last):
            last[run.name, run.dataset] = run
    for run in last.values():
        node = Node(id=f"publication:{run.name}", kind="publication", label=f"publication {run.name}")
        _add(found, node)
        _connect(found, dict.fromkeys((*run.inputs, *filter(None, [run.dataset]))), node.id, records.generations)
    return found


def _add(found: Lineage, node: Node) -> None:
    if node.id not in found.nodes or node.in_lake:
        found.nodes[node.id] = node


def _connect(found: Lineage, inputs: Iterable[str], to: str, present: Collection[str]) -> None:
    for name in inputs:
        _add(found, Node(id=name, kind="table", label=name, in_lake=name in present))
        if name not in found.up.setdefault(to, []):
            found.up[to].append(name)
            found.down.setdefault(name, []).append(to)


def _add_source(found: Lineage, dataset: str, generations: Sequence[Generation]) -> None:
    newest = generations[-1].manifest
    label = source_label(dataset, newest, current_state(generations))
    # The rows of several files are of one table; a table of a database is the same one for all that read it.
    files = newest.extracted is not None and newest.extracted.origin is not None
    node = Node(
        id=f"source:{newest.source}:{dataset.rpartition('/')[2] if files else newest.table or dataset}",
        kind="source",
        label=label,
    )
    _add(found, node)
    _connect_source(found, node.id, dataset)
    for column in newest.columns:
        if not column.added and column.derived is None:
            found.columns[dataset, column.name] = ((node.id, column.name),)


def _connect_source(found: Lineage, source: str, dataset: str) -> None:
    found.up.setdefault(dataset, []).append(source)
    found.down.setdefault(source, []).append(dataset)


def _inputs(newest: Manifest | None, runs: Sequence[RunRecord]) -> dict[str, None]:
    if newest is not None and newest.built is not None:
        return dict.fromkeys(newest.built.inputs)
    return dict.fromkeys(next((run.inputs for run in reversed(runs) if run.inputs), ()))


def _add_columns(found: Lineage, dataset: str, inputs: Collection[str], runs: Sequence[RunRecord]) -> None:
    told = next((run for run in reversed(runs) if run.state == "done" and run.lineage), None)
    if told is None:
        return
    known = sorted({*inputs, *told.inputs}, key=len, reverse=True)
    for column, made_of in told.lineage.items():
        found.columns[dataset, column] = tuple(_split(name, known) for name in made_of)


def _split(name: str, datasets: Sequence[str]) -> ColumnName:
    """Return the table and the column of `dataset.column`; both may have dots in them."""
    for dataset in datasets:  # the longest first
        if name.startswith(f"{dataset}."):
            return dataset, name.removeprefix(f"{dataset}.")
    table, _, column = name.rpartition(".")
    return table, column
