"""Files of the lake, fetched and found to be, byte by byte, those that their manifest names."""

from collections.abc import Iterable
from pathlib import Path

from blocks.lake import Lake
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import DataFile
from schemas.restore import UNTOUCHED
from tasks.check_generation import check_bytes


def fetch_checked(lake: Lake, file: DataFile, scratch: Path) -> Path | Finding:
    """Return a local file with the content that the manifest names, or what is wrong with it.

    Args:
        lake: The lake.
        file: What the manifest says of the file.
        scratch: A local folder for a copy, where the lake is not local.
    """
    try:
        path = lake.fetch(file.path, scratch)
    except FileNotFoundError:
        return Finding(check="missing", where=file.path, expected=f"{file.size_bytes} bytes", found="no file")
    problem = check_bytes(file, path)
    if problem:
        discard([path], scratch)
    return problem or path


def discard(paths: Iterable[Path], scratch: Path) -> None:
    """Remove those of the files that are copies."""
    for path in paths:
        if path.parent == scratch:  # not merely below it: a lake may lie there
            path.unlink(missing_ok=True)


def refusal(archive: str, findings: Iterable[Finding], state: str = UNTOUCHED) -> ProofFailed:
    """Return the error for files that are not as their manifest says; `state` is what state the data is in."""
    lines = "\n".join(f"  {finding}" for finding in findings)
    return ProofFailed(
        f"The lake does not hold what its manifests say:\n{lines}",
        state=state,
        next_step=f"Restore the files from a backup or an older object version; tidegate verify {archive} shows what "
        "else is concerned. Rows of other windows can be restored meanwhile.",
    )
