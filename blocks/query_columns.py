"""What the columns of an operator's query must be called to be those of a table in the lake."""

from collections import Counter
from collections.abc import Sequence

from schemas.errors import ConfigError

NEXT_STEP = "Correct the query; it stands in FROM, in brackets, as it is."


def check_names(names: Sequence[str], label: str, nameless: str = "") -> None:
    """Refuse columns that could not be told apart, or that have no name.

    Args:
        names: Of the columns of the query's result.
        label: Where the configuration has the query, for errors.
        nameless: What the database calls a column that has none.

    Raises:
        ConfigError: With what to change.
    """
    twice = [name for name, count in Counter(names).items() if count > 1 and name != nameless]
    if twice:
        raise ConfigError(
            f"{label}: the query gives several columns of one name: {', '.join(twice)}.",
            next_step="Give each a name of its own (… AS name), or name the columns in place of *.",
        )
    places = [str(place) for place, name in enumerate(names, start=1) if name in {"", nameless}]
    if places or not names:
        raise ConfigError(
            f"{label}: the query gives "
            + (f"columns without a name (number {', '.join(places)})." if places else "no columns."),
            next_step="Name what it computes: … AS name.",
        )
