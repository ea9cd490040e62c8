"""`select` of a table of the raw layer: DuckDB SQL over the rows as they were read, which it calls `input`."""

import duckdb

from schemas.errors import ConfigError


def as_query(select: str, label: str) -> str:
    """Return `select` as one SELECT over `input`: it is a whole one, or a list of columns.

    Args:
        select: As the configuration has it.
        label: Where it has it, for errors.

    Raises:
        ConfigError: It is neither.
    """
    text = select.strip().rstrip(";").rstrip()
    as_list = f"SELECT {text}\nFROM input"
    with duckdb.connect(":memory:") as parser:
        whole_error = _fault(parser, text)
        if not whole_error:
            return text
        list_error = _fault(parser, as_list)
        if not list_error:
            return as_list
    begins = text.split(None, 1)[0].casefold() if text else ""
    raise ConfigError(
        f"{label}.select: {whole_error if begins in ('select', 'with', 'from') else list_error}",
        state="Nothing was read or written.",
        next_step="It is DuckDB SQL over `input`, the rows as they were read: a list of columns, or a whole SELECT.",
    )


def _fault(parser: duckdb.DuckDBPyConnection, text: str) -> str:
    try:
        statements = parser.extract_statements(text)
    except duckdb.Error as error:
        return str(error).strip().splitlines()[0]
    if len(statements) != 1:
        return f"it is {len(statements)} statements"
    kind = statements[0].type
    return "" if kind == duckdb.StatementType.SELECT else f"{kind.name} is no query"
