"""The source's side of a comparison, value by value: keys, and the MD5 of each column's field."""

from pathlib import Path

from blocks.dialects.postgresql.session import Connection, statement
from blocks.dialects.postgresql.snapshot import fence_holds
from blocks.dialects.postgresql.statements import in_scope, older_than_fence, source_value
from blocks.dialects.postgresql.types import field_expression
from schemas.job import Job
from schemas.manifest import Manifest


def write_fields(connection: Connection, job: Job, manifest: Manifest, target: Path) -> None:
    """Write the keys of the source's unchanged rows, and an MD5 of each column's field, as CSV."""
    values = [source_value(column) for column in manifest.columns]
    keys = [column for name in manifest.key for column in manifest.columns if column.name == name]
    texts = [f"({source_value(column)})::text AS k{i}" for i, column in enumerate(keys)]
    fields = [
        f"md5({field_expression(column, f'({value})', utf8=job.table.utf8)}) AS f{i}"
        for i, (column, value) in enumerate(zip(manifest.columns, values, strict=True))
    ]
    predicate = in_scope(job, manifest.window, manifest.where)
    snapshot = manifest.attestation.snapshot
    if fence_holds(connection, snapshot) and snapshot.xmin is not None:
        predicate += f" AND {older_than_fence(job.table.quoted, snapshot.xmin)}"
    query = f"SELECT {', '.join([*texts, *fields])} FROM {job.table.quoted} WHERE {predicate}"
    with (
        target.open("wb") as file,
        connection.cursor().copy(statement(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)")) as copy,
    ):
        for chunk in copy:
            file.write(chunk)
