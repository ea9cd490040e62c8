"""What all quality checks have in common: how grave it is if one does not hold, and what happens then."""

import math
from abc import abstractmethod
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from schemas.config_model import ConfigModel, Text, WholeNumber
from schemas.duration import Duration
from schemas.run_record import CheckState

Severity = Literal["error", "warn"]
Action = Literal["refuse", "quarantine", "warn"]

STATES: dict[Action, CheckState] = {"refuse": "refused", "quarantine": "quarantined", "warn": "warned"}
_LONGEST_CONDITION = 80
_Bounded = TypeVar("_Bounded")


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("must name each column once")
    return names


def _maximum_age(value: object) -> Duration:
    return value if isinstance(value, Duration) else Duration.parse(str(value))


def _matchable(pattern: str) -> str:
    import polars as pl  # loaded only where a pattern is to be checked

    # By itself too: `a)(b` is a pattern only within brackets.
    for tried in (pattern, whole_text(pattern)):
        try:
            pl.Series([""]).str.contains(tried, strict=True)
        except pl.exceptions.PolarsError as error:
            told = [line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")]
            reason = told[0] if told else str(error)
            raise ValueError(f"must be a regular expression without look-around or back-references; {reason}") from None
    return pattern


def whole_text(pattern: str) -> str:
    """Return the pattern that matches a text as a whole."""
    return rf"\A(?:{pattern})\z"


def _plain(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a number, or a date, a moment or a time as text")
    return _one_value(value)


def _one_value(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("must be text, a number, true or false; NULL passes anyway")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


Columns = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(_each_once)]
Bound = Annotated[int | float | str, BeforeValidator(_plain)]
OneValue = Annotated[bool | int | float | str, BeforeValidator(_one_value)]
MaximumAge = Annotated[Duration, PlainValidator(_maximum_age), PlainSerializer(str)]
Pattern = Annotated[str, AfterValidator(_matchable)]
NotNegative = Annotated[WholeNumber, Field(ge=0)]


class QualityCheck(ConfigModel):
    """What all checks have in common.

    Attributes:
        severity: How grave it is if it does not hold.
        on_failure: `refuse` keeps the table as it was, `quarantine` puts the wrong rows aside, `warn` only tells. By
            default an error refuses and a warning warns.
    """

    severity: Severity = "error"
    on_failure: Action | None = None

    @model_validator(mode="after")
    def _a_warning_refuses_nothing(self) -> Self:
        if self.severity == "warn" and self.on_failure == "refuse":
            raise ValueError("must not refuse with severity: warn; choose on_failure: warn or quarantine")
        return self

    @property
    def action(self) -> Action:
        """What happens if it does not hold."""
        return self.on_failure or ("refuse" if self.severity == "error" else "warn")

    @property
    @abstractmethod
    def words(self) -> str:
        """The check in words: `not_null(customer_id)`."""

    @property
    def named_columns(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return ()


class OfColumns(QualityCheck):
    """A check of some columns."""

    columns: Columns

    @property
    def named_columns(self) -> tuple[str, ...]:
        return self.columns


class OfColumn(QualityCheck):
    """A check of one column."""

    column: Text

    @property
    def named_columns(self) -> tuple[str, ...]:
        return (self.column,)


class OfTable(QualityCheck):
    """A check of the table as a whole."""

    @model_validator(mode="after")
    def _a_table_is_not_put_aside(self) -> Self:
        if self.on_failure == "quarantine":
            raise ValueError("must not quarantine: it is about the table as a whole, and no single row is wrong")
        return self


def in_order(check: _Bounded, low: int | None, high: int | None) -> _Bounded:
    """Return the check if it has a bound, and its lower one is not above the upper one."""
    if low is None and high is None:
        raise ValueError("needs min, max or both")
    if low is not None and high is not None and low > high:
        raise ValueError(f"min must not be above max (got {low} and {high})")
    return check


def span(low: object, high: object) -> str:
    """Return bounds in words: `0..120`, `0..`."""
    return f"{'' if low is None else low}..{'' if high is None else high}"


def cut(text: str) -> str:
    """Return a text that is short enough to be shown."""
    return text if len(text) <= _LONGEST_CONDITION else text[:_LONGEST_CONDITION] + "…"
