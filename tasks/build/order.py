"""Which pipelines run, in which order, and what each of them waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from schemas.errors import ConfigError
from schemas.pipelines.dbt import PIPELINE as DBT
from schemas.pipelines.pipeline import Pipeline
from schemas.project import PIPELINES_FILE, Project
from tasks.build.dbt_installed import check_dbt
from tasks.build.sql_text import sql_text

_UNTOUCHED = "Nothing was read or written."


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The pipelines of a run.

    Attributes:
        pipelines: In an order in which each comes after what it reads.
        needs: For each pipeline the others of this run that build what it reads.
        errors: Pipelines of which it cannot even be told what they read, and why.
        dbt: Whether the dbt project is run after them.
    """

    pipelines: tuple[Pipeline, ...]
    needs: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, ConfigError] = field(default_factory=dict)
    dbt: bool = False


def plan_build(project: Project, names: Sequence[str] = ()) -> BuildPlan:
    """Return the pipelines to run in their order: the named ones, or all that are enabled.

    The dbt project is one of them, by the name `dbt`.

    Raises:
        ConfigError: There is no such pipeline, none at all, or some need each other in a circle; it names them. Or the
            dbt project is not there, or dbt is not installed.
    """
    with_dbt = project.dbt is not None and (not names or DBT in names)
    named = [project.pipeline(name) for name in dict.fromkeys(names) if not (with_dbt and name == DBT)]
    chosen = named if names else [p for p in project.pipelines if p.enabled]
    if with_dbt:
        check_dbt(project)
    elif not chosen:
        file = project.config_dir / PIPELINES_FILE
        raise ConfigError(
            f"There is no pipeline to run: {file} has none that is enabled.",
            state=_UNTOUCHED,
            next_step=f"Add one to {file}, or name one that is not enabled.",
        )
    errors: dict[str, ConfigError] = {}
    builders = {pipeline.dataset: pipeline for pipeline in project.pipelines}
    every: dict[str, tuple[str, ...]] = {}
    waiting = list(chosen)
    while waiting:  # what the chosen ones need too, as a circle may lead through those that do not run
        pipeline = waiting.pop(0)
        if pipeline.name in every:
            continue
        try:
            needed = [builders[d] for d in datasets_read(pipeline, project) if d in builders]
        except ConfigError as error:
            errors[pipeline.name], needed = error, []
        every[pipeline.name] = tuple(other.name for other in needed)
        waiting += needed
    position = {pipeline.name: place for place, pipeline in enumerate(project.pipelines)}
    ordered = [name for name in _sorted(every, position) if name in {pipeline.name for pipeline in chosen}]
    needs = {name: tuple(other for other in every[name] if other in ordered) for name in ordered}
    found = {name: error for name, error in errors.items() if name in needs}
    return BuildPlan(tuple(project.pipeline(name) for name in ordered), needs, found, with_dbt)


def datasets_read(pipeline: Pipeline, project: Project) -> tuple[str, ...]:
    """Return the datasets that a pipeline reads, those that only its checks look at last; not its own.

    Raises:
        ConfigError: Its SQL cannot be read.
    """
    if pipeline.source is not None:
        read = (pipeline.source.dataset, *pipeline.joined)
    else:
        read = sql_text(pipeline, project.folder).datasets
    if pipeline.dataset in read:
        raise ConfigError(
            f"{pipeline.label}: must not read the table that it builds, {pipeline.destination}.",
            state=_UNTOUCHED,
            next_step="Read what it is built of; what is there already is kept by mode merge or append.",
        )
    return tuple(dict.fromkeys((*read, *pipeline.referred)))


def _sorted(needs: Mapping[str, tuple[str, ...]], position: Mapping[str, int]) -> list[str]:
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = list(error.args[1])
        raise ConfigError(
            f"{PIPELINES_FILE}: pipelines need each other in a circle: {' -> '.join(reversed(circle))}.",
            state=_UNTOUCHED,
            next_step="Let one of them read something else.",
        ) from None
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        ordered += ready
        sorter.done(*ready)
    return ordered
