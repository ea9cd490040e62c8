"""What text can stand for, and how DuckDB tells that a value of a type says exactly what its text said.

A form is a type, the value that a text has in it, and the condition under which nothing of the text is lost:

- whole numbers as they are printed: no leading zero, plus sign or blank, so that `007` and `+49` stay text;
- decimals of up to 15 digits, or as a DOUBLE is printed, are DOUBLE (`1.10` is 1.1); longer ones DECIMAL(38, scale);
- `true` and `false`, in one case; dates `yyyy-mm-dd`; ISO timestamps of up to six decimals, with an offset or without.
"""

import re
from dataclasses import dataclass

_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?"
_MOMENT = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[ T]{_TIME}"
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?"
_NUMBER_WITH_COMMA = r"-?(0|[1-9][0-9]*|[1-9][0-9]{0,2}(\.[0-9]{3})+)(,[0-9]+)?"
_DIGITS = 15  # as many decimal digits as every DOUBLE keeps
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_PLACES = re.compile(r"\{[cv]\}")
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
          "UHUGEINT")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """A type that text can stand for.

    Attributes:
        type: The DuckDB type.
        value: SQL of the value; `{c}` is the text, never NULL.
        check: SQL of whether nothing is lost; `{v}` is the value.
        demanded: Whether the configuration asks for it: then a text that does not fit is an error of the file.
    """

    type: str
    value: str
    check: str
    demanded: bool = False

    def value_of(self, c: str) -> str:
        """Return SQL of the value of the text `c`."""
        return self.value.replace("{c}", c)

    def check_of(self, c: str, v: str) -> str:
        """Return SQL of whether the value `v` says all that the text `c` says."""
        # In one go: the name of a column in `c` may well have `{v}` in it.
        return _PLACES.sub(lambda place: c if place[0] == "{c}" else v, self.check)


def plain_forms() -> list[Form]:
    """Return the forms of values without decimals, the narrower ones first."""
    return [
        Form("BOOLEAN", "TRY_CAST({c} AS BOOLEAN)", "{c} IN ('true', 'false', 'True', 'False', 'TRUE', 'FALSE')"),
        _canonical("BIGINT"),
        Form("DATE", "TRY_CAST({c} AS DATE)", "CAST({v} AS VARCHAR) = {c} AND isfinite({v})"),
        _moment("TIMESTAMP", ""),
        _moment("TIMESTAMP WITH TIME ZONE", "(Z|[+-][0-9]{2}(:?[0-9]{2})?)"),
    ]


def number_forms(scale: int, *, comma: bool) -> list[Form]:
    """Return the forms of numbers with decimals.

    Args:
        scale: The most decimals that values have.
        comma: Whether a comma is in front of decimals, and points group thousands.
    """
    number = _point_for_comma("{c}") if comma else "{c}"
    shape = _NUMBER_WITH_COMMA if comma else _NUMBER
    fits = f"strlen(replace({number}, '.', '')) <= {_DIGITS}"
    printed = f"CAST({{v}} AS VARCHAR) = {number} AND isfinite({{v}})"
    well = f"regexp_full_match({{c}}, '{shape}')"
    # As printed, `1e+20` is a number too; `1e5` is not, and stays text: it may be somebody's article number.
    double = f"CASE WHEN {well} AND {fits} THEN true ELSE {printed}{f' AND {well}' if comma else ''} END"
    forms = [] if comma else [_canonical("DECIMAL(38,0)")]
    forms.append(Form("DOUBLE", f"TRY_CAST({number} AS DOUBLE)", double))
    if 0 < scale <= 37:
        forms.append(_decimal(f"DECIMAL(38,{scale})", scale, comma=comma, shape=shape))
    return forms


def known_forms(type_: str, *, comma: bool) -> list[Form]:
    """Return the forms in which text is a value of a type that the table's column has, and keeps."""
    wide = [form for form in [*plain_forms(), *number_forms(0, comma=comma)] if form.type == type_]
    if decimal := _DECIMAL.fullmatch(type_):
        shape = _NUMBER_WITH_COMMA if comma else _NUMBER
        wide = [_decimal(type_, int(decimal[2]), comma=comma, shape=shape)]
    elif type_ in _WHOLE and not wide:
        wide = [_canonical(type_)]
    elif type_ == "TIMESTAMP":
        wide.append(Form(type_, "TRY_CAST({c} AS TIMESTAMP)", "CAST(CAST({v} AS DATE) AS VARCHAR) = {c}"))
    return wide


