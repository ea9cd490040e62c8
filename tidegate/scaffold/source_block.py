"""The entry that a new source has in `sources.yaml`: every key explained, secrets as variables named after it."""

import re
from dataclasses import dataclass
from pathlib import Path

# Written out: the command's help shows them, and reading them from the models would import pydantic.
SOURCE_TYPES = ("postgresql", "mysql", "sqlite", "sqlserver", "files", "sftp", "api")
INDENT = 2
"""Spaces in front of the dash, in the templates."""

_TEMPLATES = Path(__file__).parent / "templates" / "sources"
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(:-[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """The text of an entry, and the variables in it that have no default."""

    kind: str
    name: str
    text: str
    variables: tuple[str, ...]

    def indented(self, spaces: int) -> str:
        """Return the text with its dash so far to the right."""
        lines = (line[INDENT:] for line in self.text.splitlines())
        return "".join(f"{' ' * spaces}{line}".rstrip() + "\n" for line in lines)


def source_block(kind: str, name: str) -> SourceBlock:
    """Return the entry of a source called `name`.

    Args:
        kind: One of `SOURCE_TYPES`.
        name: The source's name, which variables are named after.
    """
    text = (_TEMPLATES / f"{kind}.yaml").read_text()
    text = text.replace("%name%", name).replace("%NAME%", variable_prefix(name))
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    variables = dict.fromkeys(found[1] for found in _VARIABLE.finditer(code) if found[2] is None)
    return SourceBlock(kind, name, text, tuple(variables))


def variable_prefix(name: str) -> str:
    """Return how the variables of a source begin: `MY_CRM` for my-crm."""
    prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
    return prefix if not prefix[:1].isdigit() else f"SOURCE_{prefix}"
