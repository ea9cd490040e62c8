"""Opens a file of any format that Tidegate reads. A new format is one file, and a line in `_READERS`."""

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import cast
from uuid import uuid4

from duckdb import DuckDBPyConnection

from blocks.file_formats.decompress import compression_of, decompress
from blocks.file_formats.opening import Opening, bad_file, in_order
from blocks.file_formats.records import Records
from schemas.sources.file_format import Compression, FileFormat, FormatName

_READERS: dict[FormatName, str] = {
    "csv": "blocks.file_formats.csv_file:open_records",
    "tsv": "blocks.file_formats.csv_file:open_records",
    "json": "blocks.file_formats.json_file:open_records",
    "jsonl": "blocks.file_formats.json_file:open_records",
    "parquet": "blocks.file_formats.parquet_file:open_records",
    "xml": "blocks.file_formats.xml_file:open_records",
    "xlsx": "blocks.file_formats.xlsx_file:open_records",
    "fixed": "blocks.file_formats.fixed_file:open_records",
}
_SUFFIXES: dict[str, FormatName] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xml": "xml",
    ".xlsx": "xlsx",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_NONE: Mapping[str, str] = MappingProxyType({})
_PATTERN = re.compile(r"[*?[]")


def open_file(
    connection: DuckDBPyConnection,
    local: Path,
    name: str,
    options: FileFormat,
    scratch: Path,
    *,
    types: Mapping[str, str] = _NONE,
    known: Mapping[str, str] = _NONE,
) -> Records:
    """Open a file and find out its columns and their types. It is never written to.

    Args:
        connection: Where the records' query will run.
        local: The file on this disk.
        name: Its name at its place: the format is told from it unless `options` give it, and errors name it.
        options: How to read it; what is not given is found out.
        scratch: A folder for what has to be unpacked or rewritten; the caller removes it after the query.
        types: DuckDB types that the configuration demands, by column.
        known: DuckDB types of the table's columns so far: a column keeps its type if all values fit.

    Raises:
        BadFile: The file is not what it should be; its line, row or place is named.
        ConfigError: A demanded type does not exist.
        LakeError: The disk has no room for what has to be unpacked.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    by_name = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    compression = options.compression or by_name or compression_of(local)
    if not local.stat().st_size:
        raise bad_file(name, "is empty: it has 0 bytes.", "Ask for the file again.")
    format_name = options.type or _format_of(name, suffixes[:-1] if by_name else suffixes, options)
    if misfits := options.misfits(format_name):
        raise bad_file(
            name, f"is read as {format_name} by its name, which has no {', '.join(misfits)}: that is for other formats."
        )
    path = local
    if compression == "none" and _PATTERN.search(str(local)):
        # DuckDB would take `orders[1].csv` for a pattern, and read `orders1.csv`.
        path = scratch / uuid4().hex
        path.symlink_to(local.absolute())
    if compression != "none":
        path = decompress(local, name, compression, options, scratch)
        if not path.stat().st_size:
            raise bad_file(name, "is empty: nothing is compressed in it.", "Ask for the file again.")
    module, _, function = _READERS[format_name].partition(":")
    reader = cast(Callable[[Opening], Records], getattr(import_module(module), function))
    settled = options.model_copy(update={"type": format_name})
    with in_order(connection):
        return reader(Opening(connection, path, name, settled, scratch, types, known))


def _format_of(name: str, suffixes: list[str], options: FileFormat) -> FormatName:
    found = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if found is not None:
        return found
    if options.fields:
        return "fixed"
    raise bad_file(
        name,
        "its format cannot be told from its name.",
        f"Give `type` in the table's `format`: {', '.join(_READERS)} (fixed needs `fields`, too).",
    )
