"""The steps that change which rows there are: fewer, more, joined or grouped ones. Each becomes one SELECT."""

from blocks.duck import text_literal
from schemas.column_plan import quote_identifier
from schemas.extraction import INGESTED_AT, PROVENANCE
from schemas.pipelines.transforms import Aggregate, Deduplicate, Explode, Filter, Join
from tasks.build.step import Compiled, Step, as_list

_ADDED = frozenset(column.name for column in PROVENANCE)


def keep_matching(step: Step, given: Filter) -> Compiled:
    """Keep the rows of which the condition is true."""
    condition = step.expression(given.condition, "condition")
    return Compiled(f"SELECT * FROM {step.source}\nWHERE {condition.sql}", step.shape.origins)


def deduplicate(step: Step, given: Deduplicate) -> Compiled:
    """Keep the first row of each key."""
    keys = step.columns(given.keys)
    order = [f"{step.column(term.column)}{' DESC' if term.descending else ''} NULLS LAST" for term in given.order]
    if INGESTED_AT in step.shape.types:
        order.append(f"{quote_identifier(INGESTED_AT)} DESC NULLS LAST")
    # Rows that are equal so far are told apart by all they hold, so that the same one is kept each time.
    order.append(f"hash({', '.join(quote_identifier(name) for name in step.shape.types)})")
    nothing = " AND ".join(f"{key} IS NULL" for key in keys)
    first = f"row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY {', '.join(order)}) = 1"
    return Compiled(f"SELECT * FROM {step.source}\nQUALIFY {first}\n    OR ({nothing})", step.shape.origins)


def explode(step: Step, given: Explode) -> Compiled:
    """Make a row of each element of a list."""
    column, kind = step.column(given.column), step.shape.types[given.column]
    if kind.endswith("[]"):
        items = column
    elif kind in ("VARCHAR", "JSON"):
        # What is no array would have no elements, and its row would be gone without a word.
        told = f"{text_literal(given.column + ' holds no JSON array: ')} || left({column}, 60)"
        items = (
            f"CASE WHEN {column} IS NULL THEN NULL WHEN json_type({column}) IN ('ARRAY', 'NULL') "
            f"THEN json_extract_string({column}, '$[*]') ELSE error({told}) END"
        )
    else:
        raise step.refuse(f"the column '{given.column}' is {kind}, and neither a list nor text with a JSON array")
    if given.keep_empty:
        items = f"CASE WHEN coalesce(len({items}), 0) = 0 THEN [NULL] ELSE {items} END"
    names = [name for name in step.shape.types if name != given.column]
    values = {name: quote_identifier(name) if name != given.column else f"unnest({items})" for name in step.shape.types}
    origins = {}
    if given.position is not None:
        step.check_new([given.position], [*names, given.column])
        values[given.position] = f"unnest(range(1, len({items}) + 1))"
        origins[given.position] = step.shape.made_of([given.column])
    return step.select(values, origins)


def join(step: Step, given: Join) -> Compiled:
    """Bring in columns of another table of the lake."""
    view, other = step.tables[given.table.dataset]
    for name in (*given.on.values(), *(given.columns or {})):
        if name not in other.types:
            raise step.refuse(f"{given.table}: {other.missing(name)}")
    here = step.columns(given.on)
    matching = " AND ".join(
        f"a.{column} = b.{quote_identifier(there)}" for column, there in zip(here, given.on.values(), strict=True)
    )
    values = {name: f"a.{quote_identifier(name)}" for name in step.shape.types}
    origins = {}
    if given.how in ("semi", "anti"):
        if given.columns:
            raise step.refuse(f"columns: a join of kind {given.how} brings in none")
        brought = {}
    else:
        by_default = [name for name in other.types if name not in {*given.on.values(), *_ADDED}]
        brought = dict(zip(by_default, by_default, strict=True)) if given.columns is None else given.columns
    for there, name in brought.items():
        if step.shape.find(name) is not None:
            raise step.refuse(
                f"{given.table} has a column '{there}', and there is a column '{name}' already",
                "Name the columns to bring in under `columns`, {there: new name} where they clash.",
            )
        values[name], origins[name] = f"b.{quote_identifier(there)}", other.origins.get(there)
    own = {name: step.shape.origins.get(name) for name in step.shape.types}
    sql = f"SELECT {as_list(values)}\nFROM {step.source} AS a {given.how.upper()} JOIN {view} AS b ON {matching}"
    return Compiled(sql, {**own, **origins})


def aggregate(step: Step, given: Aggregate) -> Compiled:
    """Make one row of the rows with the same values."""
    groups = step.columns(given.group_by)
    step.check_new(given.measures, given.group_by)
    values = dict(zip(given.group_by, groups, strict=True))
    origins = {}
    for name, text in given.measures.items():
        found = step.expression(text, f"measures.{name}")
        values[name], origins[name] = found.sql, step.shape.made_of(found.columns)
    compiled = step.select(values, origins)
    # `()` is all rows as one: without it, a measure that is no aggregate would have a row for each of them.
    return Compiled(f"{compiled.sql}\nGROUP BY {', '.join(groups) or '()'}", compiled.origins)
