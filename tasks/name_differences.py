"""Says which rows, and which of their columns, differ between the source and the lake when digests do not agree.

Only for the error of a failed proof: it reads the window again. Values are compared and never shown.
"""

from pathlib import Path
from uuid import uuid4

from blocks.dialects.postgresql.session import Connection, session, statement, translated
from blocks.dialects.postgresql.snapshot import fence_holds
from blocks.dialects.postgresql.statements import in_window, older_than_fence, source_value
from blocks.dialects.postgresql.types import field_expression, restore_expression
from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.source_url import source_url
from schemas.column_plan import Column, canonical_field
from schemas.job import Job

EXAMPLES = 5


def name_differences(job: Job, lake: Lake, generation: Generation, scratch: Path) -> tuple[str, ...]:
    """Return up to five rows of the generation that the source holds with other values, as `key (columns)`.

    Rows that have changed in the source since the export are no evidence against the lake; they are left out as
    far as the snapshot fence can tell.
    """
    manifest = generation.manifest
    keys = [column for name in manifest.key for column in manifest.columns if column.name == name]
    if not keys:
        return ()
    url = source_url(job.config_dir, job.archive.source)
    fields = scratch / f"fields-{uuid4().hex}.csv"
    with session(url) as connection, translated(url):
        _copy_fields(connection, job, generation, keys, fields)
    files = read_files([str(lake.fetch(path, scratch)) for path in generation.files])
    names = [f"k{i}" for i in range(len(keys))]
    lake_keys = [f"{restore_expression(column)} AS {name}" for name, column in zip(names, keys, strict=True)]
    lake_fields = [f"md5({canonical_field(column)}) AS f{i}" for i, column in enumerate(manifest.columns)]
    differing = [
        f"CASE WHEN l.f{i} <> s.f{i} THEN {text_literal(column.name)} END" for i, column in enumerate(manifest.columns)
    ]
    key = ", ".join(f"l.{name}" for name in names)
    with duck(job.settings) as connection_to_lake:
        rows = connection_to_lake.execute(
            f"SELECT concat_ws(', ', {key}), concat_ws(', ', {', '.join(differing)}) AS columns "
            f"FROM (SELECT {', '.join([*lake_keys, *lake_fields])} FROM {files}) AS l "
            f"JOIN read_csv({text_literal(str(fields))}, header = true, all_varchar = true) AS s "
            f"USING ({', '.join(names)}) WHERE columns <> '' ORDER BY ALL LIMIT {EXAMPLES}"
        ).fetchall()
    fields.unlink()
    return tuple(f"{row[0]} ({row[1]})" for row in rows)


def _copy_fields(connection: Connection, job: Job, generation: Generation, keys: list[Column], target: Path) -> None:
    """Write the keys of the source's unchanged rows, and an MD5 of each column's field, as CSV."""
    manifest = generation.manifest
    values = [source_value(column) for column in manifest.columns]
    texts = [f"({source_value(column)})::text AS k{i}" for i, column in enumerate(keys)]
    fields = [
        f"md5({field_expression(column, f'({value})', utf8=job.table.utf8)}) AS f{i}"
        for i, (column, value) in enumerate(zip(manifest.columns, values, strict=True))
    ]
    predicate = in_window(job.time, manifest.window, manifest.where)
    if fence_holds(connection, manifest.attestation.snapshot):
        predicate += f" AND {older_than_fence(manifest.attestation.snapshot.xmin)}"
    query = f"SELECT {', '.join([*texts, *fields])} FROM {job.table.quoted} WHERE {predicate}"
    with (
        target.open("wb") as file,
        connection.cursor().copy(statement(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)")) as copy,
    ):
        for chunk in copy:
            file.write(chunk)
