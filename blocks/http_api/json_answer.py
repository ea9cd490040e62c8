"""Answers in JSON: numbers kept as the text that they are, and the records found in them."""

import codecs
import json
import re
from typing import Any, NoReturn

from blocks.http_api.client import Answer
from blocks.http_api.refusals import Refusals

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_KEYS_SHOWN = 20


class Number(str):
    """A number as its text: `1.10` stays that, and so do thirty digits."""

    __slots__ = ()


class Missing(Exception):
    """There is nothing at a path; the text says what there is instead."""


def parse(answer: Answer, refusals: Refusals, place: str) -> Any:
    """Return the document of an answer; None for one without a body that says so (204).

    Raises:
        SourceError: It is no JSON.
    """
    if answer.status == 204:
        return None
    kind = answer.headers.get("content-type", "no content type")
    text = _text(answer, kind, refusals, place)
    if "html" in kind.lower() or text.startswith("<"):
        shown = next((line for line in _TAG.sub("\n", text[:20_000]).splitlines() if line.strip()), "no text")
        raise refusals.wrong(
            answer.url,
            place,
            f"was answered with {kind.partition(';')[0]} where JSON was expected; it begins: {refusals.shown(shown)}",
            "Check url and path: such pages come from logins, proxies and addresses of a web site, not of its API.",
        )
    try:
        return json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=_no_key_twice
        )
    except json.JSONDecodeError as error:
        near = refusals.shown(text[max(0, error.pos - 20) : error.pos + 20])
        what = f"{error.msg} at line {error.lineno}, column {error.colno}, near: {near}" if text else "it is empty"
    except RecursionError:
        what = "it is nested too deeply"
    except ValueError as error:
        what = str(error)
    raise refusals.wrong(answer.url, place, f"was answered with {kind.partition(';')[0]} that is no JSON: {what}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # all but the last value of a key would be lost
        keys = [key for key, _ in pairs]
        raise ValueError(f"an object has the key {next(key for key in keys if keys.count(key) > 1)[:80]!r} twice")
    return found


def _text(answer: Answer, kind: str, refusals: Refusals, place: str) -> str:
    named = _CHARSET.search(kind)
    encoding: str = json.detect_encoding(answer.body)
    try:
        if named and codecs.lookup(named[1]).name not in ("utf-8", "ascii"):
            encoding = named[1]
    except LookupError:
        pass
    try:
        return answer.body.decode(encoding).lstrip("\ufeff \t\r\n")
    except (UnicodeDecodeError, LookupError) as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise refusals.wrong(answer.url, place, f"was answered with text that is not {encoding}{at}") from error


def value_at(document: Any, path: str) -> Any:
    """Return what is at a path such as `data.items`; in a list, a step is a place counted from 0.

    Raises:
        Missing: There is nothing.
    """
    node, steps, passed = document, path.split("."), "the answer"
    while steps:
        taken = _step(node, steps, passed)
        key = ".".join(steps[:taken])
        node, steps, passed = node[int(key)] if isinstance(node, list) else node[key], steps[taken:], f"'{key}'"
    return node


def _step(node: Any, steps: list[str], passed: str) -> int:
    """Return how many steps lead one level down; a key may have dots in it."""
    if isinstance(node, dict):
        for many in range(len(steps), 0, -1):
            if ".".join(steps[:many]) in node:
                return many
        known = ", ".join(list(node)[:_KEYS_SHOWN]) + (", …" if len(node) > _KEYS_SHOWN else "")
        raise Missing(f"there is no '{steps[0]}' in {passed}, which has: {known or 'nothing'}")
    if isinstance(node, list) and steps[0].isdecimal() and int(steps[0]) < len(node):
        return 1
    raise Missing(f"there is no '{steps[0]}' in {passed}, which is {kind_of(node)}")


def records_of(document: Any, path: str | None, *, pages: bool) -> list[dict[str, Any]]:
    """Return the records of a document; one object where the list could be is one record, and nothing is none.

    Args:
        document: The document.
        path: Where they are; the document itself if not given.
        pages: Whether this is one page of many, and so has to be a list if no path is given.

    Raises:
        Missing: They are not there, or something else is; the text says what, and of which record by its number.
    """
    found = document if path is None or document is None else value_at(document, path)
    if found is None:
        return []
    if isinstance(found, dict):
        lists = [key for key, value in found.items() if isinstance(value, list)]
        if pages and path is None:
            hint = f"; lists are in: {', '.join(lists[:_KEYS_SHOWN])}" if lists else ""
            raise Missing(f"a page is an object and not a list of records: name their place with `records`{hint}")
        return [found]
    where = f"'{path}'" if path else "the answer"
    if not isinstance(found, list):
        raise Missing(f"{where} is {kind_of(found)}, and no list of records")
    for number, record in enumerate(found, 1):
        if not isinstance(record, dict):
            raise Missing(f"record {number} in {where} is {kind_of(record)}, and no object with columns")
    return found


def kind_of(value: Any) -> str:
    """Return what kind of JSON value this is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Number():
            return f"the number {value[:40]}"
        case str():
            return f"the text {value[:40]!r}"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def json_text(value: Any) -> str:
    """Return a value as compact JSON, its numbers as they were."""
    match value:
        case Number():
            return str(value)
        case dict():
            return (
                "{"
                + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{json_text(v)}" for key, v in value.items())
                + "}"
            )
        case list():
            return "[" + ",".join(map(json_text, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
