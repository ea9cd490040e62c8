"""Which manifests stand: readers see those, and neither the superseded ones nor what an erasure has not finished."""

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.erasure import Erasure
from schemas.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Standing:
    """The manifests of a dataset, told apart.

    Attributes:
        current: Those that readers see.
        superseded: Those in whose place another one stands, each with that one, the latest of a chain.
        drafts: Those of erasures of which there is no record: for readers, they do not exist.
    """

    current: tuple[Manifest, ...]
    superseded: tuple[tuple[Manifest, Manifest], ...] = ()
    drafts: tuple[Manifest, ...] = ()


def is_superseding(manifest: Manifest) -> bool:
    """Return whether a manifest exists by the record of an erasure only."""
    return bool(manifest.erasures)


def standing(manifests: Iterable[Manifest], erasures: Iterable[Erasure]) -> Standing:
    """Tell manifests apart by the records of the erasures."""
    done = {erasure.id for erasure in erasures if not erasure.void}
    existing: list[Manifest] = []
    drafts: list[Manifest] = []
    for manifest in manifests:
        exists = not manifest.erasures or manifest.erasures[-1].erasure in done
        (existing if exists else drafts).append(manifest)
    latest: dict[str, Manifest] = {}
    for manifest in sorted(existing, key=lambda m: len(m.supersedes)):
        latest.update(dict.fromkeys(manifest.supersedes, manifest))
    return Standing(
        current=tuple(manifest for manifest in existing if manifest.path not in latest),
        superseded=tuple((m, latest[m.path]) for m in existing if m.path in latest),
        drafts=tuple(drafts),
    )
