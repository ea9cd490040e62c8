"""What this machine refuses while it works on a lake's files: room on its disk, memory, a limit of the process."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from schemas.errors import LakeError, ProofFailed

_ROOM = (
    "Make room (`df -h`, `df -i`, `ulimit -f`), or set temp_dir and memory_limit in settings.yaml; then run it again."
)


@contextmanager
def machine_errors(doing: str, state: str) -> Iterator[None]:
    """Turn errors of local files and of DuckDB into ours.

    Args:
        doing: What is being done, as in `Window [a, b): cannot be exported`.
        state: What state the data is in if it fails.

    Raises:
        LakeError: This machine has no room, or may not write.
        ProofFailed: A file that a committed generation names is not there, or is no Parquet file.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(doing, state, error) from error
    except OSError as error:
        raise LakeError(f"{doing}: {error}.", state=state, next_step=_ROOM) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise LakeError(f"{doing}: DuckDB: {error}", state=state, next_step=_ROOM) from error
    except duckdb.Error as error:
        raise _damaged(doing, state, error) from error


def _damaged(doing: str, state: str, error: Exception) -> ProofFailed:
    return ProofFailed(
        f"{doing}: {error}", state=state, next_step="`tidegate verify` says which of the lake's files are damaged."
    )
