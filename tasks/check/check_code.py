"""Tries the code that the configuration names or holds: Python is imported, SQL is parsed."""

from collections.abc import Callable, Iterator

from schemas.pipelines.checks import FitsModel
from schemas.project import Project
from schemas.sources.raw_table import RawTable
from tasks.check.checked import Check


def code_checks(project: Project) -> Iterator[Check]:
    """Yield what is to be imported, a model once, whatever names it; and what is to be parsed."""
    for name in dict.fromkeys(_models(project)):
        yield Check(f"model {name}", _model(name))
    for pipeline in project.pipelines:
        for name in pipeline.functions:
            yield Check(f"function {name}", _function(name, pipeline.label))

    for source in project.sources:
        for table in source.tables:
            if isinstance(table, RawTable) and (table.types or table.select):
                label = f"sources[{source.name}].tables[{table.name}]"
                yield Check(f"columns of {source.name}, {table.name}", _columns(table, label))


def _columns(table: RawTable, label: str) -> Callable[[], str]:
    def work() -> str:
        from tasks.ingest.check_types import check_types
        from tasks.ingest.select_input import as_query

        check_types(table.types, label)
        if table.select is not None:
            as_query(table.select, label)
        return "types and select can be read"

    return work


def _models(project: Project) -> Iterator[str]:
    gates = [archive.gate for archive in project.archives]
    gates += [table.gate for source in project.sources for table in source.tables]
    gates += [pipeline.model for pipeline in project.pipelines]
    for pipeline in project.pipelines:
        gates += [check.model for check in pipeline.quality_checks if isinstance(check, FitsModel)]
    yield from (gate for gate in gates if gate is not None)


def _model(name: str) -> Callable[[], str]:
    def work() -> str:
        from tasks.build.check_model import load_model

        load_model(name)
        return "imported"

    return work


def _function(name: str, label: str) -> Callable[[], str]:
    def work() -> str:
        from tasks.build.user_code import named_function

        named_function(name, label)
        return "imported"

    return work
