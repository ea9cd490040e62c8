"""Deployments of the flow `ingest-sources`, one for each source with a schedule, on a Prefect server."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schemas.errors import ConfigError, TidegateError
from schemas.project import Project

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

FLOW, ENTRYPOINT, TAG = "ingest-sources", "flows.ingest.ingest_sources", "tidegate:schedule"
SLUG = "tidegate"
_UNTOUCHED = "No deployment was created or changed."

Change = Literal["create", "update", "unchanged", "pause"]


@dataclass(frozen=True, slots=True)
class SourceDeployment:
    """What a source's schedule becomes on the server.

    Attributes:
        change: What is, or would be, done.
        active: Whether it runs by itself; a schedule that somebody switched off on the server stays off.
    """

    name: str
    source: str
    cron: str
    timezone: str
    pool: str
    change: Change
    active: bool = True


def wanted(project: Project, pool: str) -> list[SourceDeployment]:
    """Return the deployments that the configuration asks for."""
    return [
        SourceDeployment(f"ingest-{s.name}", s.name, s.schedule, project.settings.timezone, pool, "create")
        for s in project.sources
        if s.schedule is not None and s.enabled and s.tables
    ]


def deploy(project: Project, pool: str, *, dry_run: bool) -> list[SourceDeployment]:
    """Create or update the deployments, and switch those off that were made for schedules that are gone.

    What somebody else deployed is left alone; so are switches that somebody set on the server.

    Args:
        project: The project; its folder is where the deployments read their configuration.
        pool: Name of the work pool.
        dry_run: Only say what would be done.

    Raises:
        ConfigError: No server is configured, it has no such pool, or another project has deployed under that name.
        TidegateError: The server could not be reached, or refused.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        raise ConfigError(
            "No Prefect server is configured, and schedules live on one: PREFECT_API_URL is not set.",
            state=_UNTOUCHED,
            next_step="Run one (prefect server start), then: export PREFECT_API_URL=http://127.0.0.1:4200/api",
        )
    try:
        with get_client(sync_client=True) as client:
            try:
                client.read_work_pool(pool)
            except ObjectNotFound as error:
                raise ConfigError(
                    f"The Prefect server {url} has no work pool '{pool}'.",
                    state=_UNTOUCHED,
                    next_step=f"Create it: prefect work-pool create {pool} --type process; or name one with --pool.",
                ) from error
            return _deployed(client, project, wanted(project, pool), dry_run=dry_run)
    except (httpx.TransportError, RuntimeError) as error:
        raise TidegateError(
            f"The Prefect server {url} could not be reached: {type(error).__name__}: {error}",
            state="Deployments that were created or updated before that stay so.",
            next_step="See that it runs and that PREFECT_API_URL is its address; then run the same command again.",
        ) from error
    except PrefectHTTPStatusError as error:
        raise TidegateError(
            f"The Prefect server {url} refused: {error.response.status_code} {error.response.text[:200]}",
            state="Deployments that were created or updated before that stay so.",
            next_step="Check its version and the login (PREFECT_API_KEY, PREFECT_API_AUTH_STRING).",
        ) from error


def _deployed(
    client: "SyncPrefectClient", project: Project, deployments: list[SourceDeployment], *, dry_run: bool
) -> list[SourceDeployment]:
    config_dir = str(project.config_dir.resolve())
    there = {one.name: one for one in _all_deployments(client)}
    for one in deployments:
        _refuse_others(there.get(one.name), one, config_dir)
    named = {one.name for one in deployments}
    done = [_changed(one, there.get(one.name)) for one in deployments]
    for name, found in there.items():
        if name not in named and _is_ours(found, config_dir) and found.schedules:
            cron = str(getattr(found.schedules[0].schedule, "cron", ""))
            zone = project.settings.timezone
            done.append(
                SourceDeployment(
                    name, name.removeprefix("ingest-"), cron, zone, found.work_pool_name or "", "pause", False
                )
            )
    if not dry_run:
        for one in done:
            if one.change == "pause":
                _switch_off(client, there[one.name])
            elif one.change != "unchanged":
                _create(client, one, config_dir, there.get(one.name))
    return done


def _all_deployments(client: "SyncPrefectClient") -> "list[DeploymentResponse]":
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName

    flows = FlowFilter(name=FlowFilterName(any_=[FLOW]))
    found: list[DeploymentResponse] = []
    while page := client.read_deployments(flow_filter=flows, limit=200, offset=len(found)):
        found += page
    return found


def _is_ours(found: "DeploymentResponse", config_dir: str) -> bool:
    return TAG in found.tags and found.parameters.get("config_dir") == config_dir


def _refuse_others(found: "DeploymentResponse | None", one: SourceDeployment, config_dir: str) -> None:
    if found is None or _is_ours(found, config_dir):
        return
    whose = found.parameters.get("config_dir", "nothing that says so")
    raise ConfigError(
        f"There is a deployment {FLOW}/{one.name} on the server that this project has not made (config_dir: {whose}).",
        state=_UNTOUCHED,
        next_step=f"Give the source another name, or delete that one: prefect deployment delete {FLOW}/{one.name}",
    )


def _changed(one: SourceDeployment, found: "DeploymentResponse | None") -> SourceDeployment:
    from dataclasses import replace

    if found is None:
        return one
    schedules = [(getattr(s.schedule, "cron", ""), getattr(s.schedule, "timezone", "")) for s in found.schedules]
    parameters = found.parameters.get("sources") == [one.source]
    same = schedules == [(one.cron, one.timezone)] and found.work_pool_name == one.pool and parameters
    switched = all(s.active for s in found.schedules) and not found.paused
    return replace(one, change="unchanged" if same else "update", active=switched)


def _create(
    client: "SyncPrefectClient", one: SourceDeployment, config_dir: str, found: "DeploymentResponse | None"
) -> None:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    flow: Any = load_flow_from_entrypoint(ENTRYPOINT, use_placeholder_flow=False)
    schedule = CronSchedule(cron=one.cron, timezone=one.timezone)
    client.create_deployment(
        flow_id=client.create_flow_from_name(FLOW),
        name=one.name,
        description=f"Read the tables of the source {one.source} into the raw layer.",
        schedules=[DeploymentScheduleCreate(schedule=schedule, active=one.active, slug=SLUG)],
        # A run that still goes on when the next one is due is not joined by it.
        concurrency_limit=1,
        concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        parameters={"sources": [one.source], "config_dir": config_dir},
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        work_pool_name=one.pool,
        tags=["tidegate", TAG],
        entrypoint=ENTRYPOINT,
        path=str(Path(config_dir).parent),
        paused=found.paused if found is not None else None,
        enforce_parameter_schema=True,
    )


def _switch_off(client: "SyncPrefectClient", found: "DeploymentResponse") -> None:
    # Gone and not merely inactive, which is a switch that somebody set, and stays set when the source comes back.
    for schedule in found.schedules:
        client.delete_deployment_schedule(found.id, schedule.id)
