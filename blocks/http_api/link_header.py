"""The Link header: which page is the next one (RFC 8288)."""

import re
from collections.abc import Iterator

_TARGET = re.compile(r"\s*<([^>]*)>")
_PARAMETER = re.compile(r"\s*;\s*([^\s=;,\"]+)\s*(?:=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,\"]*)))?")
_REST = re.compile(r"[^,<]*,?")


def next_link(headers: list[str]) -> str | None:
    """Return the target of the first link whose relation is `next`, as it stands there; None if there is none."""
    for target, parameters in _links(", ".join(headers)):
        if "next" in parameters.get("rel", "").lower().split():
            return target
    return None


def _links(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    place = 0
    while place < len(text):
        target = _TARGET.match(text, place)
        if target is None:
            place = max(_REST.match(text, place).end(), place + 1)  # type: ignore[union-attr]  # it matches anything
            continue
        place = target.end()
        parameters: dict[str, str] = {}
        while found := _PARAMETER.match(text, place):
            quoted, plain = found[2], found[3]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
            parameters.setdefault(found[1].lower(), value)  # of two, the first one counts
            place = found.end()
        yield target[1].strip(), parameters
