"""A process that has imported everything and forks a child for each run: dozens of killed runs cost no start each.

Run as a script it is that process: it reads a request a line, forks, waits, and answers with the child's exit code.
Its children call the flows as plain functions; no thread and no connection is older than the fork.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recorded_lakes import record_lakes
from recorded_sources import record_mysql, record_postgresql, record_sqlite
from service_effects import Effect, Kill, Recorder, effects_in

CHILD_S = 180  # then a run counts as hanging


@dataclass(frozen=True, slots=True)
class Request:
    """A run of a flow in a child: which, with what, where it records, where it dies, and in what environment."""

    flow: str
    options: dict[str, Any]
    effects: str
    log: str
    kill: Kill | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a child: its exit code (negative: the signal that ended it), effects, and what it printed."""

    exit_code: int
    effects: list[Effect]
    printed: str

    @property
    def mutations(self) -> list[Effect]:
        """The effects that left something different."""
        return [effect for effect in self.effects if effect.mutates]


@dataclass
class Zygote:
    """Runs flows in forked children.

    Attributes:
        folder: Where children leave their records.
    """

    folder: Path
    _process: subprocess.Popen[str] | None = None
    _runs: int = 0

    def __enter__(self) -> Self:
        temporary = self.folder / "temporary"  # what killed runs leave there
        temporary.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(temporary)},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(CHILD_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def run(
        self, flow: str, kill: Kill | None = None, environment: Mapping[str, str] | None = None, **options: Any
    ) -> Outcome:
        """Run a flow (`archive`, `restore`) in a child, and wait for its end, whatever that is.

        Args:
            flow: Which.
            kill: Where it dies.
            environment: What it finds in its environment besides what is in this process's.
            options: Of the flow.
        """
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        self._runs += 1
        effects, log = (self.folder / f"{self._runs}.{kind}" for kind in ("effects", "log"))
        request = Request(flow, options, str(effects), str(log), kill, environment or {})
        self._process.stdin.write(json.dumps(asdict(request)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote ended with {self._process.wait()}")
        return Outcome(int(answer), effects_in(effects), log.read_text())


def _serve() -> None:
    flows = _plain_flows()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _live(flows, json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)  # without what DuckDB has to say about an interpreter that ends


def _plain_flows() -> dict[str, Any]:
    """Import all that a run needs, and make Prefect's flows and tasks the functions that they wrap."""
    for dialect in ("postgresql", "mysql", "sqlite"):
        import_module(f"blocks.dialects.{dialect}.source")
    import connectorx  # noqa: F401
    import pandera.backends.polars.builtin_checks  # what the first validation imports
    import pandera.polars  # noqa: F401
    from botocore.session import Session
    from prefect import Flow, Task

    from blocks.s3_access import S3Access, _service_models
    from flows.archive import archive_table
    from flows.restore import restore_table
    from tasks import publish_report, show_progress

    class Done:
        """A future of work that was done when it was submitted."""

        def __init__(self, task: Any, arguments: dict[str, Any]) -> None:
            self._value, self._error = None, None
            try:
                self._value = task.fn(**arguments)
            except Exception as error:  # noqa: BLE001 - for whoever asks for the result
                self._error = error

        def wait(self) -> None:
            pass

        def result(self) -> Any:
            if self._error:
                raise self._error
            return self._value

    session = Session()
    session.register_component("data_loader", _service_models(None))  # the one that S3 lakes have, too
    session.create_client("s3", "us-east-1", aws_access_key_id="nobody", aws_secret_access_key="nobody")

    make, made = S3Access.file_system, list[Any]()

    def made_once(access: S3Access) -> Any:
        if not made:
            made.append(make(access))
        return made[0]

    changes: list[tuple[Any, str, Any]] = [
        (os, "fsync", lambda _: None),  # no power cut is tested here
        (S3Access, "file_system", made_once),  # a run has one S3 lake, and opens it half a dozen times
        (Flow, "__call__", lambda flow, *arguments, **options: flow.fn(*arguments, **options)),
        (Task, "__call__", lambda task, *arguments, **options: task.fn(*arguments, **options)),
        (Task, "submit", lambda task, **arguments: Done(task, arguments)),
        (publish_report, "create_table_artifact", lambda **_: None),
        (publish_report, "create_markdown_artifact", lambda **_: None),
        (show_progress, "EVERY_S", float("inf")),
    ]
    for owner, name, value in changes:
        setattr(owner, name, value)
    return {"archive": archive_table, "restore": restore_table}


def _live(flows: dict[str, Any], request: dict[str, Any]) -> None:
    """Do what was asked for, as a process of its own, to its end."""
    code = 1
    signal.alarm(CHILD_S)
    os.environ.update(request["environment"])
    os.environ["PREFECT__FLOW_RUN_ID"] = Path(request["effects"]).stem
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        recorder = Recorder(Path(request["effects"]), Kill(**request["kill"]) if request["kill"] else None)
        for record in (record_lakes, record_postgresql, record_mysql, record_sqlite):
            record(recorder)
        options = {**request["options"], "config_dir": Path(request["options"]["config_dir"])}
        sys.path.insert(0, str(options["config_dir"].parent))  # where its gates are
        print(flows[request["flow"]](**options), flush=True)
        code = 0
    except BaseException:  # noqa: BLE001 - the parent's stack is not to go on here
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
