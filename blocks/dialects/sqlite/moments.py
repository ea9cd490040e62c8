"""How a SQLite column writes its dates and times: as text or as numbers, in one way for all of its rows.

SQLite has no type for time. A column declared DATETIME holds what its writers put there, and each library writes in
its own way. Windows and partitions need moments, and what is restored must be what was there, byte for byte: so a
column is stored as moments only in a format from which each value can be written again exactly. A value in another
format than its column's is refused. Formats that name UTC and Unix numbers become naive moments in UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import ClassVar, Protocol

from schemas.window import Window, WindowUnit

Value = int | float | str | bytes | None
EPOCH = datetime(1970, 1, 1)  # naive: as the time column has it
EARLIEST, LATEST = datetime(1, 1, 2), datetime(9998, 1, 1)
DAY = "YYYY-MM-DD"
_MICROSECOND = timedelta(microseconds=1)
_MONTHS = {WindowUnit.HOUR: 13, WindowUnit.DAY: 10, WindowUnit.MONTH: 7, WindowUnit.YEAR: 4}


class Format(Protocol):
    """One way to write a moment."""

    def read(self, value: Value) -> datetime | None:
        """Return the moment that a value means, or None if it is not written in this way."""
        ...

    def write(self, moment: datetime) -> Value:
        """Return the value for a moment."""
        ...

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        """Return SQL for the values that are not before `start`, and before `end`; an index can answer it."""
        ...

    def usable(self, name: str) -> str:
        """Return SQL for the values that have the form of this format, and a year from 1 to 9997."""
        ...

    def group(self, name: str, unit: WindowUnit) -> str:
        """Return SQL that is equal for the moments of one window (or finer), for `moment_of_group`."""
        ...

    def moment_of_group(self, group: str | int) -> datetime:
        """Return a moment of the group."""
        ...


@dataclass(frozen=True, slots=True)
class TextFormat:
    """ISO text. The fraction has three or six digits, or as many as it needs, or none when it is zero."""

    separator: str
    fraction: str
    suffix: str

    FRACTIONS: ClassVar[tuple[str, ...]] = ("[.ffffff]", ".ffffff", ".fff", "[.f]")

    def read(self, value: Value) -> datetime | None:
        if not isinstance(value, str) or not value.endswith(self.suffix):
            return None
        try:
            moment = datetime.fromisoformat(value[: len(value) - len(self.suffix)])
        except ValueError:
            return None
        return moment if moment.tzinfo is None and self.write(moment) == value else None

    def write(self, moment: datetime) -> str:
        text = moment.isoformat(self.separator, "seconds")
        match self.fraction:
            case ".ffffff":
                text += f".{moment.microsecond:06d}"
            case ".fff":
                # A moment with microseconds cannot be written so: `read` finds that the text is another.
                text += f".{moment.microsecond // 1000:03d}"
            case "[.ffffff]" if moment.microsecond:
                text += f".{moment.microsecond:06d}"
            case "[.f]" if moment.microsecond:
                text += f".{moment.microsecond:06d}".rstrip("0")
        return text + self.suffix

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        # A whole second without its suffix is the beginning of every text of that second, and so before all of them.
        limits = []
        for sign, moment in ((">=", start), ("<", end)):
            if moment is None:
                continue
            second = moment.replace(microsecond=0)
            if second == moment:
                limits.append(f"{name} {sign} '{second.isoformat(self.separator)}' COLLATE BINARY")
            else:
                coarse = second if sign == ">=" else second + timedelta(seconds=1)
                limits.append(f"{name} {sign} '{coarse.isoformat(self.separator)}' COLLATE BINARY")
                exact = f"tidegate_microseconds('{self}', {name})"
                limits.append(f"({exact} IS NULL OR {exact} {sign} {microseconds(moment)})")
        return " AND ".join(limits) or "true"

    def usable(self, name: str) -> str:
        second = f"substr({name}, 1, 19)"
        return (
            f"(typeof({name}) = 'text' AND substr({name}, 11, 1) = '{self.separator}' COLLATE BINARY AND "
            f"strftime('%Y-%m-%d %H:%M:%S', {second}) = replace({second}, 'T', ' ') AND "
            f"{self.between(name, EARLIEST, LATEST)})"
        )

    def group(self, name: str, unit: WindowUnit) -> str:
        return f"substr({name}, 1, {_MONTHS[unit]})"

    def moment_of_group(self, group: str | int) -> datetime:
        return datetime.fromisoformat(f"{group}{'0001-01-01 00:00:00'[len(str(group)) :]}")

    def __str__(self) -> str:
        return f"{DAY}{self.separator}HH:MM:SS{self.fraction}{self.suffix}"


@dataclass(frozen=True, slots=True)
class DayFormat:
    """A date as ISO text."""

    def read(self, value: Value) -> datetime | None:
        if not isinstance(value, str) or len(value) != len(DAY):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment if self.write(moment) == value else None

    def write(self, moment: datetime) -> str:
        return moment.date().isoformat()

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        limits = [
            f"{name} {sign} '{_next_whole(moment, timedelta(days=1)).date()}' COLLATE BINARY"
            for sign, moment in ((">=", start), ("<", end))
            if moment is not None
        ]
        return " AND ".join(limits) or "true"

    def usable(self, name: str) -> str:
        return f"(typeof({name}) = 'text' AND date({name}) = {name} AND {self.between(name, EARLIEST, LATEST)})"

    def group(self, name: str, unit: WindowUnit) -> str:
        return f"substr({name}, 1, {min(_MONTHS[unit], len(DAY))})"

    def moment_of_group(self, group: str | int) -> datetime:
        return datetime.fromisoformat(f"{group}{'0001-01-01'[len(str(group)) :]}")

    def __str__(self) -> str:
        return DAY


@dataclass(frozen=True, slots=True)
class UnixFormat:
    """A whole number of units since 1970."""

    unit: str

    UNITS: ClassVar[dict[str, int]] = {"unix seconds": 1, "unix milliseconds": 1000, "unix microseconds": 1_000_000}

    @property
    def _per_second(self) -> int:
        return self.UNITS[self.unit]

    def read(self, value: Value) -> datetime | None:
        # Beyond the year 9999 there is no datetime: such a number is of another unit.
        if type(value) is not int or not microseconds(EARLIEST) <= value * self._step < microseconds(LATEST):
            return None
        return EPOCH + timedelta(microseconds=value * self._step)

    @property
    def _step(self) -> int:
        return 1_000_000 // self._per_second

    def write(self, moment: datetime) -> int:
        return microseconds(moment) // self._step

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        limits = [
            f"{name} {sign} {-(-microseconds(moment) // self._step)}"
            for sign, moment in ((">=", start), ("<", end))
            if moment is not None
        ]
        return " AND ".join(limits) or "true"

    def usable(self, name: str) -> str:
        return f"(typeof({name}) = 'integer' AND {self.between(name, EARLIEST, LATEST)})"

    def group(self, name: str, unit: WindowUnit) -> str:
        length = (3600 if unit is WindowUnit.HOUR else 86_400) * self._per_second
        # Division of integers rounds towards zero; before 1970 that would join two groups.
        return f"({name} - (({name} % {length}) + {length}) % {length})"

    def moment_of_group(self, group: str | int) -> datetime:
        return EPOCH + timedelta(microseconds=int(group) * self._step)

    def __str__(self) -> str:
        return self.unit


# Those that most writers use come first; of several that fit, the first is taken.
FORMATS: tuple[TextFormat | DayFormat | UnixFormat, ...] = (
    *(
        TextFormat(separator, fraction, suffix)
        for fraction in TextFormat.FRACTIONS
        for separator in (" ", "T")
        for suffix in ("", "Z", "+00:00")
    ),
    DayFormat(),
    *(UnixFormat(unit) for unit in UnixFormat.UNITS),
)
_BY_NAME = {str(known): known for known in FORMATS}
DEFAULT, UNIX_SECONDS = str(FORMATS[0]), "unix seconds"


@cache
def format_named(name: str) -> Format:
    """Return the format that a column's `text_format` names.

    Raises:
        ValueError: A newer Tidegate has written the name.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise ValueError(f"unknown format of moments: {name!r}") from None


def guess_format(values: Iterable[Value]) -> str:
    """Return the name of the format of a column, judged by some of its values: the first that most are written in."""
    sample = [value for value in values if value is not None]
    fits = {str(known): sum(known.read(value) is not None for value in sample) for known in FORMATS}
    best = max(fits.values(), default=0)
    return next((name for name, count in fits.items() if count == best), DEFAULT)


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to a naive moment."""
    return (moment - EPOCH) // _MICROSECOND


def within(known: Format, name: str, window: Window) -> str:
    """Return SQL for the values of a window."""
    return known.between(name, _naive(window.start), _naive(window.end))


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _next_whole(moment: datetime, step: timedelta) -> datetime:
    return EPOCH - ((EPOCH - moment) // step) * step
