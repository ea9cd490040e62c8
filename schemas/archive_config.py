"""What to archive, prove and purge: one entry of `archives.yaml`."""

from collections import Counter
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from schemas.archive_options import (
    FILE_MAX_BYTES,
    FILE_MAX_ROWS,
    ChildOptions,
    ColumnOptions,
    Columns,
    DurationField,
    Gate,
    Moment,
    OnGateFailure,
    Proof,
    PurgeOptions,
    TableField,
    safe_folder,
)
from schemas.config_model import ConfigModel, Name, Text, WholeNumber
from schemas.config_problems import config_error, problems_of
from schemas.duration import Duration
from schemas.hold import Hold
from schemas.table_name import TableName
from schemas.window import WindowUnit


class Archive(ConfigModel):
    """One table's way into the lake.

    The order of the fields matters: a check may look at the fields above its own.
    """

    name: Name
    source: Text
    table: TableField
    key: Annotated[Columns, Field(min_length=1)] | None = None
    time_column: Text
    window: WindowUnit = WindowUnit.MONTH
    partition_by: Annotated[tuple[Text, ...], Field(min_length=1)] = ("year", "month")
    where: Text | None = None
    columns: ColumnOptions = ColumnOptions()
    folder: str | None = Field(default=None, validate_default=True)
    older_than: DurationField | None = None
    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None
    proof: Proof = "rows"
    gate: Gate | None = None
    on_gate_failure: OnGateFailure = "refuse"
    purge: PurgeOptions = PurgeOptions()
    approve: bool = False
    children: tuple[ChildOptions, ...] = ()
    retention: DurationField | None = None
    holds: tuple[Hold, ...] = ()
    file_max_bytes: Annotated[WholeNumber, Field(ge=1)] = FILE_MAX_BYTES
    file_max_rows: Annotated[WholeNumber, Field(ge=1)] = FILE_MAX_ROWS

    @property
    def resolved_folder(self) -> str:
        """The archive's folder in the lake: `folder`, or else the table's name."""
        return self.folder or self.table.name

    @property
    def family(self) -> "tuple[Archive, ...]":
        """This archive, and one for each of its children: what the lake holds of them is asked for by its folder."""
        children = (
            self.model_copy(
                update={
                    "table": c.table,
                    "key": c.key,
                    "columns": c.columns,
                    "folder": c.resolved_folder,
                    "children": (),
                }
            )
            for c in self.children
        )
        return (self, *children)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders in the lake of the archive and of its children."""
        return (self.resolved_folder, *(child.resolved_folder for child in self.children))

    def with_overrides(
        self,
        *,
        from_: datetime | date | str | None = None,
        to: datetime | date | str | None = None,
        older_than: Duration | str | None = None,
        purge: bool | None = None,
    ) -> Self:
        """Return this archive with what a run asks for, checked like the configuration; None leaves a value as it is.

        `to` takes the place of a configured `older_than`, and the other way round.

        Raises:
            ConfigError: The values contradict each other or cannot be read.
        """
        values: dict[str, object] = {field: getattr(self, field) for field in type(self).model_fields}
        if to is not None or older_than is not None:
            values |= {"to": to, "older_than": older_than}
        if from_ is not None:
            values["from_"] = from_
        if purge is not None:
            mode = "none" if not purge else "delete" if self.purge.mode == "none" else self.purge.mode
            values["purge"] = self.purge.model_copy(update={"mode": mode})
        try:
            return type(self).model_validate(values)
        except ValidationError as error:
            lines = problems_of(error, type(self), {}, f"archive {self.name}")
        raise config_error("The run's options do not fit", lines, next_step="Correct the options and run it again.")

    @model_validator(mode="before")
    @classmethod
    def _partitions_are_windows(cls, values: object) -> object:
        """Without a word about windows, what drops partitions works partition by partition."""
        if not isinstance(values, dict) or "window" in values or not isinstance(values.get("purge"), dict):
            return values
        drops = values["purge"].get("mode") == "drop_partition"
        return {**values, "window": WindowUnit.PARTITION} if drops else values

    @field_validator("partition_by")
    @classmethod
    def _partition_keys_are_distinct(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        # DuckDB does not tell `Year` from `year`, and neither do some file systems.
        twice = [key for key, count in Counter(key.casefold() for key in keys).items() if count > 1]
        if twice:
            raise ValueError(f"must not name a key twice: {', '.join(twice)}")
        return keys

    @field_validator("columns")
    @classmethod
    def _needed_columns_are_kept(cls, columns: ColumnOptions, info: ValidationInfo) -> ColumnOptions:
        key, time_column = info.data.get("key") or (), info.data.get("time_column")
        needed = {*key, time_column, *info.data.get("partition_by", ())}
        excluded = [column for column in columns.exclude if column in needed]
        if excluded:
            raise ValueError(f"must not exclude what the key, time_column or partition_by need: {', '.join(excluded)}")
        as_text = [name for name in columns.as_text if name in {time_column, *columns.exclude, *columns.derive}]
        if as_text:
            raise ValueError(
                f"must not name under as_text what is the time_column, excluded or derived: {', '.join(as_text)}"
            )
        hidden = [column for column in columns.derive if column in {*key, time_column}]
        if hidden:
            raise ValueError(f"must not derive a column over the key or time_column: {', '.join(hidden)}")
        return columns

    @field_validator("folder")
    @classmethod
    def _folder_is_safe(cls, folder: str | None, info: ValidationInfo) -> str | None:
        if folder is not None:
            return safe_folder(folder)
        table = info.data.get("table")
        if isinstance(table, TableName):
            try:
                # A slash in a table's name would make folders that nobody asked for.
                safe_folder(table.name.replace("/", "?"))
            except ValueError as error:
                raise ValueError(f"must be given, because the table's name is no folder's name; it {error}") from error
        return None

    @field_validator("to")
    @classmethod
    def _to_ends_the_scope(cls, to: datetime | None, info: ValidationInfo) -> datetime | None:
        if to is None:
            return None
        if info.data.get("older_than") is not None:
            raise ValueError("must not be given together with older_than; they say the same thing")
        start = info.data.get("from_")
        if start is not None and (start.utcoffset() is None) != (to.utcoffset() is None):
            raise ValueError("must have a UTC offset if from has one, and none if it has none")
        if start is not None and to <= start:
            raise ValueError(f"must be after from ({start.isoformat()})")
        return to

    @field_validator("retention")
    @classmethod
    def _retention_leaves_time(cls, retention: Duration | None, info: ValidationInfo) -> Duration | None:
        older_than = info.data.get("older_than")
        now = datetime(2001, 1, 1)
        if retention is not None and older_than is not None and retention.before(now) >= older_than.before(now):
            raise ValueError(f"must be longer than older_than ({older_than}), or what is archived is expired at once")
        return retention

    @field_validator("holds")
    @classmethod
    def _holds_have_names_of_their_own(cls, holds: tuple[Hold, ...]) -> tuple[Hold, ...]:
        twice = [name for name, count in Counter(hold.name for hold in holds).items() if count > 1]
        if twice:
            raise ValueError(f"must not have two holds of one name: {', '.join(twice)}")
        return holds

    @field_validator("on_gate_failure")
    @classmethod
    def _quarantine_needs_a_gate(cls, choice: OnGateFailure, info: ValidationInfo) -> OnGateFailure:
        if choice == "quarantine" and info.data.get("gate", "") is None:
            raise ValueError("must be refuse as long as there is no gate")
        return choice

    @field_validator("children")
    @classmethod
    def _a_family_is_whole(cls, children: tuple[ChildOptions, ...], info: ValidationInfo) -> tuple[ChildOptions, ...]:
        if not children:
            return children
        table = info.data.get("table")
        folders = [info.data.get("folder") or (table.name if isinstance(table, TableName) else "")]
        folders += [child.resolved_folder for child in children]
        twice = [folder for folder, count in Counter(folders).items() if count > 1]
        if twice:
            raise ValueError(f"must lie in folders of their own, not twice in {', '.join(twice)}; give `folder`")
        others = [key for key in info.data.get("partition_by", ()) if key not in {"year", "month", "day", "hour"}]
        if others:
            raise ValueError(f"have no column {', '.join(others)}: partition_by must be of year, month, day and hour")
        if info.data.get("gate") is not None:
            raise ValueError("must be archived without a gate, which would part them from what they belong to")
        purge = info.data.get("purge")
        if isinstance(purge, PurgeOptions) and purge.mode == "drop_partition":
            raise ValueError("need purge.mode delete: a partition can be dropped only alone")
        if info.data.get("proof") == "counts":
            raise ValueError("need proof: rows, as their rows are deleted by their digests")
        return children

    @field_validator("purge")
    @classmethod
    def _partitions_are_whole(cls, purge: PurgeOptions, info: ValidationInfo) -> PurgeOptions:
        if purge.mode != "drop_partition":
            return purge
        if info.data.get("window") not in (None, WindowUnit.PARTITION):
            raise ValueError("mode drop_partition needs `window: partition`, which is what it is without a window")
        if info.data.get("where") is not None:
            raise ValueError("mode drop_partition drops all rows of a partition, so there must be no `where`")
        return purge

    @field_validator("purge")
    @classmethod
    def _lost_columns_are_named(cls, purge: PurgeOptions, info: ValidationInfo) -> PurgeOptions:
        if "columns" not in info.data:
            return purge
        excluded = info.data["columns"].exclude
        kept = [column for column in purge.discard_columns if column not in excluded]
        if kept:
            raise ValueError(f"discard_columns must name columns under columns.exclude only, not {', '.join(kept)}")
        lost = [column for column in excluded if column not in purge.discard_columns]
        if purge.mode != "none" and lost:
            raise ValueError(
                f"would lose the values of {', '.join(lost)}, which columns.exclude leaves out of the lake;"
                " name them under purge.discard_columns if that is meant"
            )
        return purge
