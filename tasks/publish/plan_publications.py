"""Which datasets of the lake a publication means, and where each of them goes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.pipelines.publication import DuckDBPublication, PostgresPublication, Publication, PublishedTable
from schemas.project import PUBLISH_FILE, Project
from schemas.publish_report import PublishedReport, PublishState
from schemas.table_name import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A dataset and the table it is published as; or, of a file, all datasets that it shows.

    Attributes:
        target: For people: `schema.table`, or a path.
        entry: What the publication says of the table.
        refused: What is wrong with it; then nothing of it is published.
    """

    publication: str
    target: str
    datasets: tuple[str, ...]
    table: TableName | None = None
    entry: PublishedTable | None = None
    refused: str = ""

    @property
    def dataset(self) -> str:
        """The dataset, or "" if there are many."""
        return self.datasets[0] if self.table is not None else ""

    def report(self, state: PublishState, **values: object) -> PublishedReport:
        """Return the report of what became of it."""
        return PublishedReport.model_validate(
            {
                "publication": self.publication,
                "target": self.target,
                "dataset": self.dataset,
                "inputs": self.datasets,
                "state": state,
                **values,
            }
        )


def chosen_publications(project: Project, names: Iterable[str]) -> list[Publication]:
    """Return the publications of these names, or all.

    Raises:
        ConfigError: There is none, or none of a name.
    """
    chosen = [project.publication(name) for name in dict.fromkeys(names)] or list(project.publications)
    if not chosen:
        raise ConfigError(
            f"There is nothing to publish: {project.config_dir / PUBLISH_FILE} has no publications.",
            state="Nothing was published.",
            next_step="Write them there; `tidegate publish --help` shows an example.",
        )
    return chosen


def plan_publications(publications: Iterable[Publication], known: Sequence[str]) -> list[Placement]:
    """Return what is to be published where; what cannot be carries the reason, and the others go on.

    A dataset that an entry names goes where that entry says; otherwise the first pattern that it fits counts.

    Args:
        publications: As they are configured.
        known: The datasets of the lake.
    """
    return [
        placement
        for publication in publications
        for placement in (
            _in_postgresql(publication, known)
            if isinstance(publication, PostgresPublication)
            else _in_duckdb(publication, known)
        )
    ]


def _in_postgresql(publication: PostgresPublication, known: Sequence[str]) -> list[Placement]:
    named = {entry.dataset for entry in publication.tables if not entry.is_pattern}
    found: list[Placement] = []
    by_pattern: set[str] = set()
    for entry in publication.tables:
        meant = [name for name in known if _fits(name, entry)]
        if not meant:
            found.append(_missing(publication.name, entry.dataset, known))
        for name in meant:
            if entry.is_pattern and name in named | by_pattern:
                continue
            if entry.is_pattern:
                by_pattern.add(name)
            table = publication.table_of(name, entry)
            found.append(
                Placement(
                    publication=publication.name,
                    target=str(table),
                    datasets=(name,),
                    table=table,
                    entry=entry,
                    refused=_too_long(table),
                )
            )
    return _without_collisions(found)


def _fits(dataset: str, entry: PublishedTable) -> bool:
    return fnmatchcase(dataset, entry.dataset) if entry.is_pattern else dataset == entry.dataset


def _in_duckdb(publication: DuckDBPublication, known: Sequence[str]) -> list[Placement]:
    missing = [
        _missing(publication.name, entry.dataset, known)
        for entry in publication.tables
        if not any(fnmatchcase(name, entry.dataset) for name in known)
    ]
    shown = tuple(name for name in known if any(fnmatchcase(name, entry.dataset) for entry in publication.tables))
    if not shown:
        return missing
    return [*missing, Placement(publication=publication.name, target=str(publication.path), datasets=shown)]


def _missing(publication: str, pattern: str, known: Sequence[str]) -> Placement:
    hint = did_you_mean(pattern, known) or f". Datasets: {', '.join(known) or 'none'}."
    return Placement(
        publication=publication,
        target="",
        datasets=(pattern,),
        refused=f"publish.yaml: publications[{publication}].tables: there is no dataset '{pattern}' in the lake{hint}",
    )


def _without_collisions(placements: list[Placement]) -> list[Placement]:
    """Refuse all that would be published as the same table."""
    same: dict[str, list[Placement]] = defaultdict(list)
    for placement in placements:
        if placement.target:
            same[placement.target].append(placement)
    return [_refused_if_taken(placement, same[placement.target]) for placement in placements]


def _refused_if_taken(placement: Placement, same: list[Placement]) -> Placement:
    if len(same) < 2 or not placement.target:
        return placement
    names = " and ".join(sorted({one.datasets[0] for one in same}))
    return Placement(
        publication=placement.publication,
        target=placement.target,
        datasets=placement.datasets,
        refused=f"publish.yaml: publications[{placement.publication}]: {names} would both be the table "
        f"{placement.target}; give one of them another name (as: schema.table), or write {{domain}} into `schema`.",
    )


def _too_long(table: TableName) -> str:
    long = [name for name in (table.schema_name, table.name) if len(name.encode()) > MAX_NAME_BYTES]
    if not long:
        return ""
    return f"'{long[0]}' has more than the {MAX_NAME_BYTES} bytes that a name in PostgreSQL can have; say `as:` what."


MAX_NAME_BYTES = 63
