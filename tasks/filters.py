"""Conditions on columns, as SQL with parameters and as a choice of files: equality, NULL, and lists of values."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal

from schemas.column_plan import Column, Kind
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.manifest import DataFile

_PYTHON: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.BOOLEAN: (bool,),
    Kind.FLOAT32: (float, int),
    Kind.FLOAT64: (float, int),
    Kind.DECIMAL: (Decimal, int),
    Kind.DATE: (date,),
    Kind.TIME: (time,),
    Kind.TIMESTAMP: (datetime,),
    Kind.TIMESTAMPTZ: (datetime,),
    Kind.TEXT: (str,),
    Kind.BINARY: (bytes,),
}
_WORDS = {Kind.TIMESTAMP: "a datetime without a time zone", Kind.TIMESTAMPTZ: "a datetime with a time zone"}


class Filters:
    """What rows have to equal, column by column; all of it has to hold.

    Args:
        columns: The columns there are.
        wanted: For each column a value, None for NULL, or a list of these of which one has to fit.
        state: What an error says of the state of the data.

    Attributes:
        parameters: Values of the parameters of all conditions.

    Raises:
        ConfigError: There is no such column, or it cannot have such a value.
    """

    def __init__(self, columns: Iterable[Column], wanted: Mapping[str, object], state: str) -> None:
        by_name = {column.name: column for column in columns}
        self._state = state
        self._values: dict[str, list[object]] = {}
        self._conditions: dict[str, str] = {}
        self.parameters: list[object] = []
        for name, value in wanted.items():
            if name not in by_name:
                raise ConfigError(
                    f"There is no column {name!r}{did_you_mean(name, by_name) or '.'} Columns: {', '.join(by_name)}.",
                    state=state,
                    next_step="Name one of them.",
                )
            values = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
            for one in values:
                self._check(by_name[name], one)
            self._values[name] = values
            self._conditions[name] = self._condition(by_name[name], values)

    def condition(self, names: Iterable[str] | None = None) -> str:
        """Return SQL for the condition on the named columns, or on all; empty if there is none."""
        wanted = self._conditions if names is None else [name for name in names if name in self._conditions]
        return " AND ".join(self._conditions[name] for name in wanted)

    def keep(self, file: DataFile) -> bool:
        """Return whether the file may hold such rows; if its partition has all these columns, it holds only such."""
        return all(
            any(_is_partition(file.partition[name], value) for value in values)
            for name, values in self._values.items()
            if name in file.partition
        )

    def _condition(self, column: Column, values: list[object]) -> str:
        numbers = []
        for value in values:
            if value is not None:
                self.parameters.append(value)
                numbers.append(f"${len(self.parameters)}")
        choices = [f"{column.quoted} IN ({', '.join(numbers)})"] if numbers else []
        if None in values:
            choices.append(f"{column.quoted} IS NULL")
        return f"({' OR '.join(choices) or 'false'})"

    def _check(self, column: Column, value: object) -> None:
        fits = value is None or isinstance(value, _PYTHON[column.kind])
        if isinstance(value, bool) and column.kind is not Kind.BOOLEAN:
            fits = False
        if isinstance(value, datetime):
            aware = value.tzinfo is not None
            fits = column.kind is (Kind.TIMESTAMPTZ if aware else Kind.TIMESTAMP)
        if not fits:
            allowed = _WORDS.get(column.kind) or " or ".join(kind.__name__ for kind in _PYTHON[column.kind])
            raise ConfigError(
                f"The column {column.name!r} ({column.kind}) cannot equal {value!r} ({type(value).__name__}).",
                state=self._state,
                next_step=f"Give {allowed}, None for NULL, or a list of these.",
            )


def _is_partition(text: str | None, value: object) -> bool:
    """Return whether the text of a partition key stands for the value, or may do so."""
    match value:
        case None:
            return text is None
        case _ if text is None:
            return False
        case bool():
            return text == str(value).lower()
        case int():
            return int(text) == value  # months are written 01, and by others 1
        case date():
            return text == value.isoformat()
        case str():
            return text == value
        case _:  # the key became a number with a fraction in a later generation
            return True
