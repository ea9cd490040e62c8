"""Puts an entry at the end of `sources.yaml`: what is there stays as it is, comments and all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from schemas.errors import ConfigError
from schemas.project import SOURCES_FILE
from tidegate.scaffold.source_block import INDENT, SourceBlock

_UNCHANGED = f"{SOURCES_FILE} is as it was."


@dataclass(frozen=True, slots=True)
class Appended:
    """The file's new text, and the line in which the entry begins."""

    text: str
    line: int


def append_source(text: str, block: SourceBlock) -> Appended:
    """Return the text of `sources.yaml` with one more entry at its end.

    Raises:
        ConfigError: The text is no list of sources, is one in brackets, or has a source of that name.
    """
    sources = _sources(text)
    names = [entry.get("name") for entry in sources if isinstance(entry, Mapping)]
    if block.name in names:
        raise _refused(
            f"There is a source '{block.name}' already.", "Choose another name, or edit the one that is there."
        )
    begun, indent = _ready_for_more(text, block)
    newline = "\r\n" if "\r\n" in text else "\n"
    entry = block.indented(indent).replace("\n", newline)
    if begun and not begun.endswith("\n"):
        begun += newline
    gap = newline if sources else ""
    appended = begun + gap + entry
    after = _sources(appended)
    # Whatever the file looks like: its entries are those that were there, and the new one.
    if after[:-1] != sources or not isinstance(after[-1], Mapping) or after[-1].get("name") != block.name:
        raise _refused("Its form is not one that an entry can be added to.", f"Add it by hand:\n{block.text}")
    return Appended(appended, (begun + gap).count("\n") + 1)


def _ready_for_more(text: str, block: SourceBlock) -> tuple[str, int]:
    """Return the text as it is to be before the entry, and where in its line the entry's dash goes."""
    root = _composed(text)
    if root is None:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}sources:\n", INDENT
    value = next(value for key, value in root.value if key.value == "sources")
    if isinstance(value, yaml.SequenceNode) and not value.flow_style:
        return text, value.start_mark.column
    start, end = value.start_mark.index, value.end_mark.index
    if isinstance(value, yaml.ScalarNode) and start == end:  # nothing at all
        return text, INDENT
    if isinstance(value, yaml.ScalarNode) or not value.value:  # null or []: that goes, what is around it stays
        return text[:start].rstrip(" ") + text[end:], INDENT
    raise _refused(
        "`sources` is a list in brackets, which an entry with comments cannot be added to.",
        f"Write its entries below each other, each with a dash; or add this by hand:\n{block.text}",
    )


def _sources(text: str) -> list[Any]:
    root = _composed(text)
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode) or [key.value for key, _ in root.value] != ["sources"]:
        raise _refused(
            "It has to be a mapping with the one key `sources`.", "Correct it first; tidegate check shows more."
        )
    found = yaml.safe_load(_legible(text))["sources"]
    if not isinstance(found, list | None):
        raise _refused("`sources` has to be a list.", "Correct it first; tidegate check shows more.")
    return found or []


def _composed(text: str) -> Any:
    try:
        return yaml.compose(_legible(text), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        # YAML's own words may quote a password.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise _refused(f"It is no YAML{where}.", "Correct it first; tidegate check shows more.") from None


def _legible(text: str) -> str:
    """Return the text with variables that plain YAML can read too, each as long as it was: places stay the same."""
    return re.sub(r"\$\{([^}\n]*)\}", r"$(\1)", text)


def _refused(what: str, next_step: str) -> ConfigError:
    return ConfigError(f"{SOURCES_FILE}: {what}", state=_UNCHANGED, next_step=next_step)
