"""A last look at a proven generation's files, just before its rows are deleted: cheap, one question a file.

Between the proof and the first batch lie waits: for a lock, for the hours that are allowed, for a replica. A bucket's
lifecycle rule, or somebody who tidies up, does not wait. This finds what is gone or cut short; contents were proven.
"""

from concurrent.futures import ThreadPoolExecutor

from blocks.lake import Lake
from schemas.errors import ProofFailed
from schemas.finding import Finding
from schemas.manifest import Manifest

_LOOKS_AT_ONCE = 16


def refuse_if_files_are_gone(lake: Lake, manifest: Manifest) -> None:
    """Compare the presence and the size of each file with the manifest.

    Raises:
        ProofFailed: A file is gone, or has another size, since it was proven.
        LakeUnavailable: The lake does not answer now.
    """
    with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="last-look") as pool:
        found = list(pool.map(lake.find, (file.path for file in manifest.files)))
    findings = []
    for file, entry in zip(manifest.files, found, strict=True):
        if entry is None:
            findings.append(Finding(check="missing", where=file.path, expected=f"{file.rows} rows", found="no file"))
        elif entry.size_bytes != file.size_bytes:
            expected, size = f"{file.size_bytes} bytes", f"{entry.size_bytes} bytes"
            findings.append(Finding(check="size", where=file.path, expected=expected, found=size))
    if findings:
        told = "\n".join(f"  {finding}" for finding in findings)
        raise ProofFailed(
            f"Window {manifest.window}, generation {manifest.generation}: since it was proven, its files have changed "
            f"in the lake.\n{told}",
            state="This purge deleted no row of it.",
            next_step=f"Find out what removes files from the lake (a lifecycle rule?) and restore them; "
            f"tidegate verify {manifest.archive} says what else is concerned.",
        )
