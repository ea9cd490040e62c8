"""Hive partitioning: which key a row belongs to, and how its value is written in a path.

A derived key (`year`, `month`, `day`, `hour`) comes from the time column in the configured time zone. A key that
is a column of the table stays in the file as well: readers that know nothing of the path still get the column,
with its own type, and NULL, empty and hostile values come back as they were.
"""

from urllib.parse import quote

from schemas.column_plan import PARTITIONABLE, TIME_KINDS, Column, Kind
from schemas.errors import ConfigError, UnsupportedValue

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
DERIVED_KEYS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}
LONGEST_PART_BYTES = 255


def check_partition_keys(partition_by: tuple[str, ...], columns: tuple[Column, ...], time: Column) -> None:
    """Refuse partition keys that cannot be written or would hide a column.

    Raises:
        ConfigError: It names the key and what would be right.
    """
    by_name = {column.name: column for column in columns}
    folded = {column.name.casefold(): column.name for column in columns}
    for key in partition_by:
        column = by_name.get(key)
        if key in DERIVED_KEYS and key.casefold() in folded:
            raise ConfigError(
                f"partition_by: {key!r} is a part of {time.name} and also the column {folded[key.casefold()]!r}; "
                "readers would take one for the other.",
                next_step=f"Leave {key!r} out of partition_by, or exclude the column (columns.exclude).",
            )
        if key == "hour" and time.kind is Kind.DATE:
            raise ConfigError(
                f"partition_by: {time.name} is a date and has no hour.", next_step="Take 'hour' out of partition_by."
            )
        if key not in DERIVED_KEYS and column is None:
            raise ConfigError(
                f"partition_by: there is no column {key!r}.",
                next_step=f"Use {', '.join(DERIVED_KEYS)} or one of: {', '.join(by_name)}.",
            )
        if column is not None and (column.kind not in PARTITIONABLE or column.name == time.name):
            allowed = "text, integers, booleans and dates"
            hint = f"; for the time column use {', '.join(DERIVED_KEYS)}" if column.kind in TIME_KINDS else ""
            raise ConfigError(
                f"partition_by: {key!r} ({column.source_type}) cannot name a folder; only {allowed} can{hint}.",
                next_step=f"Take {key!r} out of partition_by.",
            )


def partition_path(partition: dict[str, str | None]) -> str:
    """Return the folders of a partition: `carrier=UA/year=2013/month=01`.

    Raises:
        UnsupportedValue: A value is too long for the name of a folder.
    """
    parts = []
    for key, value in partition.items():
        part = f"{quote(key, safe='')}={_escaped(value)}"
        if len(part) > LONGEST_PART_BYTES:
            raise UnsupportedValue(
                f"partition_by: the value {value!r:.60}… of {key!r} is too long for the name of a folder.",
                state="Nothing of this window was committed or deleted.",
                next_step=f"Take {key!r} out of partition_by.",
            )
        parts.append(part)
    return "/".join(parts)


def _escaped(value: str | None) -> str:
    if value is None:
        return NULL_PARTITION
    if value == NULL_PARTITION:
        return "%5F" + value[1:]
    return quote(value, safe=" ").replace(".", "%2E") if value in {".", ".."} else quote(value, safe=" ")
