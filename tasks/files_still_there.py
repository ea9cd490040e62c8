"""A last look at a proven generation's files, before and while its rows are deleted: cheap, one question a file.

Between the proof and the last batch lie waits: for a lock, for the hours that are allowed, for a replica. A bucket's
lifecycle rule, or somebody who tidies up, does not wait. This finds what is gone, or was written again, since then.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from blocks.lake import Entry, Lake
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import Manifest

_LOOKS_AT_ONCE = 16


def file_versions(lake: Lake, manifest: Manifest) -> dict[str, str]:
    """Return what tells each file from one that is written in its place; to be asked before its bytes are proven."""
    paths = [file.path for file in manifest.files]
    return {path: entry.version for path, entry in zip(paths, _found(lake, paths), strict=True) if entry}


def refuse_if_files_have_changed(lake: Lake, manifest: Manifest, versions: Mapping[str, str]) -> None:
    """Compare each file with the manifest, and with what it was when it was proven.

    Args:
        lake: The lake.
        manifest: Of the generation.
        versions: From `file_versions`, before the proof.

    Raises:
        ProofFailed: A file is gone, or another one, since it was proven.
        LakeUnavailable: The lake does not answer now.
    """
    found = _found(lake, [file.path for file in manifest.files])
    findings = []
    for file, entry in zip(manifest.files, found, strict=True):
        if entry is None:
            findings.append(Finding(check="missing", where=file.path, expected=f"{file.rows} rows", found="no file"))
        elif entry.size_bytes != file.size_bytes:
            expected, size = f"{file.size_bytes} bytes", f"{entry.size_bytes} bytes"
            findings.append(Finding(check="size", where=file.path, expected=expected, found=size))
        elif entry.version != versions.get(file.path):
            proven = "the file that was proven"
            findings.append(Finding(check="changed", where=file.path, expected=proven, found="one written since"))
    if findings:
        told = "\n".join(f"  {finding}" for finding in findings)
        raise ProofFailed(
            f"Window {manifest.window}, generation {manifest.generation}: since it was proven, its files have changed "
            f"in the lake.\n{told}",
            state="This purge deleted no row of it.",
            next_step=f"Find out what changes files in the lake (a lifecycle rule?) and restore them; "
            f"tidegate verify {manifest.archive} says what else is concerned.",
        )


def _found(lake: Lake, paths: Iterable[str]) -> list[Entry | None]:
    with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="last-look") as pool:
        return list(pool.map(lake.find, paths))
