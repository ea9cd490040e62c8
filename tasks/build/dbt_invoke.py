"""Runs dbt's commands in this process; what dbt says comes back as JSON that it wrote, or as one of our errors."""

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from schemas.errors import ConfigError
from schemas.project import Project
from tasks.build.dbt_database import DATABASE, Workspace
from tasks.build.dbt_installed import LABEL, shown_path

# What Python calls a thread of prefect-dbt's NodeTaskTracker.run_task_in_thread; nobody else waits for it.
_TASK_THREAD = "(run_task)"
_TASKS_S = 30.0

Results = Mapping[str, Mapping[str, Any]]
"""What became of each node of the project, by its id, as dbt's `run_results.json` has it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command of dbt left.

    Attributes:
        manifest: The project as dbt understands it (`manifest.json`).
        results: Nodes that it worked on.
    """

    manifest: Mapping[str, Any]
    results: Results


def compile_project(project: Project, workspace: Workspace) -> Answer:
    """Let dbt read the project and make its SQL; nothing is run but what its macros ask of the database.

    Raises:
        ConfigError: The project is wrong. dbt names the file.
    """
    from dbt.cli.main import dbtRunner

    answer = dbtRunner().invoke(["compile", *_options(project, workspace), "--log-level", "none"])
    return _answer(project, workspace, answer)


def build_project(project: Project, workspace: Workspace, selected: Sequence[str]) -> Answer:
    """Let dbt build and test what is selected. What fails is in the results.

    Raises:
        ConfigError: The project is wrong. dbt names the file.
    """
    words = ["build", *_options(project, workspace), "--select", *selected]
    if not _is_seen_by_prefect():
        from dbt.cli.main import dbtRunner

        return _answer(project, workspace, dbtRunner().invoke([*words, "--log-level", "none"]))
    from dbt_common.events.base_types import EventLevel
    from prefect_dbt import PrefectDbtRunner, PrefectDbtSettings

    assert project.dbt is not None
    settings = PrefectDbtSettings(
        project_dir=project.dbt.project,
        profiles_dir=workspace.folder,
        target_path=workspace.target,
        log_level=EventLevel.WARN,
    )
    # No assets of Prefect's: a model is a table of the lake once its tests have passed, and not before.
    runner = PrefectDbtRunner(settings=settings, raise_on_failure=False, disable_assets=True)
    before = set(threading.enumerate())
    try:
        answer = runner.invoke(words)
    except ValueError as error:  # how it says that dbt did not run
        raise _wrong(project, str(error)) from error
    finally:
        _wait_for_tasks(before)
    return _answer(project, workspace, answer)


def close_connections() -> None:
    """Let go of the database that dbt had open in this process."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()


def _wait_for_tasks(before: set[threading.Thread]) -> None:
    """Wait for the tasks that stand for dbt's nodes: they report to Prefect's server when dbt is done already."""
    until = time.monotonic() + _TASKS_S
    for thread in set(threading.enumerate()) - before:
        if thread.name.endswith(_TASK_THREAD):
            thread.join(max(0.0, until - time.monotonic()))


def _is_seen_by_prefect() -> bool:
    """Return whether this is part of a run on a Prefect server that prefect-dbt's own threads know of.

    Threads know the server that the process was configured with. The temporary one of a local run, which nobody can
    look at, is not such a server: they would start another one.
    """
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext
    from prefect.settings import PREFECT_API_URL

    if FlowRunContext.get() is None and TaskRunContext.get() is None:
        return False
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(PREFECT_API_URL.value).result() is not None


def _options(project: Project, workspace: Workspace) -> list[str]:
    assert project.dbt is not None
    return [
        "--project-dir", str(project.dbt.project),
        "--profiles-dir", str(workspace.folder),
        "--profile", DATABASE,
        "--target", project.dbt.target,
        "--target-path", str(workspace.target),
        "--log-path", str(workspace.folder / "logs"),
        "--vars", json.dumps(project.dbt.vars),
        "--quiet", "--no-use-colors", "--no-version-check", "--no-send-anonymous-usage-stats", "--no-fail-fast",
    ]  # fmt: skip


def _answer(project: Project, workspace: Workspace, answer: Any) -> Answer:
    if answer.exception is not None:
        raise _wrong(project, str(answer.exception))
    manifest = json.loads((workspace.target / "manifest.json").read_text())
    found = json.loads((workspace.target / "run_results.json").read_text())
    return Answer(manifest, {str(result["unique_id"]): result for result in found["results"]})


def _wrong(project: Project, said: str) -> ConfigError:
    assert project.dbt is not None
    with suppress(ValueError):
        said = said[said.index("Failed to invoke dbt command") :].partition(": ")[2]
    text = "\n  ".join(line.strip() for line in said.strip().splitlines() if line.strip())
    return ConfigError(
        f"{LABEL}: dbt refuses the project {shown_path(project, project.dbt.project)}: {text}",
        state="Nothing of the dbt project was built; its tables are as they were.",
        next_step="Correct it, then run the same command again.",
    )
