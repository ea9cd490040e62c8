"""Columns of text as columns of types: found on a sample, and guarded in the query that reads all of it.

A value that its column's type would change makes the query fail; the column then gets the type that all of its values
have, which is text at worst. No value is rounded, trimmed or dropped on the way.
"""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import duckdb
from duckdb import DuckDBPyConnection

from blocks.file_formats.text_forms import (
    Form,
    decimals,
    demanded_form,
    known_forms,
    number_forms,
    plain_forms,
    surely_comma,
)
from schemas.column_plan import quote_identifier
from schemas.errors import ConfigError

SAMPLE_ROWS = 20_000
_SAMPLE_VALUES = 2_000_000
_FEW_ROWS = 200
_COLUMNS_AT_ONCE = 200
_MARKER = "tidegate-value:"


class TypedText:
    """A source of text columns, read with types.

    Args:
        connection: Where queries run.
        source: What stands after FROM: a table function or subquery whose columns are all VARCHAR.
        columns: Their names, in order.
        types: Demanded types by column name, whatever its case.
        known: Types that the table's columns have had; kept where all values fit.
        comma: Whether decimals come after a comma; None to find out.
        notes: Gets what was found out.

    Raises:
        ConfigError: A demanded type is none of DuckDB's.
        duckdb.Error: The source cannot be read.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        source: str,
        columns: Sequence[str],
        *,
        types: Mapping[str, str],
        known: Mapping[str, str],
        comma: bool | None,
        notes: list[str],
    ) -> None:
        self._connection, self._source, self._columns, self._notes = connection, source, columns, notes
        demanded = {name.casefold(): type_name(connection, name, type_) for name, type_ in types.items()}
        absent = [name for name in types if name.casefold() not in {column.casefold() for column in columns}]
        if absent:
            notes.append(f"no column {', '.join(absent)}, to which `types` gives a type")
        self._known = {name.casefold(): type_ for name, type_ in known.items()}
        self._forms: dict[int, Form | None] = {}
        sample = f"sample_{uuid4().hex}"
        rows = max(200, min(SAMPLE_ROWS, _SAMPLE_VALUES // len(columns)))
        connection.execute(f"CREATE TEMP TABLE {sample} AS SELECT * FROM {source} LIMIT {rows}")
        try:
            self._comma = self._has_comma(sample) if comma is None else comma
            for place, name in enumerate(columns):
                if type_ := demanded.get(name.casefold()):
                    self._forms[place] = None if type_ == "VARCHAR" else demanded_form(type_, comma=self._comma)
            self._forms |= self._fitting(sample, [n for n in range(len(columns)) if n not in self._forms])
        finally:
            connection.execute(f"DROP TABLE {sample}")

    @property
    def query(self) -> str:
        """A SELECT of the columns with their types, which fails where a value does not survive its type."""
        chosen = [(place, self._forms[place]) for place in range(len(self._columns))]
        # Names such as v0 may be columns of the file: these columns go by number.
        inner = ", ".join(f"{self._quoted(place)} AS c{place}" for place in range(len(self._columns)))
        typed = "".join(f", {form.value_of(f'c{place}')} AS v{place}" for place, form in chosen if form)
        listed = ", ".join(
            f"c{place} AS {self._quoted(place)}" if form is None else self._guarded(place, form)
            for place, form in chosen
        )
        return f"SELECT {listed} FROM (SELECT *{typed} FROM (SELECT {inner} FROM {self._source}))"

    def demote(self, error: duckdb.Error) -> bool:
        """Give columns whose type does not fit all values one that does, if that is what the query failed of.

        Raises:
            duckdb.Error: The source cannot be read to its end.
        """
        failed = self.failed_value(error)
        if failed is None or failed[1].demanded:
            return False
        found = [n for n, form in self._forms.items() if form is not None and not form.demanded]
        fits = self._check(self._source, [(place, self._form(place)) for place in found])
        wrong = [place for place, fit in zip(found, fits, strict=True) if not fit]
        better = self._fitting(self._source, wrong)
        for place in wrong:
            was, now = self._form(place).type, better[place].type if better[place] else "VARCHAR"  # type: ignore[union-attr]
            self._notes.append(f"column {self._columns[place]} is read as {now}: not all of its values are {was}")
        self._forms |= better
        return bool(wrong)

    def failed_value(self, error: duckdb.Error) -> tuple[int, Form, str] | None:
        """Return the column's place, its form and the value that a query failed of, if it did."""
        _, found, rest = str(error).partition(_MARKER)
        if not found:
            return None
        place, _, value = rest.partition(":")
        return int(place), self._form(int(place)), value

    def _form(self, place: int) -> Form:
        form = self._forms[place]
        assert form is not None
        return form

    def _quoted(self, place: int) -> str:
        return quote_identifier(self._columns[place])

    def _guarded(self, place: int, form: Form) -> str:
        c, v = f"c{place}", f"v{place}"
        # `IS TRUE`: a check that is NULL, because there is no value, is one that failed.
        return (
            f"CASE WHEN {c} IS NULL THEN NULL WHEN ({form.check_of(c, v)}) IS TRUE THEN {v} "
            f"ELSE error('{_MARKER}{place}:' || left({c}, 200)) END AS {self._quoted(place)}"
        )

    def _check(self, source: str, pairs: Sequence[tuple[int, Form]]) -> list[bool]:
        """Return for each column and form whether all of the column's values in a source fit."""
        tests = []
        for place, form in pairs:
            c = self._quoted(place)
            check = form.check_of(c, f"({form.value_of(c)})")
            tests.append(f"coalesce(bool_and(({check}) IS TRUE) FILTER ({c} IS NOT NULL), true)")
        return [bool(one) for one in self._aggregates(source, tests)]

    def _aggregates(self, source: str, expressions: Sequence[str]) -> list[object]:
        found: list[object] = []
        for start in range(0, len(expressions), _COLUMNS_AT_ONCE):
            some = ", ".join(expressions[start : start + _COLUMNS_AT_ONCE])
            row = self._connection.execute(f"SELECT {some} FROM {source}").fetchone()
            assert row is not None
            found += row
        return found

    def _has_comma(self, sample: str) -> bool:
        """Return whether a column of the sample has numbers with a comma in front of decimals, beyond doubt."""
        places = range(len(self._columns))
        sure = self._aggregates(sample, [f"coalesce(bool_or({surely_comma(self._quoted(n))}), false)" for n in places])
        likely = [n for n in places if sure[n]]
        forms = [(n, form) for n in likely for form in number_forms(0, comma=True)]
        found = any(self._check(sample, forms))
        if found:
            self._notes.append("numbers have a decimal comma; give `decimal` if that is wrong")
        return found

    def _fitting(self, source: str, places: Sequence[int]) -> dict[int, Form | None]:
        """Return the first form that all values in a source fit, None for text, for each of some columns."""
        kept = {place: self._known[key] for place in places if (key := self._columns[place].casefold()) in self._known}
        counts = self._aggregates(source, [f"count({self._quoted(place)})" for place in places])
        empty = {place for place, count in zip(places, counts, strict=True) if not count}
        open_ = [place for place in places if kept.get(place) != "VARCHAR"]
        scales = self._aggregates(
            source, [f"coalesce(max({decimals(self._quoted(n), comma=self._comma)}), 0)" for n in open_]
        )
        candidates: list[tuple[int, Form]] = []
        for place, scale in zip(open_, scales, strict=True):
            forms = known_forms(kept[place], comma=self._comma) if place in kept else []
            if place not in empty:
                forms += [*plain_forms(), *number_forms(int(str(scale)), comma=self._comma)]
            candidates += [(place, form) for form in forms]
        # Most forms do not survive the first rows.
        few = self._check(f"(SELECT * FROM {source} LIMIT {_FEW_ROWS})", candidates)
        candidates = [candidate for candidate, fits in zip(candidates, few, strict=True) if fits]
        found: dict[int, Form | None] = dict.fromkeys(places)
        for (place, form), fits in zip(candidates, self._check(source, candidates), strict=True):
            if fits and found[place] is None:
                found[place] = form
        return found


def type_name(connection: DuckDBPyConnection, column: str, type_: str) -> str:
    """Return a type as DuckDB names it.

    Raises:
        ConfigError: There is no such type.
    """
    try:
        found = connection.execute(f"SELECT typeof(CAST(NULL AS {type_}))").fetchone()
    except duckdb.Error as error:
        raise ConfigError(
            f"types: {column}: {type_} is no type of DuckDB.",
            state="Nothing was read.",
            next_step="Use one such as VARCHAR, BIGINT, DOUBLE, DECIMAL(18,2), DATE, TIMESTAMP or TIMESTAMPTZ.",
        ) from error
    assert found is not None
    return str(found[0])
