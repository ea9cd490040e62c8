"""The steps of a pipeline: what each takes from `pipelines.yaml`. `tasks.build` makes SQL of them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from schemas.archive_options import Columns
from schemas.config_model import ConfigModel, Text
from schemas.pipelines.place import AnyTable

OnError = Literal["fail", "null"]
JoinKind = Literal["left", "inner", "semi", "anti"]
Case = Literal["upper", "lower", "title"]

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_ ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?(\[\])*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PATH = re.compile(r"\$(\.[\w-]+|\.\"[^\"]+\"|\[\d+\])*")


def _type_name(text: str) -> str:
    if not _TYPE.fullmatch(text.strip()):
        raise ValueError("must be the name of a type, such as date, boolean, integer, double or decimal(12,2)")
    return text.strip()


def _function_name(text: str) -> str:
    if not _FUNCTION.fullmatch(text):
        raise ValueError("must be module:function, such as transforms.shop:clean")
    return text


def _json_path(path: str) -> str:
    path = path if path.startswith("$") else f"$.{path}"
    if not _PATH.fullmatch(path):
        raise ValueError("must be a path in JSON, such as $.customer.name or $.items[0].sku")
    return path


def _not_empty(given: dict[Any, Any]) -> dict[Any, Any]:
    if not given:
        raise ValueError("must not be empty")
    return given


TypeName = Annotated[Text, AfterValidator(_type_name)]
SomeColumns = Annotated[Columns, Field(min_length=1)]
Names = Annotated[dict[Text, Text], AfterValidator(_not_empty)]


class Rename(ConfigModel):
    """Gives columns other names: `{old: new}`."""

    type: Literal["rename"]
    columns: Names


class Cast(ConfigModel):
    """Gives columns other types; a value that has none of the new type fails the pipeline, or becomes NULL.

    `format` says how dates and times are written as text, in the terms of `strftime`: `%d/%m/%Y`.
    """

    type: Literal["cast"]
    columns: Annotated[dict[Text, TypeName], AfterValidator(_not_empty)]
    on_error: OnError = "fail"
    format: Text | None = None


class Filter(ConfigModel):
    """Keeps the rows of which a condition is true."""

    type: Literal["filter"]
    condition: Text


class OrderTerm(ConfigModel):
    """A column that rows are ordered by, and which end comes first."""

    column: Text
    descending: bool = False


def _order_term(value: object) -> object:
    if not isinstance(value, str):
        return value
    column, _, way = value.strip().rpartition(" ")
    if column and way.casefold() in ("asc", "desc"):
        return {"column": column.strip(), "descending": way.casefold() == "desc"}
    return {"column": value.strip()}


class Deduplicate(ConfigModel):
    """Keeps one row of each key: the first one in `order`, by default the one that was ingested last.

    Rows without any value in their key are no duplicates of each other; all of them are kept.
    """

    type: Literal["deduplicate"]
    keys: SomeColumns
    order: tuple[Annotated[OrderTerm, BeforeValidator(_order_term)], ...] = ()


class Select(ConfigModel):
    """Keeps these columns, in this order."""

    type: Literal["select"]
    columns: SomeColumns


class Drop(ConfigModel):
    """Leaves columns out."""

    type: Literal["drop"]
    columns: SomeColumns


class Derive(ConfigModel):
    """Computes columns: `{name: expression}`, each over the columns before this step."""

    type: Literal["derive"]
    columns: Names


class Trim(ConfigModel):
    """Takes white space off both ends of text; of all columns of text if none are named."""

    type: Literal["trim"]
    columns: Columns = ()
    empty_as_null: bool = False


class NormaliseCase(ConfigModel):
    """Writes text in upper case, lower case, or with Each Word Capitalised: `{column: title}`."""

    type: Literal["normalise_case", "normalize_case"]
    columns: Annotated[dict[Text, Case], AfterValidator(_not_empty)]


class FillNull(ConfigModel):
    """Puts values where there are none: `{column: value}`."""

    type: Literal["fill_null"]
    values: Annotated[dict[Text, bool | int | float | str], AfterValidator(_not_empty)]


class JsonField(ConfigModel):
    """Where a value lies in a JSON text, and its type."""

    path: Annotated[Text, AfterValidator(_json_path)]
    type: TypeName = "VARCHAR"


def _json_field(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class ParseJson(ConfigModel):
    """Takes values out of a column of JSON into columns: `{name: $.path}` or `{name: {path: $.path, type: date}}`."""

    type: Literal["parse_json"]
    column: Text
    fields: Annotated[
        dict[Text, Annotated[JsonField, BeforeValidator(_json_field)]], AfterValidator(_not_empty)
    ]  # fmt: skip
    keep: bool = True
    on_error: OnError = "fail"


class Explode(ConfigModel):
    """Makes a row of each element of a list, or of a JSON array. `position` names a column that counts them from 1.

    A row whose list is empty or NULL stays, with NULL for an element, unless `keep_empty` is false.
    """

    type: Literal["explode"]
    column: Text
    position: Text | None = None
    keep_empty: bool = True


def _named(value: object) -> object:
    """Return `{name there: name here}` of a list of names."""
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


class Join(ConfigModel):
    """Brings in columns of another table.

    `on` has columns that both have, or `{here: there}`; `columns` those to bring in, or `{there: new name}`: by default
    all but those of `on` and what the raw layer adds to rows.
    """

    type: Literal["join"]
    table: AnyTable = Field(alias="with")
    on: Annotated[Names, BeforeValidator(_named)]
    how: JoinKind = "left"
    columns: Annotated[dict[Text, Text], BeforeValidator(_named)] | None = None

    @field_validator("columns")
    @classmethod
    def _new_names_differ(cls, columns: dict[str, str] | None) -> dict[str, str] | None:
        if columns is not None and len({name.casefold() for name in columns.values()}) < len(columns):
            raise ValueError("must give each column a name of its own")
        return columns


class Aggregate(ConfigModel):
    """Makes one row of the rows with the same `group_by`, or of all rows: `measures: {name: expression}`."""

    type: Literal["aggregate"]
    group_by: Columns = ()
    measures: Names


class SnakeCase(ConfigModel):
    """Writes the names of all columns in lower case with underscores: `Order ID` becomes `order_id`."""

    type: Literal["snake_case"]


class Python(ConfigModel):
    """Calls a function of one's own, `module:function`, which takes a Polars LazyFrame and returns one."""

    type: Literal["python"]
    function: Annotated[Text, AfterValidator(_function_name)]


AnyTransform = (
    Rename
    | Cast
    | Filter
    | Deduplicate
    | Select
    | Drop
    | Derive
    | Trim
    | NormaliseCase
    | FillNull
    | ParseJson
    | Explode
    | Join
    | Aggregate
    | SnakeCase
    | Python
)


def _short_form(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"python"}:
        return {"type": "python", "function": value["python"]}
    return {"type": value} if value == "snake_case" else value


Transform = Annotated[Annotated[AnyTransform, Field(discriminator="type")], BeforeValidator(_short_form)]
"""A step of a pipeline."""


def expressions_of(step: AnyTransform) -> tuple[str, ...]:
    """Return the SQL expressions of a step."""
    match step:
        case Filter():
            return (step.condition,)
        case Derive():
            return tuple(step.columns.values())
        case Aggregate():
            return tuple(step.measures.values())
        case _:
            return ()
