"""Everything that a project's configuration names, tried at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from schemas.project import Project
from tasks.check.check_code import code_checks
from tasks.check.check_pipelines import pipeline_checks
from tasks.check.check_places import place_checks
from tasks.check.check_sources import archive_checks, source_checks
from tasks.check.checked import Check, Checked

AT_ONCE = 8


def check_project(project: Project, *, offline: bool = False) -> list[Checked]:
    """Try whatever the configuration names, side by side, and return what came of each, in its order.

    Sources are only read. To the lake a small file is written, and removed.

    Args:
        project: The project, whose files are known to be right in themselves.
        offline: Leave out what connects to anything.
    """
    checks = [check for check in _checks(project, offline) if not (offline and check.connects)]
    return _run(checks)


def _checks(project: Project, offline: bool) -> Iterator[Check]:
    yield Check("configuration", lambda: _summary(project))
    yield from place_checks(project)
    yield from source_checks(project)
    yield from archive_checks(project)
    yield from code_checks(project)
    yield from pipeline_checks(project, offline=offline)


def _summary(project: Project) -> str:
    counts = {
        "sources": len(project.sources),
        "archives": len(project.archives),
        "pipelines": len(project.pipelines),
        "publications": len(project.publications),
    }
    disabled = [source.name for source in project.sources if not source.enabled]
    disabled += [pipeline.name for pipeline in project.pipelines if not pipeline.enabled]
    note = f"; not enabled, and not looked into: {', '.join(disabled)}" if disabled else ""
    return f"{project.config_dir}: {', '.join(f'{n} {what}' for what, n in counts.items())}{note}"


def _run(checks: Sequence[Check]) -> list[Checked]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Each with the context of whoever asked: Prefect's settings are in it.
        return [future.result() for future in [pool.submit(copy_context().run, check.run) for check in checks]]
