"""Changes in committed Parquet files, with a manifest that is re-signed to match: only the digest can tell."""

import hashlib
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, localcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.ledger import Generation
from schemas.manifest import Manifest

# Types of which a value is changed as the integer that stands for it.
_INTEGERS = {
    pa.int16(): pa.int16(),
    pa.int32(): pa.int32(),
    pa.int64(): pa.int64(),
    pa.float32(): pa.int32(),
    pa.float64(): pa.int64(),
    pa.date32(): pa.int32(),
    pa.time64("us"): pa.int64(),
    pa.timestamp("us"): pa.int64(),
    pa.timestamp("us", tz="UTC"): pa.int64(),
}


def forged(generation: Generation, file: Path, rows: pa.Table) -> Generation:
    """Write other rows into a generation's only file, and return the generation with all but the digests made to fit.

    Size, SHA-256 and row counts are those of the new content.
    """
    pq.write_table(rows, file, compression="zstd")
    content = file.read_bytes()
    (data_file,) = generation.manifest.files
    told = {"rows": rows.num_rows, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    attestation = generation.manifest.attestation.model_copy(update={"rows": rows.num_rows})
    manifest = generation.manifest.model_copy(
        update={"files": (data_file.model_copy(update=told),), "attestation": attestation}
    )
    return Generation(Manifest.from_bytes(manifest.to_bytes(), manifest.path))


def changes(rows: pa.Table, column: str, other: str, row: int, another: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield what may be done to one row: each change by its name, with the table that has it.

    Args:
        rows: The table; it has a NULL in `column` somewhere.
        column: The column that is changed.
        other: Another column of the same type.
        row: A row with a value in `column`.
        another: A row with another value in `column`.
    """
    values = rows[column].combine_chunks()
    for name, value in _neighbours(values.slice(row, 1)):
        yield name, _with(rows, column, row, value)
    missing = values.is_null().index(True).as_py()
    yield "NULL", _with(rows, column, row, pa.nulls(1, values.type))
    yield "NULL became a zero", _with(rows, column, missing, _zero(values.type))
    yield "NULL became another row's value", _with(rows, column, missing, values.slice(row, 1))
    yield "another row's value", _with(rows, column, row, values.slice(another, 1))
    swapped = _with(_with(rows, column, row, values.slice(another, 1)), column, another, values.slice(row, 1))
    yield "values of two rows swapped", swapped
    others = rows[other].combine_chunks()
    exchanged = _with(_with(rows, column, row, others.slice(row, 1)), other, row, values.slice(row, 1))
    yield "values of two columns swapped", exchanged
    rest = pa.concat_tables([rows.slice(0, row), rows.slice(row + 1)])
    yield "dropped", rest
    yield "duplicated", pa.concat_tables([rows, rows.slice(row, 1)])
    yield "replaced by a copy of another row", pa.concat_tables([rest, rows.slice(another, 1)])
    yield "given three times", pa.concat_tables([rows, rows.slice(row, 1), rows.slice(row, 1)])


def same_bits(rows: pa.Table, others: pa.Table) -> bool:
    """Return whether two tables hold the same bits in the same order; NaNs count as one value, -0.0 is not 0.0."""
    return all(_bits(a).equals(_bits(b)) for a, b in zip(rows.columns, others.columns, strict=True))


def _bits(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks()
    if not pa.types.is_floating(values.type):
        return values
    nan = pa.compute.is_nan(values)
    return pa.compute.if_else(nan, pa.scalar(-1, _INTEGERS[values.type]), values.view(_INTEGERS[values.type]))


def _neighbours(value: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Yield the smallest changes of a value, as arrays of one."""
    if value.type in _INTEGERS:
        number = value.view(_INTEGERS[value.type])[0].as_py()
        least = number - 1 if number > 0 else number + 1
        yield "least bit", pa.array([least], _INTEGERS[value.type]).view(value.type)
        if pa.types.is_floating(value.type):
            yield "sign", pa.compute.negate(value)
    elif pa.types.is_decimal(value.type):
        unit = Decimal(1).scaleb(-value.type.scale)
        number = value[0].as_py()
        with localcontext(prec=60):  # Python rounds to 28 digits otherwise, negation included
            least = number - unit if number > 0 else number + unit
        yield "last digit", pa.array([least], value.type)
        yield "sign", pa.array([number.copy_negate()], value.type)
    elif pa.types.is_boolean(value.type):
        yield "flip", pa.compute.invert(value)
    elif pa.types.is_large_binary(value.type):
        content = value[0].as_py()
        changed = {"trim": content[:-1], "a zero byte more": content + b"\0", "bit": bytes(b ^ 1 for b in content[:1])}
        yield from ((name, pa.array([text], value.type)) for name, text in changed.items())
    else:
        yield from ((name, pa.array([text], value.type)) for name, text in _respelled(value[0].as_py()).items())


def _respelled(text: str) -> dict[str, str]:
    return {
        "trim": text.rstrip(),
        "cut": text[:-1],
        "blank": f"{text} ",
        "case": text.swapcase(),
        "composed": unicodedata.normalize("NFC", text),
        "decomposed": unicodedata.normalize("NFD", text),
        "zeros": text.replace("0", "", 1),
        "field separator": f"{text},0:",
    }


def _zero(kind: pa.DataType) -> pa.Array:
    if kind in _INTEGERS:
        return pa.array([0], _INTEGERS[kind]).view(kind)
    empty = {pa.string(): "", pa.large_binary(): b"", pa.bool_(): False}
    return pa.array([empty.get(kind, 0)], kind)


def _with(rows: pa.Table, column: str, row: int, value: pa.Array) -> pa.Table:
    values = rows[column].combine_chunks()
    changed = pa.concat_arrays([values.slice(0, row), value, values.slice(row + 1)])
    return rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), changed)
