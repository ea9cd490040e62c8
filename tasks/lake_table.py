"""A dataset of the lake as a class: typed rows, found and filtered by columns, and removed by whole partitions.

class ArchivedFlights(LakeTable):
    dataset = "flights"
    model = Flights  # a Pandera model for Polars

flights = ArchivedFlights.at("./lake")
flights.where(carrier="UA", year=2013, limit=100)  # a Polars DataFrame with the model's types
flights.find(4711, year=2013)                      # one record, or None
flights.destroy_all(carrier="UA", year=2013)       # the files are gone, and the audit knows it
"""

from collections.abc import Mapping, Sequence
from dataclasses import make_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import uuid4

from blocks.duck import duck
from blocks.lake import Lake
from blocks.ledger import Ledger, datasets
from blocks.open_lake import open_lake
from schemas.config import Settings
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.manifest import Removal
from schemas.project import Project
from tasks.current_state import current_state
from tasks.filters import Filters
from tasks.versions import Versions
from tasks.views import reading

if TYPE_CHECKING:
    import polars as pl
    from pandera.polars import DataFrameModel

_UNCHANGED = "Nothing was read or removed."


class LakeTable:
    """The newest version of each row of one dataset, as committed generations hold it.

    A column whose name is no Python name, or one that a method has an argument for (`limit`, `reason`), is given in
    a dict in front: `table.where({"fare class": "Y"}, limit=5)`.

    Args:
        lake: The lake.
        settings: DuckDB's limits.

    Attributes:
        dataset: Its name in the lake.
        model: What its rows are: a Pandera model for Polars.
    """

    dataset: ClassVar[str]
    model: ClassVar["type[DataFrameModel]"]

    def __init__(self, lake: Lake, settings: Settings | None = None) -> None:
        self.lake = lake
        self.settings = settings or Settings()

    @classmethod
    def at(cls, location: str | Path) -> Self:
        """Return the table in the lake at a folder, `s3://bucket/prefix` or `block:NAME`."""
        return cls(open_lake(str(location)))

    @classmethod
    def of_project(cls, config_dir: str | Path = "./config") -> Self:
        """Return the table in the lake of the project whose configuration is in `config_dir`."""
        settings = Project.load_settings(config_dir)
        return cls(open_lake(settings.lake, settings.temp_dir), settings)

    def where(
        self, filters: Mapping[str, object] | None = None, /, *, limit: int | None = None, **equal: object
    ) -> "pl.DataFrame":
        """Return the rows whose columns have these values, in no particular order.

        Args:
            filters: Values by column.
            limit: Return at most so many rows.
            equal: Values by column: a value, None for NULL, or a list of which one has to fit. Partition keys
                (`year`, …) are columns too, and keep the files of other partitions unopened.

        Returns:
            The dataset's columns, with the model's types; only the model's columns if it is `strict`.

        Raises:
            ConfigError: There is no such dataset or column, or the column cannot have such a value.
            InvalidRecords: The rows are not what the model says.
        """
        versions = self._versions()
        wanted = Filters(versions.columns, {**(filters or {}), **equal}, _UNCHANGED)
        rows = versions.newest(wanted.keep, only_keys=wanted.condition(versions.key))
        return self._read(versions, rows, wanted, f" LIMIT {int(limit)}" if limit is not None else "")

    def find(self, key: object, filters: Mapping[str, object] | None = None, /, **equal: object) -> Any:
        """Return the record with this key, or None.

        Args:
            key: Value of the key; a tuple of values, in the key's order, if it has several columns.
            filters: See `where`.
            equal: See `where`. The partition that the row is in spares the search in all others.

        Returns:
            A frozen dataclass with the model's fields.

        Raises:
            ConfigError: The table has no key, or this cannot be one; or as `where`.
            InvalidRecords: The row is not what the model says.
        """
        versions = self._versions()
        values = self._key_values(versions, key)
        wanted = Filters(versions.columns, {**(filters or {}), **equal, **values}, _UNCHANGED)
        rows = versions.newest(wanted.keep, only_keys=wanted.condition(versions.key), versions=True)
        _, generation, taken_at = versions.version_columns
        newest_first = f' ORDER BY "{taken_at}" DESC, "{generation}" DESC LIMIT 1'
        frame = self._read(versions, rows, wanted, newest_first)
        if frame.is_empty():
            return None
        row = frame.row(0, named=True)
        record_type, columns = _record_type(self.model)
        return record_type(**{attribute: row.get(column) for attribute, column in columns.items()})

    def destroy_all(
        self, partitions: Mapping[str, object] | None = None, /, *, reason: str | None = None, **keys: object
    ) -> Removal:
        """Remove whole partitions from the lake: first by record, so that no reader sees them, then their files.

        Ended in between, it has removed the rows for readers; the files go when it, or the next archive run, is run
        again. Rows that are still in the source stay there, and quarantined rows stay in quarantine. Versions of the
        rows in other partitions become the newest ones. Not for use while an archive run of the table is under way.
        Legal holds (archives.yaml) are not looked at: `tidegate expire` does.

        Args:
            partitions: Values by partition key.
            reason: Why, for the record.
            keys: Values by partition key, as in `where`.

        Returns:
            The record: the paths that were removed, and how many rows.

        Raises:
            ConfigError: No partition is named, or a filter is not a partition key of all generations, so that files
                would have to be removed in part. Nothing was removed.
        """
        wanted = {**(partitions or {}), **keys}
        versions = self._versions()
        filters = Filters(versions.columns, wanted, _UNCHANGED)
        _refuse_parts_of_files(versions, wanted)
        matching = {f.path: (f, g) for g in versions.generations for f in g.manifest.files if filters.keep(f)}
        present = [file for file, generation in matching.values() if file.path not in generation.removed]
        removal = Removal(
            dataset=self.dataset,
            paths=tuple(file.path for file in present),
            rows=sum(file.rows for file in present),
            reason=reason or "destroy_all " + ", ".join(f"{name}={value!r}" for name, value in wanted.items()),
            removed_at=datetime.now(UTC),
        )
        if present:
            Ledger(self.lake, self.dataset).record_removal(removal, uuid4().hex)
        self.lake.delete(matching)  # with what an earlier call, cut short, has left
        return removal

    def _versions(self) -> Versions:
        generations = Ledger(self.lake, self.dataset).generations()
        if not generations:
            known = datasets(self.lake)
            raise ConfigError(
                f"There is no dataset {self.dataset!r} in the lake {self.lake.url}"
                f"{did_you_mean(self.dataset, known) or '.'} Datasets: {', '.join(known) or 'none'}.",
                state=_UNCHANGED,
                next_step=f"Correct `dataset` of the class {type(self).__name__}, or archive the table first.",
            )
        return Versions(self.lake, current_state(generations))

    def _key_values(self, versions: Versions, key: object) -> dict[str, object]:
        values: Sequence[object] = key if isinstance(key, tuple) else (key,)
        if not versions.key or len(values) != len(versions.key) or None in values:
            names = ", ".join(versions.key)
            raise ConfigError(
                f"{key!r} cannot be a key of {self.dataset}: {f'its key is ({names})' if names else 'it has none'}.",
                state=_UNCHANGED,
                next_step="Give a value for each of the key's columns, or use where().",
            )
        return dict(zip(versions.key, values, strict=True))

    def _read(self, versions: Versions, rows: str, wanted: Filters, end: str) -> "pl.DataFrame":
        import polars as pl

        from tasks.typed_frame import typed_frame

        schema = self.model.to_schema()
        columns = [c.quoted for c in versions.columns if not schema.strict or c.name in schema.columns]
        sql = f"SELECT {', '.join(columns)} FROM ({rows}) WHERE {wanted.condition() or 'true'}{end}"
        with reading(self.lake, [self.dataset]), duck(self.settings) as connection:
            self.lake.attach(connection)
            frame = pl.DataFrame(connection.sql(sql, params=wanted.parameters).to_arrow_table())
        return typed_frame(frame, self.model)


