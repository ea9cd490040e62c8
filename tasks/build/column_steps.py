"""The steps that change columns: their names, types and values. Each becomes one SELECT."""

import re
from decimal import Decimal

from blocks.duck import text_literal
from schemas.column_plan import quote_identifier
from schemas.pipelines.transforms import (
    Cast,
    Derive,
    Drop,
    FillNull,
    NormaliseCase,
    ParseJson,
    Rename,
    Select,
    SnakeCase,
    Trim,
)
from tasks.build.cast_value import cast_value
from tasks.build.step import Compiled, Step, Suspect

_TITLE = "array_to_string(list_transform(string_split({0}, ' '), lambda word: upper(word[1]) || lower(word[2:])), ' ')"


def rename(step: Step, given: Rename) -> Compiled:
    """Give columns other names; two may swap theirs."""
    step.columns(given.columns)
    return _renamed(step, {name: given.columns.get(name, name) for name in step.shape.types})


def snake_case(step: Step, given: SnakeCase) -> Compiled:
    """Give all columns names in snake case."""
    names = {name: _snake_case(name) for name in step.shape.types}
    if unnamed := [name for name, new in names.items() if not new.strip("_")]:
        raise step.refuse(f"the column {unnamed[0]!r} has neither letters nor digits; rename it first")
    return _renamed(step, names)


def cast(step: Step, given: Cast) -> Compiled:
    """Give columns other types."""
    values, suspects = {}, []
    for name, into in given.columns.items():
        found = cast_value(step.column(name), step.shape.types[name], into, given.format)
        values[name] = found.strict if given.on_error == "fail" else found.lenient
        suspects.append(Suspect(name, step.column(name), into, found.failing))
    return step.replacing(values, tuple(suspects) if given.on_error == "fail" else ())


def select(step: Step, given: Select) -> Compiled:
    """Keep some columns."""
    return step.select(dict(zip(given.columns, step.columns(given.columns), strict=True)))


def drop(step: Step, given: Drop) -> Compiled:
    """Leave some columns out."""
    step.columns(given.columns)
    left = [name for name in step.shape.types if name not in given.columns]
    if not left:
        raise step.refuse("no column would be left")
    return step.select({name: quote_identifier(name) for name in left})


def derive(step: Step, given: Derive) -> Compiled:
    """Compute columns, new ones or in the place of others."""
    step.check_new((name for name in given.columns if name not in step.shape.types), step.shape.types)
    values = {name: quote_identifier(name) for name in step.shape.types}
    origins = {}
    for name, text in given.columns.items():
        found = step.expression(text, f"columns.{name}")
        values[name], origins[name] = found.sql, step.shape.made_of(found.columns)
    return step.select(values, origins)


def trim(step: Step, given: Trim) -> Compiled:
    """Take white space off text."""
    names = given.columns or [name for name, kind in step.shape.types.items() if kind == "VARCHAR"]
    # Of all kinds, as `trim` by itself takes spaces only.
    values = {name: rf"regexp_replace({_text(step, name)}, '^\s+|\s+$', '', 'g')" for name in names}
    if given.empty_as_null:
        values = {name: f"nullif({value}, '')" for name, value in values.items()}
    return step.replacing(values)


def normalise_case(step: Step, given: NormaliseCase) -> Compiled:
    """Write text in one case."""
    values = {}
    for name, case in given.columns.items():
        text = _text(step, name)
        values[name] = _TITLE.format(text) if case == "title" else f"{case}({text})"
    return step.replacing(values)


def fill_null(step: Step, given: FillNull) -> Compiled:
    """Put values where there are none, of the column's own type."""
    values = {}
    for name, value in given.values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        column, kind = step.column(name), step.shape.types[name]
        literal = text_literal(text) if kind == "VARCHAR" else f"CAST({text_literal(text)} AS {kind})"
        try:
            ((filled,),) = step.parser.execute(f"SELECT {literal}").fetchall()
        except Exception as error:  # noqa: BLE001 (whatever DuckDB says of a value that does not fit)
            raise step.refuse(f"values.{name}: {text!r} is no {kind}: {str(error).splitlines()[0]}") from None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and isinstance(filled, int | Decimal) and filled != Decimal(text):
            raise step.refuse(f"values.{name}: {text!r} is no {kind}: it would become {filled}")
        values[name] = f"coalesce({column}, {literal})"
    return step.replacing(values)


def parse_json(step: Step, given: ParseJson) -> Compiled:
    """Take values out of JSON into columns of their own."""
    column = step.column(given.column)
    left = [name for name in step.shape.types if given.keep or name != given.column]
    step.check_new(given.fields, left)
    document = column if given.on_error == "fail" else f"CASE WHEN json_valid({column}) THEN {column} END"
    if step.shape.types[given.column] not in ("VARCHAR", "JSON"):
        document = f"to_json({column})"
    values = {name: quote_identifier(name) for name in left}
    suspects = [Suspect(given.column, column, "JSON", f"{column} IS NOT NULL AND NOT json_valid({column})")]
    for name, field in given.fields.items():
        text = f"json_extract_string({document}, {text_literal(field.path)})"
        found = cast_value(text, "VARCHAR", field.type)
        values[name] = found.strict if given.on_error == "fail" else found.lenient
        suspects.append(Suspect(f"{given.column} {field.path}", text, field.type, found.failing))
    origins = dict.fromkeys(given.fields, step.shape.made_of([given.column]))
    compiled = step.select(values, origins)
    return Compiled(compiled.sql, compiled.origins, tuple(suspects) if given.on_error == "fail" else ())


def _renamed(step: Step, names: dict[str, str]) -> Compiled:
    step.check_new(names.values(), ())
    values = {new: quote_identifier(name) for name, new in names.items()}
    return step.select(values, {new: step.shape.origins.get(name) for name, new in names.items()})


def _text(step: Step, name: str) -> str:
    column = step.column(name)
    if step.shape.types[name] != "VARCHAR":
        raise step.refuse(f"the column '{name}' is {step.shape.types[name]}, and no text; cast it first")
    return column


def _snake_case(name: str) -> str:
    # orderID and HTTPCode: a word ends where a capital follows, or where a capital begins a word of its own.
    parted = re.sub(r"(?<=[^\W_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
    plain = re.sub(r"[^\w]+|_+", "_", parted).lower()
    return "_" + plain.strip("_") if name.startswith("_") else plain.strip("_")
