"""Which models of a dbt project are to be built: those whose definition or inputs are not what they were."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from blocks.lake import Lake
from blocks.table_log import TableLog
from tasks.build.dbt_database import View, Workspace, names_of
from tasks.build.dbt_graph import Graph, StoredModel, paths_to
from tasks.build.dbt_reads import Reads, reads_of


@dataclass
class PlannedModel:
    """A model that is a table of the lake, and what there is to do for it.

    Attributes:
        model: It.
        log: The generations of its table, as they were when it was planned.
        definition: What tells it from another way of building the table.
        views: The datasets that it reads, but for those that dbt builds.
        needs: Ids of the models that build the others; they come before it.
        changed: Whether it is to be built.
        lost: What it reads, also by way of others, that this run could not build before.
    """

    model: StoredModel
    log: TableLog
    definition: str
    views: Mapping[str, tuple[str, ...]]
    needs: tuple[str, ...]
    rows: int
    changed: bool = False
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class DbtPlan:
    """What there is to do.

    Attributes:
        models: All that are tables of the lake, in an order in which each comes after what it needs.
    """

    graph: Graph
    models: Mapping[str, PlannedModel] = field(default_factory=dict)

    @property
    def changed(self) -> list[str]:
        """Ids of the models to build."""
        return [name for name, planned in self.models.items() if planned.changed and not planned.lost]


def plan_models(
    graph: Graph,
    workspace: Workspace,
    lake: Lake,
    *,
    full: bool = False,
    lost: Collection[str] = (),
    planned: Collection[str] = (),
    sweep: bool = False,
) -> DbtPlan:
    """Compare the models with what is in the lake.

    Args:
        graph: The project.
        workspace: With the tables that its models can read.
        lake: The lake.
        full: Build all of them.
        lost: Datasets that pipelines of this run should have built, and could not.
        planned: Of a dry run: datasets that its pipelines would build.
        sweep: Whether to remove what killed runs have left.

    Raises:
        ConfigError: A model's table is one that a database's table was archived into.
    """
    views: dict[View, object] = {**names_of([*planned, *lost]), **workspace.inputs}
    reads = {name: reads_of(graph, name, views) for name in graph.nodes}
    edges = _needs(graph)
    tellers = {name: _tellers(graph, name) for name in graph.models}
    models: dict[str, PlannedModel] = {}
    for name in TopologicalSorter({one: sorted(edges[one]) for one in sorted(edges)}).static_order():
        model = graph.models[name]
        log = TableLog(lake, model.dataset)
        if sweep:
            log.sweep()
        read = sorted({view for one in tellers[name] for view in reads[one].views})
        inputs = [workspace.inputs[view] for view in read if view in workspace.inputs]
        one = models[name] = PlannedModel(
            model=model,
            log=log,
            definition=graph.definition(name),
            views={found.dataset: found.manifests for found in inputs},
            needs=tuple(sorted(edges[name])),
            rows=sum(found.rows() for found in inputs),
        )
        datasets = {names_of(lost).get(view) for view in read} - {None}
        above = {given for other in graph.stored_parents(name) for given in models[other].lost}
        one.lost = tuple(sorted({str(dataset) for dataset in datasets} | above))
        one.changed = (
            full
            or any(view in names_of(planned) for view in read)
            or not _all_steady(reads, tellers[name])
            or any(models[other].changed for other in one.needs)
            or not is_built(one, models)
        )
    return DbtPlan(graph, models)


def is_built(one: PlannedModel, models: Mapping[str, PlannedModel]) -> bool:
    """Return whether its table is what it would make of its inputs as they are now."""
    built = one.log.generations[-1].manifest.built if one.log.generations else None
    return (
        built is not None
        and (built.pipeline, built.definition) == (one.model.name, one.definition)
        and built.inputs == inputs_of(one, models)
    )


def inputs_of(one: PlannedModel, models: Mapping[str, PlannedModel]) -> dict[str, tuple[str, ...]]:
    """Return what the manifest keeps of the inputs: of what dbt builds, the newest generation."""
    found = dict(one.views)
    for name in one.needs:
        other = models[name]
        if other.log.generations:
            found[other.model.dataset] = (other.log.generations[-1].manifest.path,)
    return dict(sorted(found.items()))


def _needs(graph: Graph) -> dict[str, set[str]]:
    """Return for each model the others that it is made of, and those that its tests compare it with.

    Two tables may be compared with each other; then the one whose id comes first does not wait for the other.
    """
    edges = {name: graph.stored_parents(name) for name in graph.models}
    for name in sorted(graph.models):
        for other in sorted(_compared(graph, name)):
            if name not in paths_to(edges, other):
                edges[name].add(other)
    return edges


def _compared(graph: Graph, name: str) -> set[str]:
    read = {one for test in graph.tests_of(name) for one in graph.parents(test)}
    return (read & graph.models.keys()) - {name}


def _tellers(graph: Graph, name: str) -> Sequence[str]:
    """Return all whose SQL decides what is stored: the model, what it is made of, and their tests."""
    own = graph.own(name)
    return list(dict.fromkeys([*own, *(test for one in own for test in graph.tests_of(one))]))


def _all_steady(reads: Mapping[str, Reads], names: Sequence[str]) -> bool:
    return all(reads[name].is_steady for name in names)
