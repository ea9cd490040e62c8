"""Reads one YAML file of the configuration: every key once, `${ENV}` filled in, dates left as text."""

import os
import re
from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from schemas import config_problems
from schemas.config_problems import did_you_mean, key_path
from schemas.dot_env import read_dot_env
from schemas.errors import ConfigError

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_BOOL = "tag:yaml.org,2002:bool"
_MERGE = "tag:yaml.org,2002:merge"

# `$${` is a literal `${`. What follows a `:-` is the default, as in a shell.
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)

# A variable by itself within [ ] or { }, where YAML takes its braces for a mapping's.
_BARE_VARIABLE = re.compile(r"""(?<=[:,\[{])(\s*)(\$\{[^}"'\\\n]*\})(?=\s*[,\]}])""")

_ENDLESS = "is nested too deeply, or an alias refers to itself"

# What PyYAML quotes of the file may be a password; single signs and <names of tokens> are its own.
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<text>(?:\\.|.)*?)(?P=quote)""", re.DOTALL)


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which refuses a key given twice (PyYAML keeps the last) and leaves dates as text.

    As in YAML 1.2, only `true` and `false` are truth values. PyYAML takes `on` and `NO` for some.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 (the base class's own attribute)
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_TIMESTAMP, _BOOL)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a key given twice, before `<<` brings in keys that may be given again."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                problem = f"the key {key.value} is given twice, here and in line {lines[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[key.value] = line
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Say where a value stands that looks like a number or a tagged date and is none."""
        try:
            return super().construct_object(node, deep=deep)
        except ValueError:
            raise yaml.constructor.ConstructorError(None, None, "cannot read the value", node.start_mark) from None


_StrictLoader.add_implicit_resolver(_BOOL, re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


def read_config_file(path: Path, top_key: str | None = None) -> dict[object, object]:
    """Return the mapping that a configuration file holds, with `${ENV}` and `${ENV:-default}` filled in.

    A variable that is not set in the environment is looked up in the project's `.env`.

    Args:
        path: The file.
        top_key: The key that the file has to start with, to name it in errors.

    Raises:
        ConfigError: The file cannot be read, is no YAML, is empty or no mapping, gives a key twice, or names a
            variable that is not set. It names file and line, or file and key, and shows none of the values.
    """
    expected = f"a mapping that starts with `{top_key}:`" if top_key else "a mapping of keys to values"
    content = _parse(path)
    if content is None:
        raise ConfigError(f"{path.name}: is empty; it must be {expected}")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise ConfigError(f"{path.name}: must be {expected} (got {kind})")
    problems: list[str] = []
    variables = ChainMap(os.environ, read_dot_env(path.parent.parent))
    try:
        filled = _fill_in(content, (), content, path.name, variables, problems)
    except RecursionError:
        raise ConfigError(f"{path.name}: {_ENDLESS}") from None
    if problems:
        raise ConfigError("\n".join(problems))
    assert isinstance(filled, dict)
    return filled


def _parse(path: Path) -> object:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read from {path.parent}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name}: must be UTF-8 text (byte {error.start} is not)") from None
    try:
        # S506: the loader is a SafeLoader.
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        with suppress(yaml.YAMLError, RecursionError):
            return yaml.load(_BARE_VARIABLE.sub(r'\1"\2"', text), Loader=_StrictLoader)
        where, what = _place(error), _told(error)
    except yaml.reader.ReaderError as error:
        where, what = f"line {text.count(chr(10), 0, error.position) + 1}", "a control character is not allowed"
    except RecursionError:
        where, what = "YAML", _ENDLESS
    # Outside the handlers, so that no traceback carries YAML's own message, which quotes the file.
    raise ConfigError(f"{path.name}: {where}: {what}")


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"


def _told(error: yaml.MarkedYAMLError) -> str:
    told = _QUOTED.sub(
        lambda quoted: quoted[0] if re.fullmatch(r"<[a-z ]+>|\\?.", quoted["text"]) else "***",
        error.problem or error.context or "is no YAML",
    )
    hint = "; text that starts with one of * & ! % @ ` { [ or holds ': ' needs quotes"
    return told if "given twice" in told else told + hint


def _fill_in(
    value: object,
    path: config_problems.Path,
    whole: object,
    file: str,
    variables: Mapping[str, str],
    problems: list[str],
) -> object:
    if isinstance(value, dict):
        return {key: _fill_in(item, (*path, str(key)), whole, file, variables, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, (*path, place), whole, file, variables, problems) for place, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replaced(found: re.Match[str]) -> str:
        if found["inside"] is None:
            return "${"
        inside = _INSIDE.fullmatch(found["inside"]) if found["end"] else None
        where = f"{file}: {key_path(path, whole)}"
        if inside is None:
            # The text itself is not shown: it may hold a default that is a secret.
            problems.append(f"{where}: must write a variable as ${{NAME}} or ${{NAME:-default}}, a literal ${{ as $${{")
            return ""
        name, default = inside["name"], inside["default"]
        given = variables.get(name)
        if default is not None:
            return given or default
        if given is None:
            hint = did_you_mean(name, variables) or f"; set it, or write ${{{name}:-default}}"
            problems.append(f"{where}: the environment variable {name} is not set{hint}")
            return ""
        return given

    # One pass over the file's own text: what a variable holds is never looked at again.
    return _VARIABLE.sub(replaced, value)
