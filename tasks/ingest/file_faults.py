"""Has what reading a file fails of, and nobody foresaw, be a fault of that file: the others are read all the same."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.file_formats.records import BadFile
from schemas.errors import LakeError, SourceUnavailable, TidegateError

_NOTHING_TAKEN = "Nothing of this file is in the lake; the file itself was not touched."
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE}


@contextmanager
def file_faults(path: str) -> Iterator[None]:
    """Turn what fails in the block, where it is none of our errors yet, into an error of the file.

    Raises:
        BadFile: A library cannot cope with the file.
        SourceUnavailable: The disk it lies on, or the one it is unpacked to, did not answer as it should.
        LakeError: This machine has no room.
    """
    try:
        yield
    except TidegateError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise LakeError(
                f"{path} cannot be read on this machine: {error}.",
                state=_NOTHING_TAKEN,
                next_step="Make room (`df -h`, `ulimit -n`), or set temp_dir in settings.yaml; then run it again.",
            ) from error
        raise SourceUnavailable(
            f"{path}: reading it failed: {error}.",
            state=_NOTHING_TAKEN,
            next_step="Look after the disk; then run the same again.",
        ) from error
    except BaseException as error:
        # What a library in Rust panics with is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        said = (str(error).splitlines() or [""])[0][:300]
        raise BadFile(
            f"{path} cannot be read: {type(error).__name__}: {said}",
            state=_NOTHING_TAKEN,
            next_step="Ask for the file again; if it is as it should be, please report this. Then: tidegate files "
            "retry",
        ) from error
