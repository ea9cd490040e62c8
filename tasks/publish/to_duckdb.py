"""Publishes datasets as a DuckDB file of views, for tools that open such files.

The views name the files of committed generations one by one, so that nobody sees a file that is not committed. The
file is written beside the old one and renamed over it; whoever has the old one open keeps it. Any DuckDB from 1.1 on
reads it. Of a lake on S3, the reader needs DuckDB's httpfs extension and credentials of its own.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import duckdb

from blocks.duck import duck, text_literal
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.machine_errors import machine_errors
from blocks.scratch import temporary_folder
from schemas.column_plan import quote_identifier
from schemas.config import Settings
from schemas.errors import ConfigError, LakeError
from schemas.pipelines.publication import DuckDBPublication
from schemas.publish_report import PublishedReport, PublishState
from tasks.current_state import current_state
from tasks.publish.request import PublishRequest
from tasks.versions import Versions

STORAGE_VERSION = "v1.0.0"  # the oldest format; what 2.0 writes by itself, no DuckDB 1.x reads
_LEFT_OVER_S = 3600  # by then, whoever was writing a file of this size has died
_OWN = ("_tidegate", "published")


def publish_to_duckdb(request: PublishRequest) -> PublishedReport:
    """Write the file, unless it shows already what it would show.

    Raises:
        ConfigError: Two datasets would be the same view, or something else lies where the file is to be.
        LakeError: The file cannot be written.
    """
    publication, placement = request.publication, request.placement
    assert isinstance(publication, DuckDBPublication)
    path, settings = publication.path, request.project.settings
    views = _views(request.lake, placement.datasets)
    state = hashlib.sha256("\n".join(f"{view} {sql}" for view, sql in views.items()).encode()).hexdigest()
    note = "readers need credentials for S3 of their own" if request.lake.url.startswith("s3://") else ""
    with machine_errors(f"{path}: cannot be read", f"{path} is as it was."):
        there = _state_of(path, settings)
    action = "replace" if path.exists() else "create"
    if there == state and not request.full:
        return placement.report(PublishState.UNCHANGED, rows=len(views), note=note)
    if request.dry_run:
        return placement.report(PublishState.PLANNED, action=action, rows=len(views), note=note)
    with _renamed_at_the_end(path) as beside:
        _write(beside, request.lake, settings, views, state)
    return placement.report(PublishState.DONE, action=action, rows=len(views), note=note)


def view_place(dataset: str) -> tuple[str, str]:
    """Return the schema and the name of a dataset's view: `raw`, `shop_orders` for `raw/shop/orders`."""
    *folders, table = dataset.split("/")
    return folders[0] if folders else "main", "_".join([*folders[1:], table])


def _views(lake: Lake, datasets: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """Return the SQL of each view by schema and name."""
    found: dict[tuple[str, str], str] = {}
    names: dict[tuple[str, str], str] = {}
    for dataset in datasets:
        view = view_place(dataset)
        plain = (view[0].casefold(), view[1].casefold())
        if plain in names:
            raise ConfigError(
                f"{names[plain]} and {dataset} would both be the view {'.'.join(view)}.",
                state="The file is as it was.",
                next_step="Leave one of them out (tables: in publish.yaml).",
            )
        names[plain] = dataset
        generations = [g for g in Ledger(lake, dataset).generations() if g.manifest.dataset == dataset]
        found[view] = Versions(lake, current_state(generations)).newest()
    return found


def _state_of(path: Path, settings: Settings) -> str | None:
    """Return what tells the state of the views in a file that is there; None if there is none.

    Raises:
        ConfigError: It is not a file that publishing has made, or somebody has written into it.
    """
    if not path.exists():
        return None
    taken = ConfigError(
        f"{path} is there already, and is no file of views that Tidegate has published.",
        state="It is as it was.",
        next_step="Move it away, or name another path in publish.yaml.",
    )
    if not path.is_file():
        raise taken
    if path.with_name(f"{path.name}.wal").exists():
        raise ConfigError(
            f"Somebody is writing into {path}, or has been: there is a {path.name}.wal beside it.",
            state="It is as it was.",
            next_step="Open the file read-only. Remove both files, then publish again.",
        )
    # A copy: the file itself may be locked by whoever has it open.
    with temporary_folder(settings.temp_dir) as folder:
        copy = Path(shutil.copyfile(path, folder / "published.duckdb"))
        try:
            with duckdb.connect(str(copy), read_only=True) as connection:
                row = connection.execute(f"SELECT state FROM {_OWN[0]}.{_OWN[1]}").fetchone()
                tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone()
        except duckdb.Error as error:
            raise taken from error
    if row is None or tables != (0,):
        raise taken
    return str(row[0])


def _write(path: Path, lake: Lake, settings: Settings, views: dict[tuple[str, str], str], state: str) -> None:
    with (
        machine_errors("The file of views cannot be written", "The file that was there before is as it was."),
        duck(settings) as connection,
    ):
        lake.attach(connection)
        connection.execute(f"ATTACH {text_literal(str(path))} AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        for (schema, name), sql in views.items():
            place = f"published.{quote_identifier(schema)}"
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {place}")
            connection.execute(f"CREATE VIEW {place}.{quote_identifier(name)} AS {sql}")
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS published.{_OWN[0]}")
        connection.execute(
            f"CREATE VIEW published.{_OWN[0]}.{_OWN[1]} AS SELECT {text_literal(state)} AS state, "
            f"{text_literal(lake.url)} AS lake"
        )
        connection.execute("DETACH published")


@contextmanager
def _renamed_at_the_end(path: Path) -> Iterator[Path]:
    """Yield a path beside another one, which gets its name if the block ends well and leaves nothing otherwise."""
    beside = path.with_name(f".{path.name}.{uuid4().hex[:12]}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.new*"):
            if left.stat().st_mtime < time.time() - _LEFT_OVER_S:
                left.unlink(missing_ok=True)
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise LakeError(
            f"{path} cannot be written: {error}.",
            state=f"{path} is as it was.",
            next_step="Make room there, or give this user the right to write; then run the same command again.",
        ) from error
    finally:
        for left in (beside, beside.with_name(f"{beside.name}.wal")):
            with suppress(OSError):  # what was wrong before is what is told
                left.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