def demanded_form(type_: str, *, comma: bool) -> Form:
    """Return the form of a type that the configuration demands: leading zeros and blanks go, nothing else may."""
    text = "trim({c})"
    if type_ in _WHOLE or _DECIMAL.fullmatch(type_) or type_ in ("DOUBLE", "FLOAT"):
        grouped = f"regexp_full_match({text}, '{_NUMBER_WITH_COMMA}')"
        number = f"CASE WHEN {grouped} THEN {_point_for_comma(text)} ELSE replace({text}, ',', '.') END"
        text = f"({number})" if comma else text
    value = f"TRY_CAST({text} AS {type_})"
    check = "{v} IS NOT NULL"
    if type_ in _WHOLE:
        check += f" AND (regexp_full_match({text}, '[+-]?[0-9]+(\\.0*)?') OR {_exact_power(text)})"
    elif decimal := _DECIMAL.fullmatch(type_):
        fits = f"regexp_full_match({text}, '[+-]?[0-9]*(\\.[0-9]{{0,{decimal[2]}}}0*)?')"
        check += f" AND ({fits} OR {_exact_power(text)})"
    elif type_ == "DOUBLE" or type_ == "FLOAT":
        check += " AND isfinite({v}) OR lower(trim({c})) IN ('nan', 'inf', '-inf', 'infinity', '-infinity')"
    elif type_ == "DATE":
        # What else is in the text has to be midnight.
        check += f" AND TRY_CAST({text} AS TIMESTAMP) = CAST({{v}} AS TIMESTAMP)"
    elif type_.startswith("TIMESTAMP"):
        check += f" AND NOT regexp_matches({text}, '\\.[0-9]{{6}}[0-9]*[1-9]')"
        if type_ == "TIMESTAMP":
            check += f" AND TRY_CAST({text} AS TIMESTAMPTZ) = CAST({{v}} AS TIMESTAMPTZ)"
    elif type_ == "BOOLEAN":
        check = "{v} IS NOT NULL"
    return Form(type_, value, check, demanded=True)


def decimals(column: str, *, comma: bool) -> str:
    """Return SQL of how many decimals a text has."""
    sign = "," if comma else "."
    return f"CASE WHEN contains({column}, '{sign}') THEN strlen({column}) - strpos({column}, '{sign}') ELSE 0 END"


def surely_comma(column: str) -> str:
    """Return SQL of whether a text can only be a number with a decimal comma: not `1,234`, which can be thousands."""
    return (
        f"(regexp_full_match({column}, '-?(0|[1-9][0-9]*),([0-9]{{1,2}}|[0-9]{{4,}})') "
        f"OR regexp_full_match({column}, '-?[1-9][0-9]{{0,2}}(\\.[0-9]{{3}})+,[0-9]+'))"
    )


def _canonical(type_: str) -> Form:
    return Form(type_, f"TRY_CAST({{c}} AS {type_})", "CAST({v} AS VARCHAR) = {c}")


def _moment(type_: str, offset: str) -> Form:
    return Form(
        type_,
        f"TRY_CAST({{c}} AS {type_})",
        # Most are written as DuckDB prints them, which is found out in a quarter of the time.
        f"year({{v}}) BETWEEN 1 AND 9999 AND CASE WHEN CAST({{v}} AS VARCHAR) = {{c}} THEN true "
        f"ELSE regexp_full_match({{c}}, '{_MOMENT}{offset}') END",
    )


def _decimal(type_: str, scale: int, *, comma: bool, shape: str) -> Form:
    number = _point_for_comma("{c}") if comma else "{c}"
    return Form(
        type_,
        f"TRY_CAST({number} AS {type_})",
        f"{{v}} IS NOT NULL AND regexp_full_match({{c}}, '{shape}') AND {decimals('{c}', comma=comma)} <= {scale}",
    )


def _exact_power(text: str) -> str:
    """Return SQL of whether a text such as `1e-05` is what its value says: so few digits a DOUBLE keeps."""
    digits = f"strlen(regexp_replace({text}, '[eE].*|[^0-9]', '', 'g'))"
    return (
        f"(regexp_full_match({text}, '[+-]?[0-9]+(\\.[0-9]+)?[eE][+-]?[0-9]{{1,3}}') AND {digits} <= {_DIGITS} "
        f"AND CAST({{v}} AS DOUBLE) = TRY_CAST({text} AS DOUBLE))"
    )


def _point_for_comma(text: str) -> str:
    return f"replace(replace({text}, '.', ''), ',', '.')"
