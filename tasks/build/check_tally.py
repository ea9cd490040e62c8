"""What a check has found so far, and the rows that are to be put aside for it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.duck import read_files
from schemas.column_plan import Column, quote_identifier
from schemas.pipelines.checks import Check, FitsModel, NotNull
from schemas.pipelines.quality_check import STATES, QualityCheck
from schemas.run_record import CheckResult
from tasks.build.check_judge import Verdict
from tasks.build.check_rules import ROW_NUMBER

EXAMPLES = 5
EXAMPLE_LENGTH = 80
SHOWN_COLUMNS = 3
BAD_ROWS = pa.schema([("file", pa.string()), (ROW_NUMBER, pa.int64()), ("reason", pa.string())])


@dataclass
class Tally:
    """What a check has found so far.

    Attributes:
        check: The check.
        shown: The columns whose values are examples of what is wrong, the most telling first.
        failed: Rows that are wrong.
        first: File and place in it of the first of them.
        rules: Of a model: how many rows failed which rule.
        whole: What is wrong with the table as a whole, so that no single row can be told.
    """

    check: Check
    shown: list[str]
    checked: int = 0
    failed: int = 0
    first: list[tuple[int, int]] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    whole: str = ""

    @property
    def action(self) -> str:
        """What is to be done: rows of a table that is wrong as a whole cannot be put aside."""
        action = self.check.action
        return "refuse" if self.whole and action == "quarantine" else action

    def take(self, verdicts: Sequence[Verdict], file: int, rows: pl.Series) -> list[tuple[str, pl.Series]]:
        """Count what is wrong in a part of the rows, and return it with the reason in words.

        Args:
            verdicts: What Pandera found wrong in it.
            file: Number of the file.
            rows: The places of the rows in their file.
        """
        self.checked += len(rows)
        wrong = pl.repeat(False, len(rows), dtype=pl.Boolean, eager=True)
        reasons = []
        for verdict in verdicts:
            rule = f"{verdict.column}: {verdict.rule}" if isinstance(self.check, FitsModel) and verdict.column else ""
            if verdict.wrong is None:
                self.whole = self.whole or f"{rule}: {verdict.message}".removeprefix(": ")
                wrong = pl.repeat(True, len(rows), dtype=pl.Boolean, eager=True)
                continue
            wrong = wrong | verdict.wrong
            if rule:
                self.rules[rule] += int(verdict.wrong.sum())
            reasons.append((f"{self.check.words}: {rule}" if rule else self.check.words, verdict.wrong))
        count = int(wrong.sum())
        if count:
            self.failed += count
            first = rows.filter(wrong).bottom_k(EXAMPLES).to_list()
            self.first = sorted([*self.first, *((file, place) for place in first)])[:EXAMPLES]
        return reasons

    def result(self, connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> CheckResult:
        """Return the result, with examples."""
        action = self.action
        return CheckResult(
            check=self.check.words,
            severity=self.check.severity,
            state="passed" if not self.failed else STATES[action],  # type: ignore[index]
            checked=self.checked,
            failed=self.failed,
            examples=tuple(self._examples(connection, files)),
            message=self._message(),
        )

    def _message(self) -> str:
        if not self.failed:
            return ""
        if self.whole:
            return self.whole
        rules = "; ".join(f"{rule}: {count:,}" for rule, count in sorted(self.rules.items()))
        return f"{self.failed:,} of {self.checked:,} rows are wrong" + (f": {rules}" if rules else "")

    def _examples(self, connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[str]:
        names, found = self.shown, []
        values = ", ".join(f"left(CAST({quote_identifier(name)} AS VARCHAR), {EXAMPLE_LENGTH + 1})" for name in names)
        for number in sorted({file for file, _ in self.first}):
            places = ", ".join(str(place) for file, place in self.first if file == number)
            for row in connection.execute(
                f"SELECT {values} FROM {read_files([str(files[number])])} "
                f"WHERE {ROW_NUMBER} IN ({places}) ORDER BY {ROW_NUMBER}"
            ).fetchall():
                texts = [_cut(value) for value in row]
                found.append(texts[0] if len(names) == 1 else ", ".join(map("=".join, zip(names, texts, strict=True))))
        return found


def shown_columns(check: QualityCheck, columns: Sequence[Column], looked_at: Sequence[str] = ()) -> list[str]:
    """Return the columns that show what is wrong: those that the check looks at, or the first ones of the table.

    A NULL by itself shows nothing, so the first columns are shown beside it.
    """
    known = {column.name.casefold(): column.name for column in columns}
    named = [known[name.casefold()] for name in (*check.named_columns, *looked_at) if name.casefold() in known]
    if named and not isinstance(check, NotNull):
        return list(dict.fromkeys(named))
    first = [column.name for column in columns]
    return list(dict.fromkeys([*named, *first]))[: max(SHOWN_COLUMNS, len(named))]


def one_thing(check: Check, problem: str | None) -> CheckResult:
    """Return the result of a check of the table as a whole, which is one thing and right or wrong."""
    return CheckResult(
        check=check.words,
        severity=check.severity,
        state="passed" if problem is None else STATES[check.action],
        checked=1,
        failed=0 if problem is None else 1,
        message=problem or "",
    )


class BadRows:
    """Collects the rows that are to be put aside, each with all of its reasons."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{uuid4().hex}.parquet"
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def add(self, file: Path, rows: pl.Series, reasons: Sequence[tuple[str, pl.Series]]) -> None:
        """Add the rows of a file for which there is a reason."""
        if not reasons:
            return
        # One column for each reason: the same words may come twice, of a check that has two rules.
        words: dict[str, pl.Series] = {}
        for reason, wrong in reasons:
            words[reason] = words[reason] | wrong if reason in words else wrong
        frame = pl.DataFrame({"place": rows, **{f"reason{n}": wrong for n, wrong in enumerate(words.values())}})
        found = frame.filter(pl.any_horizontal(pl.exclude("place"))).select(
            pl.lit(str(file)).alias("file"),
            pl.col("place").alias(ROW_NUMBER),
            pl.concat_str(
                [pl.when(f"reason{n}").then(pl.lit(reason)) for n, reason in enumerate(words)],
                separator="; ",
                ignore_nulls=True,
            ).alias("reason"),
        )
        if found.height:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, BAD_ROWS, compression="zstd")
            self._writer.write_table(found.to_arrow().cast(BAD_ROWS))
            self.rows += found.height

    def finish(self) -> Path | None:
        """Return the finished file, if there is one."""
        if self._writer is None:
            return None
        self._writer.close()
        return self._path


def _cut(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= EXAMPLE_LENGTH else value[:EXAMPLE_LENGTH] + "…"


def by_rule(verdicts: Sequence[Verdict]) -> Mapping[int, list[Verdict]]:
    """Return the verdicts of a schema of `tasks.build.check_judge.schema_of` by the number of their check."""
    found: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(int(verdict.rule), []).append(verdict)
    return found
