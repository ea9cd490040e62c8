"""Tells a disk of this machine that is full from a place that refuses: that is no fault of the file."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import LakeError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def room_for(path: str) -> Iterator[None]:
    """Have what fails in the block for want of room on this machine fail as that.

    Raises:
        LakeError: There is no room for a copy of the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise LakeError(
            f"There is no room on this machine for a copy of {path}: {error.strerror}.",
            state="Nothing of this file is in the lake; the file itself was not touched.",
            next_step="Make room (`df -h`), or set temp_dir in settings.yaml; then run the same again.",
        ) from error
