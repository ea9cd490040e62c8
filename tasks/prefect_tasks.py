"""The steps as Prefect tasks: their names, what is tried again, and what may come from a cache.

Only faults that pass by themselves are tried again. Results are cached within one flow run only, so that a run
that Prefect retries does not export a window twice, and no run ever takes another's word for the state of the
source. What proves or deletes is never cached.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture
from prefect.tasks import Task, exponential_backoff

from blocks.stop import StopRequest
from schemas.errors import Interrupted, is_transient
from tasks.audit import audit
from tasks.build.build_pipeline import build_pipeline
from tasks.build.dbt_project import build_dbt
from tasks.erase import erase_rows
from tasks.expire import expire_windows
from tasks.export import export_window
from tasks.ingest.ingest_table import ingest_table
from tasks.inspect_source import inspect_source
from tasks.plan import plan_windows
from tasks.publish.publish_one import publish_one
from tasks.remove_orphans import remove_orphans
from tasks.restore import restore_rows
from tasks.show_progress import purge_and_show
from tasks.verify import prove

P = ParamSpec("P")
T = TypeVar("T")


def only_transient(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task may be tried again: only if its error says that this can help."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


def once_a_run(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Return the cache key of an export: the flow run, the window, and the generations that came before."""
    earlier = ",".join(parameters["earlier"])
    return f"{parameters['run_id']}-{parameters['job'].archive.name}-{parameters['window'].id}-{earlier}"


RETRYING: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": only_transient,
}

inspect_task = task(name="inspect", task_run_name="inspect-{archive.name}", cache_policy=NO_CACHE, **RETRYING)(
    inspect_source
)
plan_task = task(name="plan", task_run_name="plan-{job.archive.name}", cache_policy=NO_CACHE, **RETRYING)(plan_windows)
export_task = task(
    name="export",
    task_run_name="export-{job.archive.name}-{window.id}",
    cache_key_fn=once_a_run,
    cache_expiration=timedelta(days=1),
    **RETRYING,
)(export_window)
prove_task = task(name="verify", task_run_name="verify-{manifest_path}", cache_policy=NO_CACHE, **RETRYING)(prove)
purge_task = task(
    name="purge", task_run_name="purge-{verified[0].manifest.window.id}", cache_policy=NO_CACHE, **RETRYING
)(purge_and_show)
restore_task = task(name="restore", task_run_name="restore-{archive.name}", cache_policy=NO_CACHE, **RETRYING)(
    restore_rows
)
# Not tried again: whether rows are gone is for the operator to see.
erase_task = task(name="erase", task_run_name="erase-{archive.name}", cache_policy=NO_CACHE)(erase_rows)
expire_task = task(name="expire", task_run_name="expire-{archive.name}", cache_policy=NO_CACHE, **RETRYING)(
    expire_windows
)
# What is committed is not read again: the watermark of a second attempt is where the first one came to.
ingest_task = task(name="ingest", task_run_name="ingest-{source}-{table}", cache_policy=NO_CACHE, **RETRYING)(
    ingest_table
)
# What is published already is left as it is: a second attempt finds it so.
publish_task = task(name="publish", task_run_name="publish-{placement.target}", cache_policy=NO_CACHE, **RETRYING)(
    publish_one
)
# A table that was built is not built again: a second attempt finds that nothing has changed since.
build_task = task(name="build", task_run_name="build-{pipeline}", cache_policy=NO_CACHE, **RETRYING)(build_pipeline)
dbt_task = task(name="build-dbt", cache_policy=NO_CACHE, **RETRYING)(build_dbt)
audit_task = task(name="audit", cache_policy=NO_CACHE, **RETRYING)(audit)
orphans_task = task(name="remove-orphans", cache_policy=NO_CACHE, **RETRYING)(remove_orphans)


def at_most(
    number: int, step: Task[P, T], calls: Iterable[dict[str, Any]], stop: StopRequest | None = None
) -> Iterator[PrefectFuture[T]]:
    """Submit a task once for each call, `number` of them at a time, and yield the futures in order as they finish.

    Prefect's thread pool takes its size when the flow is defined; ours is known when the configuration is read.

    Raises:
        Interrupted: Work is to stop; what is under way stops by itself.
    """
    pending: deque[PrefectFuture[T]] = deque()
    for call in calls:
        if stop is not None and stop.reason is not None:
            raise Interrupted(
                f"Stopped by {stop.reason}.",
                state="What was committed so far is in the lake; nothing half-done is visible.",
                next_step="Run the same command again; it goes on from there.",
            )
        if len(pending) >= number:
            pending[0].wait()
            yield pending.popleft()
        pending.append(step.submit(**call))
    while pending:
        pending[0].wait()
        yield pending.popleft()
