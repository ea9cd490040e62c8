"""Says which rows, and which of their columns, differ between the source and the lake when digests do not agree.

Only for the error of a failed proof: it reads the window again. Values are compared and never shown.
"""

from pathlib import Path
from uuid import uuid4

from blocks.duck import duck, read_files, text_literal
from blocks.lake import Lake
from blocks.ledger import Generation
from blocks.open_source import source_of
from schemas.column_plan import canonical_field, exchange_text
from schemas.job import Job

EXAMPLES = 5


def name_differences(job: Job, lake: Lake, generation: Generation, scratch: Path) -> tuple[str, ...]:
    """Return up to five rows of the generation that the source holds with other values, as `key (columns)`.

    Rows that have changed in the source since the export are no evidence against the lake; they are left out as
    far as the source can tell.
    """
    manifest = generation.manifest
    keys = [column for name in manifest.key for column in manifest.columns if column.name == name]
    if not keys:
        return ()
    fields = scratch / f"fields-{uuid4().hex}.csv"
    with source_of(job).session() as source:
        source.write_fields(job, manifest, fields)
    files = read_files([str(lake.fetch(path, scratch)) for path in generation.files])
    names = [f"k{i}" for i in range(len(keys))]
    lake_keys = [f"{exchange_text(column)} AS {name}" for name, column in zip(names, keys, strict=True)]
    lake_fields = [f"md5({canonical_field(column)}) AS f{i}" for i, column in enumerate(manifest.columns)]
    differing = [
        f"CASE WHEN l.f{i} <> s.f{i} THEN {text_literal(column.name)} END" for i, column in enumerate(manifest.columns)
    ]
    key = ", ".join(f"l.{name}" for name in names)
    with duck(job.settings) as connection:
        rows = connection.execute(
            f"SELECT concat_ws(', ', {key}), concat_ws(', ', {', '.join(differing)}) AS columns "
            f"FROM (SELECT {', '.join([*lake_keys, *lake_fields])} FROM {files}) AS l "
            f"JOIN read_csv({text_literal(str(fields))}, header = true, all_varchar = true) AS s "
            f"USING ({', '.join(names)}) WHERE columns <> '' ORDER BY ALL LIMIT {EXAMPLES}"
        ).fetchall()
    fields.unlink()
    return tuple(f"{row[0]} ({row[1]})" for row in rows)
