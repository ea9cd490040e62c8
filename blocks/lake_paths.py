"""What may be a path in the lake, and the two folders that the lakes keep for themselves."""

from schemas.errors import LakeError

SCRATCH_FOLDER = "_tidegate/scratch"
PROBE_FOLDER = "_tidegate/probe"


def check_path(path: str) -> str:
    """Return `path` if it can name a file in any lake.

    Raises:
        LakeError: It is absolute, has an empty part, `.` or `..`, holds a control character, a backslash or
            text that is not UTF-8, or lies in the folder for scratch files.
    """
    reason = _fault(path)
    if reason:
        raise LakeError(
            f"{path!r} cannot be a path in the lake: {reason}.",
            state="Nothing was read or written.",
            next_step="Percent-encode what comes from data, as the hive convention does (`/` is `%2F`).",
        )
    return path


def check_folder(path: str) -> str:
    """Return `path` without a slash at its end if it can name a folder in any lake; empty is the lake itself."""
    return check_path(path.rstrip("/")) if path.rstrip("/") else ""


def escape_glob(path: str) -> str:
    """Return `path` so that DuckDB, which takes every file name for a pattern, reads that very file."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def _fault(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/"):
        return "it is absolute"
    if "" in parts:
        return "a part of it is empty"
    if "." in parts or ".." in parts:
        return "`.` and `..` are not allowed"
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        return "it holds a control character"
    if any("\ud800" <= character <= "\udfff" for character in path):
        return "it is not valid UTF-8"
    if "\\" in path:
        return "it holds a backslash, which some stores take for a slash"
    if f"{path}/".startswith(f"{SCRATCH_FOLDER}/"):
        return f"{SCRATCH_FOLDER} is for scratch files, which nobody sees"
    return ""
