"""Says what is wrong with a configuration: file, key, bad value, and what would be right. Never a secret."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import ConfigError

Path = tuple[int | str, ...]
"""The way to a value: keys and list positions from the top of the file."""

_CONNECTIONS = ("connection", "replica", "auth", "headers")
# The only keys of a connection whose values may be shown; a misspelt `pasword` is not one of them.
_SHOWN_OF_A_CONNECTION = {
    "host",
    "port",
    "database",
    "user",
    "sslmode",
    "block",
    "type",
    "header",
    "query",
    "token_url",
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LOGIN_IN_A_URL = re.compile(r"//.*@", re.DOTALL)
_QUERY_OF_A_URL = re.compile(r"(?<=\?)[^\s?]*=.*", re.DOTALL)
_LONGEST_SHOWN = 80

_MUST = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "path_type": "must be a path",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "too_short": "must not be empty",
    "union_tag_not_found": "needs a type",
}
_LIMITS = {"greater_than_equal": ("ge", ">="), "less_than_equal": ("le", "<=")}


def config_error(summary: str, lines: Sequence[str], *, next_step: str) -> ConfigError:
    """Return one error for all problems, one problem a line."""
    many = f" ({len(lines)} problems)" if len(lines) > 1 else ""
    return ConfigError(
        "\n  ".join([f"{summary}{many}:", *lines]), state="No source and no lake was touched.", next_step=next_step
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the known word closest to `word`, or nothing when none is close."""
    by_case = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_case, n=1)
    return f"; did you mean '{by_case[close[0]]}'?" if close else ""


def problems_of(error: ValidationError, model: type[BaseModel], data: object, file: str) -> list[str]:
    """Return a line for each thing that pydantic found wrong in `file`, whose content `data` was read as `model`."""
    return [_line(details, model, data, file) for details in error.errors(include_url=False)]


def key_path(path: Path, data: object) -> str:
    """Return the path in words: `archives[flights].purge.batch_rows`, by the entry's name where it has a good one."""
    words = ""
    for step in path:
        data = _step_into(data, step)
        if isinstance(step, int):
            name = data.get("name") if isinstance(data, dict) else None
            words += f"[{name}]" if isinstance(name, str) and _NAME.fullmatch(name) else f"[{step}]"
        else:
            words += f".{step}" if words else step
    return words


def shown(value: object, path: Path = ()) -> str:
    """Return `value` as it may be shown in an error: secrets as ***, lists and mappings by their kind only."""
    connection = next((place for place, step in enumerate(path) if step in _CONNECTIONS), None)
    if connection is not None:
        below = path[connection + 1 :]
        if not below or below[0] not in _SHOWN_OF_A_CONNECTION:
            return "***"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    # A URL in the wrong place carries its login with it, or a key in its query.
    shown_value = _QUERY_OF_A_URL.sub("***", _LOGIN_IN_A_URL.sub("//***@", value)) if isinstance(value, str) else value
    text = repr(shown_value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _line(details: ErrorDetails, model: type[BaseModel], data: object, file: str) -> str:
    path, kind = _without_tags(details["loc"], data), details["type"]
    if kind == "union_tag_invalid":
        path = (*path, "type")
    where = key_path(path, data)
    if kind == "extra_forbidden":
        known = _keys_at(details["loc"][:-1], model)
        hint = did_you_mean(str(path[-1]), known) or f"; known here: {', '.join(known)}"
        return f"{file}: {where}: unknown key{hint}"
    must = _must(details)
    # Of a whole list or mapping there is nothing to show, unless its being one is what is wrong.
    whole = isinstance(details["input"], dict | list | tuple | BaseModel) and not kind.endswith(("_type", "_invalid"))
    if kind == "missing" or whole:
        return f"{file}: {where}: {must}"
    given = _step_into(details["input"], "type") if kind == "union_tag_invalid" else details["input"]
    return f"{file}: {where}: {must} (got {shown(given, path)})"


def _without_tags(path: Path, data: object) -> Path:
    """Return the path without the types that pydantic puts into it where a mapping's `type` says what it is."""
    steps: list[int | str] = []
    for step in path:
        if isinstance(data, dict) and step not in data and data.get("type") == step:
            continue
        steps.append(step)
        data = _step_into(data, step)
    return tuple(steps)


def _must(details: ErrorDetails) -> str:
    kind, context, given = details["type"], details.get("ctx", {}), details["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        name, sign = _LIMITS[kind]
        return f"must be {sign} {context[name]}"
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        choices = re.findall(r"'([^']*)'", context["expected_tags" if kind == "union_tag_invalid" else "expected"])
        given = _step_into(given, "type") if kind == "union_tag_invalid" else given
        hint = did_you_mean(given, choices) if isinstance(given, str) else ""
        return f"must be one of {', '.join(choices)}{hint}"
    must = _MUST.get(kind, details["msg"])
    if kind == "string_type" and isinstance(given, bool | int | float):
        must += "; put it in quotes"
    return must


def _step_into(data: object, step: int | str) -> object:
    if isinstance(data, dict):
        return data.get(step)
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step]
    return None


def _keys_at(path: Path, model: type[BaseModel]) -> list[str]:
    models = [model]
    for step in path:
        if isinstance(step, int):
            continue
        tagged = [one for one in models if step in _tags(one)]
        named = (f for one in models for name, f in one.model_fields.items() if step in (name, f.alias))
        below = [found for field in named for found in _models_in(field.annotation)]
        models = below or tagged or models
    return list(dict.fromkeys(field.alias or name for one in models for name, field in one.model_fields.items()))


def _tags(model: type[BaseModel]) -> tuple[object, ...]:
    """Return the values of `type` that this model stands for."""
    return get_args(model.model_fields["type"].annotation) if "type" in model.model_fields else ()


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]
