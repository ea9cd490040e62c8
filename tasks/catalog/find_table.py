"""Which table somebody means: by its dataset, with dots instead of slashes, or by the last part of its name."""

from collections.abc import Iterable, Mapping

from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from tasks.catalog.lake_records import LakeRecords
from tasks.catalog.tables import runs_by_table


def table_named(name: str, records: LakeRecords, lake: str) -> str:
    """Return the dataset that `name` means; also the names of pipelines and archives are known.

    Raises:
        ConfigError: There is none, or there are several; it names these.
    """
    others = {}
    for dataset, generations in records.generations.items():
        newest = generations[-1].manifest
        others[newest.built.pipeline if newest.built else newest.archive] = dataset
    runs = runs_by_table(records.runs)
    others.update({of_table[-1].name: dataset for dataset, of_table in runs.items()})
    return find_table(name, {*records.generations, *records.damaged, *runs} - {""}, lake, others)


def find_table(name: str, datasets: Iterable[str], lake: str, others: Mapping[str, str]) -> str:
    """Return the dataset that `name` means: `raw/shop/orders`, `raw.shop.orders`, `shop.orders` or `orders`.

    Args:
        name: As it was typed; also as `tidegate query` has it, `"raw/shop".orders`.
        datasets: All that the lake knows of.
        lake: Where it is, for the error.
        others: Other names of datasets: those of pipelines and archives.

    Raises:
        ConfigError: There is none, or there are several; it names these.
    """
    known = sorted(datasets)
    wanted = _dotted(name)
    for candidates in (
        [one for one in known if one == name] or [one for one in known if _dotted(one) == wanted],
        [one for one in known if _dotted(one).endswith(f".{wanted}") or one == others.get(name)],
    ):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise ConfigError(
                f"{name!r} may be any of {', '.join(candidates)} in the lake {lake}.",
                state="Nothing was read or changed.",
                next_step="Name one of them.",
            )
    hint = did_you_mean(name, [*known, *others]) or _by_last_part(name, known)
    raise ConfigError(
        f"There is no table {name!r} in the lake {lake}{hint or '.'} Tables: {', '.join(known) or 'none'}.",
        state="Nothing was read or changed.",
        next_step="Name one of them; tidegate catalog lists them.",
    )


def _dotted(name: str) -> str:
    return name.replace('"', "").replace("/", ".").casefold()


def _by_last_part(name: str, known: Iterable[str]) -> str:
    by_part = {one.rpartition("/")[2]: one for one in known}
    hint = did_you_mean(name.replace("/", ".").rpartition(".")[2], by_part)
    for part, dataset in by_part.items():
        if f"'{part}'" in hint:
            return f"; did you mean '{dataset}'?"
    return ""