@cache
def _record_type(model: "type[DataFrameModel]") -> tuple[type, dict[str, str]]:
    """Return the frozen dataclass of a model's records, and the column behind each of its fields."""
    attributes = [name for base in reversed(model.__mro__) for name in vars(base).get("__annotations__", {})]
    columns = {str(getattr(model, name)): name for name in attributes if isinstance(getattr(model, name, None), str)}
    fields: dict[str, tuple[str, Any]] = {}
    for column, (annotation, info) in model.__fields__.items():
        python: Any = model.to_schema().columns[column].dtype.type.to_python()
        type_of = python | None if info.nullable or annotation.optional else python
        fields[columns.get(column, column)] = (column, type_of)
    record_type = make_dataclass(
        model.__name__, [(name, kind) for name, (_, kind) in fields.items()], frozen=True, slots=True, kw_only=True
    )
    return record_type, {name: column for name, (column, _) in fields.items()}


def _refuse_parts_of_files(versions: Versions, wanted: Mapping[str, object]) -> None:
    if not wanted:
        raise ConfigError(
            "destroy_all needs a partition.", state=_UNCHANGED, next_step="Name its keys: destroy_all(year=2013)."
        )
    for generation in versions.generations:
        manifest = generation.manifest
        others = [name for name in wanted if name not in manifest.partition_by]
        if others and generation.files:
            raise ConfigError(
                f"{', '.join(others)} is no partition key of {manifest.path}: rows can be removed by whole files only.",
                state=_UNCHANGED,
                next_step=f"Name its partition keys: {', '.join(manifest.partition_by) or 'it has none'}.",
            )
