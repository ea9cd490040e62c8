"""Whether a lake keeps what was written once: tried with a file of its own before any work is done."""

import re
import time
import uuid

from blocks.lake import Lake
from blocks.lake_paths import PROBE_FOLDER

_LEFT_AFTER_S = 3600  # nobody is still probing then: the process was killed


def keeps_what_was_written(lake: Lake) -> bool:
    """Write a file, try to overwrite it, and remove it, with those that killed runs left."""
    probe = f"{PROBE_FOLDER}/{time.time_ns():016x}-{uuid.uuid4().hex}"
    created = lake.put_if_absent(probe, b"probe")
    again = lake.put_if_absent(probe, b"again")
    content = lake.read(probe)
    lake.delete([probe, *(entry.path for entry in lake.list(PROBE_FOLDER) if _is_left_over(entry.path))])
    return created and not again and content == b"probe"


def _is_left_over(path: str) -> bool:
    written = re.fullmatch(r"([0-9a-f]{16})-[0-9a-f]{32}", path.removeprefix(f"{PROBE_FOLDER}/"))
    return written is not None and time.time() - int(written[1], 16) / 1e9 > _LEFT_AFTER_S
