"""What an operating system's error means for a lake in a folder, and what to do about it."""

import errno
from pathlib import Path

from schemas.errors import LakeError, LakeUnavailable

_SAFE = "No file that was in the lake has changed, and no part of a file is visible in it."

# errno -> (what happened, what to do); `{lake}` is the lake's folder
_MEANINGS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free space (`df -h '{lake}'`, `df -i '{lake}'`), then run the same again."),
    errno.EDQUOT: ("the disk quota is used up", "Free space or raise the quota, then run the same again."),
    errno.EFBIG: (
        "the file is larger than the file system or `ulimit -f` allows",
        "Raise the limit, or cap the files at a smaller size, then run the same again.",
    ),
    errno.EACCES: ("permission denied", "Give this user the right to read and write '{lake}' and all above it."),
    errno.EPERM: (
        "not permitted (an immutable folder, or a file system without hard links)",
        "Put the lake on a file system with hard links (ext4, xfs, NFS), writable by this user.",
    ),
    errno.EROFS: ("the file system is read-only", "Mount '{lake}' for writing, or choose another folder for the lake."),
    errno.ENAMETOOLONG: ("a name is too long for the file system", "Shorten the table's folder or partition values."),
    errno.ENOENT: ("the folder does not exist", "Create it, mount it, or correct `lake` in settings.yaml."),
    errno.ENOTDIR: ("a file stands where a folder is needed", "Correct `lake` in settings.yaml, or move that file."),
    errno.EISDIR: ("a folder stands where a file is needed", "Move that folder away."),
    errno.EEXIST: ("that name is taken, and files in the lake are never overwritten", "Store under another name."),
    errno.EXDEV: ("a part of the lake lies on another disk", "Do not mount or link other disks into the lake."),
}
_TRANSIENT = {
    errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EMFILE, errno.ENFILE,
    errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET, errno.ENOTCONN,
}  # fmt: skip


def local_lake_error(error: OSError, lake: Path, doing: str) -> LakeError:
    """Return the error to raise for `error`, which came while `doing` (`Cannot store a/b.parquet`)."""
    number = error.errno or 0
    meaning, next_step = _MEANINGS.get(
        number, (str(error), "Look at the disk and the system log (`dmesg`), then run the same again.")
    )
    where = f" ({error.filename})" if number in _MEANINGS and error.filename else ""
    kind = LakeUnavailable if number in _TRANSIENT else LakeError
    return kind(f"{doing} in the lake {lake}: {meaning}{where}.", state=_SAFE, next_step=next_step.format(lake=lake))
