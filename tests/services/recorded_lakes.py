"""What has effects in a lake: storing, putting and deleting. A local one can be killed in the middle of it, too."""

import functools
import os
from contextlib import AbstractContextManager
from typing import Any

from service_effects import Recorder, wrap

from blocks.lake import Lake
from blocks.local_lake import LocalLake
from blocks.s3_lake import S3Lake

# Everything that a lake does is one or the other; a test finds what is new.
LAKE_EFFECTS = frozenset({"store", "put_if_absent", "delete"})
LAKE_READS = frozenset(
    {"attach", "check", "duckdb_path", "fetch", "find", "folder", "list", "read", "read_many", "scratch", "url"}
)
LAKES = (LocalLake, S3Lake)


def record_lakes(recorder: Recorder) -> None:
    """Record what this process does to a lake of any kind."""
    for lake in LAKES:
        for name in LAKE_EFFECTS:
            wrap(lake, name, functools.partial(_call, recorder, name))
    for name, first in (("link", 1), ("unlink", 2)):
        _record_halves(recorder, name, first)


def _call(
    recorder: Recorder, what: str, lake: Lake, *arguments: Any
) -> tuple[AbstractContextManager[None] | None, tuple[Any, ...]]:
    if what != "delete":
        return recorder.effect("lake", what, arguments[1 if what == "store" else 0]), (lake, *arguments)
    paths = list(arguments[0])
    return recorder.effect("lake", what, ", ".join(paths)) if paths else None, (lake, paths)


def _record_halves(recorder: Recorder, name: str, first: int) -> None:
    """A file is about to get its name, or the second of several paths is about to be deleted."""
    original = getattr(os, name)
    effect, calls = None, 0

    @functools.wraps(original)
    def call(*arguments: Any, **options: Any) -> None:
        nonlocal effect, calls
        current = recorder.current
        if current is not None and current.place == "lake" and (current.what == "delete") == (name == "unlink"):
            effect, calls = current, 1 if current is not effect else calls + 1
            if calls == first:
                recorder.middle()
        original(*arguments, **options)

    setattr(os, name, call)
