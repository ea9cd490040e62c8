"""What the lake knows of the files of a table: which it holds, which brought nothing new, and which have failed."""

from collections.abc import Sequence

from blocks.file_places.place import PlacedFile
from blocks.ledger import Generation
from schemas.file_status import FileRetry
from schemas.manifest import Manifest
from schemas.run_record import RunRecord
from tasks.current_state import current_state


class KnownFiles:
    """The files of one table.

    A file is told by path, size, time and what else its place says of it, as a manifest keeps them; then by its bytes.

    Args:
        generations: Of the table, oldest first.
        records: Of the run log; those of the table.
        retries: Failures that somebody has taken back.
    """

    def __init__(
        self, generations: Sequence[Generation], records: Sequence[RunRecord] = (), retries: Sequence[FileRetry] = ()
    ) -> None:
        self._read(generations)
        self._records: dict[tuple[str, str], list[RunRecord]] = {}
        for record in sorted(records, key=lambda record: record.started_at):
            if record.file is not None and record.file_version is not None:
                self._records.setdefault((record.file, record.file_version), []).append(record)
        self._retried = {(one.path, one.version): retry.at for retry in retries for one in retry.files}
        for retry in retries:  # the last one counts
            for one in retry.files:
                self._retried[one.path, one.version] = max(self._retried[one.path, one.version], retry.at)

    def refresh(self, generations: Sequence[Generation]) -> None:
        """Take in what the table holds now."""
        self._read(generations)

    def _read(self, generations: Sequence[Generation]) -> None:
        self._current = {generation.manifest.path for generation in current_state(generations)}
        self._by_path: dict[str, list[Manifest]] = {}
        self._by_bytes: dict[str, list[Manifest]] = {}
        for generation in generations:
            origin = generation.manifest.extracted.origin if generation.manifest.extracted else None
            if origin is not None:
                self._by_path.setdefault(origin.path, []).append(generation.manifest)
                self._by_bytes.setdefault(origin.sha256, []).append(generation.manifest)

    def paths(self) -> list[str]:
        """Return the paths of all files that were ever read, in their order."""
        return sorted(self._by_path)

    def newest(self, path: str) -> Manifest | None:
        """Return what was read last under a name."""
        return self._by_path[path][-1] if path in self._by_path else None

    def version(self, path: str) -> Manifest | None:
        """Return the version of a file that readers see, or None."""
        return next((m for m in reversed(self._by_path.get(path, ())) if m.path in self._current), None)

    def stored(self, file: PlacedFile) -> Manifest | None:
        """Return where this very file was read, or None; a version that another one took the place of is none."""
        found = [m for m in self._by_path.get(file.path, ()) if m.path in self._current]
        return next((m for m in reversed(found) if is_origin(m, file)), None)

    def with_bytes(self, path: str, sha256: str) -> Manifest | None:
        """Return where the same bytes were read under the same name, the last time that something was read there."""
        newest = self.newest(path)
        return newest if newest is not None and _sha256(newest) == sha256 else None

    def twin(self, sha256: str) -> Manifest | None:
        """Return where the same bytes were read under any name, if readers see rows of them."""
        found = [m for m in self._by_bytes.get(sha256, ()) if m.path in self._current]
        return next((m for m in found if m.attestation.rows + m.attestation.quarantined), None)

    def brought_nothing(self, file: PlacedFile) -> Manifest | None:
        """Return the generation that has all that is in this file, as was found when it was looked at before."""
        for record in reversed(self.attempts(file.path, file.identity)):
            if record.state == "unchanged" and record.manifest in self._current:
                manifests = (m for found in self._by_path.values() for m in found)
                return next((m for m in manifests if m.path == record.manifest), None)
        return None

    def failure(self, path: str, version: str, definition: str) -> RunRecord | None:
        """Return why a version of a file is not to be tried again; None if it is."""
        attempts = self.attempts(path, version)
        last = attempts[-1] if attempts else None
        if last is None or last.state != "failed" or last.definition != definition:
            return None
        retried = self._retried.get((path, version))
        return last if retried is None or retried < last.started_at else None

    def attempts(self, path: str, version: str) -> list[RunRecord]:
        """Return the records of a version of a file, the oldest first."""
        return self._records.get((path, version), [])

    def last_attempts(self) -> dict[str, RunRecord]:
        """Return the newest record of each file."""
        found: dict[str, RunRecord] = {}
        for records in self._records.values():
            last = records[-1]
            before = found.get(str(last.file))
            if before is None or before.started_at < last.started_at:
                found[str(last.file)] = last
        return found


def is_origin(manifest: Manifest, file: PlacedFile) -> bool:
    """Return whether a generation was read from this very file."""
    origin = manifest.extracted.origin if manifest.extracted else None
    return (
        origin is not None
        and PlacedFile(origin.path, origin.size_bytes, origin.modified_at, origin.version).identity == file.identity
    )


def _sha256(manifest: Manifest) -> str:
    assert manifest.extracted is not None and manifest.extracted.origin is not None
    return manifest.extracted.origin.sha256
