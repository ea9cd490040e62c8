"""A pipeline: what a table of the staging or consume layer is built of, how, and what has to be true of it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import ValidationInfo, field_validator, model_validator

from schemas.archive_options import Columns, Gate
from schemas.built import BuildMode
from schemas.config_model import ConfigModel, Name, Text
from schemas.pipelines.checks import Check, ForeignKey, Freshness
from schemas.pipelines.place import AnyTable, BuiltTable
from schemas.pipelines.transforms import Join, Python, Transform


class Pipeline(ConfigModel):
    """A table that is built of others: of a `source` by `transforms`, or of any tables by `sql`.

    Attributes:
        sql: DuckDB SQL, or the path of a file of it, from the project's folder.
        mode: `replace` builds the table as a whole; `merge` stores rows whose `keys` are new or that are different;
            `append` adds what was added to the source.
        partition_by: Columns; rows with other values lie in other files.
        model: A Pandera model, `module:Model`, that rows have to pass as well.
        enabled: Whether it runs unless it is named.
    """

    name: Name
    description: str = ""
    enabled: bool = True
    source: AnyTable | None = None
    transforms: tuple[Transform, ...] = ()
    sql: Text | None = None
    destination: BuiltTable
    mode: BuildMode = "replace"
    keys: Columns = ()
    partition_by: Columns = ()
    quality_checks: tuple[Check, ...] = ()
    model: Gate | None = None

    @field_validator("sql")
    @classmethod
    def _sql_goes_without_source(cls, sql: str | None, info: ValidationInfo) -> str | None:
        if sql is not None and (info.data.get("source") is not None or info.data.get("transforms")):
            raise ValueError("must not stand beside source and transforms; the SQL names what it reads")
        return sql

    @field_validator("mode")
    @classmethod
    def _append_needs_a_source(cls, mode: BuildMode, info: ValidationInfo) -> BuildMode:
        if mode == "append" and info.data.get("sql") is not None:
            raise ValueError(
                "append needs a source, whose new rows are added; of the tables in SQL nobody can tell which rows are"
                " meant. Use replace, or merge with keys"
            )
        return mode

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.source is None and self.sql is None:
            raise ValueError("needs a source (with transforms), or sql")
        if self.mode == "merge" and not self.keys:
            raise ValueError("needs keys for mode merge: the columns that tell rows apart")
        if self.mode != "merge" and self.keys:
            raise ValueError(f"must have no keys with mode {self.mode}; rows are told apart by them with mode merge")
        if self.source == self.destination:
            raise ValueError("must not read the table that it builds")
        return self

    @property
    def dataset(self) -> str:
        """Where its table lies in the lake."""
        return self.destination.dataset

    @property
    def label(self) -> str:
        """Where the configuration says it, for errors."""
        return f"pipelines.yaml: pipelines[{self.name}]"

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions of one's own that it calls."""
        return tuple(step.function for step in self.transforms if isinstance(step, Python))

    @property
    def joined(self) -> tuple[str, ...]:
        """The datasets that its steps bring in."""
        return tuple(step.table.dataset for step in self.transforms if isinstance(step, Join))

    @property
    def referred(self) -> tuple[str, ...]:
        """The other datasets that its quality checks look at."""
        keys = (check.references.dataset for check in self.quality_checks if isinstance(check, ForeignKey))
        return tuple(dataset for dataset in dict.fromkeys(keys) if dataset != self.dataset)

    @property
    def grows_stale(self) -> bool:
        """Whether what was true of its table may be untrue tomorrow, though nothing has changed."""
        return any(isinstance(check, Freshness) for check in self.quality_checks)

    @property
    def sql_is_a_file(self) -> bool:
        """Whether `sql` names a file."""
        return self.sql is not None and len(self.sql.split()) == 1

    def sql_file(self, project_folder: Path) -> Path:
        """Return the file that `sql` names."""
        assert self.sql is not None
        return project_folder / Path(self.sql).expanduser()


def contradictions(pipelines: Iterable[Pipeline], file: str) -> Iterator[str]:
    """Yield what is wrong with pipelines taken together: names or tables that two of them have."""
    names: dict[str, int] = {}
    tables: dict[str, str] = {}
    for place, pipeline in enumerate(pipelines):
        if pipeline.name in names:
            yield f"{file}: pipelines[{place}].name: '{pipeline.name}' is taken by pipelines[{names[pipeline.name]}]"
        names.setdefault(pipeline.name, place)
        # Some disks ignore case, and so do DuckDB's views.
        other = tables.setdefault(pipeline.dataset.casefold(), pipeline.name)
        if other != pipeline.name:
            yield (
                f"{file}: pipelines[{pipeline.name}].destination: {pipeline.destination} is built by"
                f" pipelines[{other}] as well; each needs its own table"
            )
