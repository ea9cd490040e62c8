"""Tries pipelines: that they can be put in an order, that their SQL can be read, and that what they read is there."""

from collections.abc import Callable, Iterator
from functools import cache

from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.pipelines.pipeline import Pipeline
from schemas.project import Project
from tasks.check.checked import Check


def pipeline_checks(project: Project, *, offline: bool) -> Iterator[Check]:
    """Yield what is to be tried of the pipelines that are enabled.

    Args:
        project: The project.
        offline: Whether the lake may not be looked at.
    """
    enabled = [pipeline for pipeline in project.pipelines if pipeline.enabled]

    @cache  # one look at the lake is enough for all
    def in_lake() -> frozenset[str]:
        from blocks.ledger import datasets
        from blocks.open_lake import open_lake

        return frozenset(datasets(open_lake(project.settings.lake, project.settings.temp_dir)))

    if enabled:
        yield Check("pipelines", _order(project))
    for pipeline in enabled:
        yield Check(f"pipeline {pipeline.name}", _pipeline(project, pipeline, None if offline else in_lake))


def _order(project: Project) -> Callable[[], str]:
    def work() -> str:
        from tasks.build.order import plan_build

        # What cannot be read of one pipeline is said in that one's line.
        return " -> ".join(pipeline.name for pipeline in plan_build(project).pipelines)

    return work


def _pipeline(project: Project, pipeline: Pipeline, in_lake: Callable[[], frozenset[str]] | None) -> Callable[[], str]:
    def work() -> str:
        from tasks.build.order import datasets_read, plan_build

        plan_build(project, [pipeline.name])  # refuses a circle that it is part of
        what = f"{', '.join(datasets_read(pipeline, project))} -> {pipeline.dataset}"
        known = in_lake() if in_lake is not None else frozenset[str]()
        missing = {dataset: reader for dataset, reader in _from_elsewhere(project, pipeline) if dataset not in known}
        made = _made(project)
        for dataset, reader in missing.items():
            if dataset not in made and in_lake is not None:
                raise ConfigError(
                    f"{reader.label}: reads {_name(dataset)}, which is not in the lake, and which no source and no "
                    f"pipeline makes{did_you_mean(_name(dataset), map(_name, {*made, *known})) or '.'}",
                    next_step="Correct the name, or add the source or the pipeline.",
                )
        if in_lake is None:
            return f"{what} (its columns were not checked)"
        if missing:
            return f"{what} (its columns were not checked: not in the lake yet: {', '.join(sorted(missing))})"
        return f"{what}{_columns(project, pipeline)}"

    return work


def _from_elsewhere(project: Project, pipeline: Pipeline) -> Iterator[tuple[str, Pipeline]]:
    """Yield the datasets that no pipeline builds and that this one needs, also by way of others, and who reads them."""
    from tasks.build.order import datasets_read

    builders = {other.dataset: other for other in project.pipelines}
    waiting, seen = [pipeline], {pipeline.name}
    while waiting:
        reader = waiting.pop()
        for dataset in datasets_read(reader, project):
            builder = builders.get(dataset)
            if builder is None:
                yield dataset, reader
            elif builder.name not in seen:
                seen.add(builder.name)
                waiting.append(builder)


def _columns(project: Project, pipeline: Pipeline) -> str:
    from blocks.open_lake import open_lake
    from tasks.build.prepare import prepare

    lake = open_lake(project.settings.lake, project.settings.temp_dir)
    result = prepare(project, pipeline, lake, dry_run=True).result
    return f": {len(result.types)} columns" if result is not None else ""


def _made(project: Project) -> frozenset[str]:
    """Return the datasets that sources, archives and pipelines make."""
    raw = {source.raw_dataset(table) for source in project.sources for table in source.tables}  # type: ignore[arg-type]
    archived = {folder for archive in project.archives for folder in archive.folders}
    return frozenset(raw | archived | {pipeline.dataset for pipeline in project.pipelines})


def _name(dataset: str) -> str:
    return dataset.replace("/", ".")
