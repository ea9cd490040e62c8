"""How a CSV file is written: what is given is taken, the rest is found on its first records."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from blocks.file_formats.csv_lines import Dialect
from blocks.file_formats.opening import Opening
from blocks.file_formats.plain_text import PlainText

_SAMPLE_BYTES = 256 * 1024
_SAMPLE_RECORDS = 500
# In this order if they split the records equally well: a comma may well be in front of decimals.
_DELIMITERS = ("\t", ";", "|", ",")
_NOT_A_NAME = re.compile(r"[-+]?[0-9][0-9.,:/ TZ+-]*|true|false", re.IGNORECASE)


def find_dialect(text: PlainText, opening: Opening) -> Dialect:
    """Return how the records of a file are written."""
    options = opening.options
    delimiters: Sequence[str] = (options.delimiter,) if options.delimiter else _DELIMITERS
    if options.type == "tsv" and not options.delimiter:
        delimiters = ("\t",)
    lines = sample_lines(text, options.skip)
    quotes = _quotes(lines, delimiters) if options.quote is None else (options.quote,)
    best, best_score = Dialect(delimiters[0], quotes[0], quotes[0]), (-1.0, 0.0, 0)
    for quote in quotes:
        escapes = (quote, "\\") if options.escape is None and quote and "\\" + quote in "".join(lines) else (quote,)
        for escape in escapes if options.escape is None else (options.escape,):
            for delimiter in delimiters:
                dialect = Dialect(delimiter, quote, escape)
                score = _score(lines, dialect)
                if score > best_score:
                    best, best_score = dialect, score
    if not options.delimiter and best_score[0] <= 0:
        # Nothing splits the records: a file of one column.
        return Dialect("," if options.type == "csv" else "\t", best.quote, best.escape)
    return best


def _quotes(lines: Sequence[str], delimiters: Sequence[str]) -> tuple[str, ...]:
    """Return the quote of a file: `'` only where fields are within it in several lines, and none is within `"`."""
    start = f"(?:^|{'|'.join(re.escape(delimiter) for delimiter in delimiters)}) *"
    double = any(re.search(start + '"', line) for line in lines)
    single = sum(bool(re.search(f"{start}'[^']*'(?:$|{start[4:]}", line.rstrip("\r\n"))) for line in lines)
    return ("'",) if not double and single * 2 > len(lines) else ('"',)


def sample_lines(text: PlainText, skip: int) -> list[str]:
    """Return the first whole lines of a file, without the skipped ones."""
    with text.open() as file:
        sample = file.read(_SAMPLE_BYTES)
        more = bool(file.read(1))
    lines = list(io.StringIO(sample.decode("utf-8", "ignore"), newline=""))
    return (lines[:-1] if more and len(lines) > 1 else lines)[skip:]


def _score(lines: Sequence[str], dialect: Dialect) -> tuple[float, float, int]:
    """Return how well a dialect splits records: the share that has the usual number of fields, none if that is one."""
    sizes: list[int] = []
    broken = 0
    try:
        records = islice(dialect.reader(dialect.split(line) for line in lines), _SAMPLE_RECORDS)
        sizes.extend(len(fields) for fields in records if fields)
    except csv.Error:
        broken = 1
    if not sizes:
        return (-1.0, 0.0, 0)
    size, often = Counter(sizes).most_common(1)[0]
    quoted = sum(_quoted_fields(line, dialect) for line in lines[:_SAMPLE_RECORDS])
    share = often / len(sizes) - broken * 0.5
    # A record that has other fields than the first line is worse than one that has few.
    return (share * (1 if sizes[0] == size else 0.5) if size > 1 else 0.0, float(-broken), quoted)


def _quoted_fields(line: str, dialect: Dialect) -> int:
    if not dialect.quote:
        return 0
    q, d = dialect.quote, dialect.delimiter
    return line.startswith(q) + line.count(d + q)


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Return whether the first of some records has the columns' names.

    It has if none of its fields is a number, a date or a truth value, and most have a text. A file of text only has a
    header by this rule; where it has none, `header: false` says so.
    """
    if not records:
        return False
    first = records[0]
    named = [field.strip() for field in first if field.strip()]
    return len(named) * 2 > len(first) and not any(_NOT_A_NAME.fullmatch(field) for field in named)


def unique_names(names: Sequence[str], notes: list[str]) -> list[str]:
    """Return names without blanks around them, of which no two are equal whatever their case; the first one stays.

    A column without a name is called by its place, `column_3`; a second `price` is `price_2`.
    """
    given = [name.strip() for name in names]
    taken: set[str] = set()
    kept: list[str] = []
    reserved = {name.casefold() for name in given if name}
    for place, name in enumerate(given, start=1):
        wanted = name or f"column_{place}"
        number = 1
        unique = wanted
        while unique.casefold() in taken or (unique.casefold() in reserved and (number > 1 or not name)):
            number += 1
            unique = f"{wanted}_{number}"
        taken.add(unique.casefold())
        kept.append(unique)
        if not name:
            notes.append(f"column {place} has no name: called {unique}")
        elif unique != name:
            notes.append(f"column {place} is a second {name}: called {unique}")
    return kept
