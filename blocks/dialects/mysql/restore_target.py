"""The table that is to receive archived rows, as MariaDB and MySQL describe it."""

from blocks.dialects.mysql.catalog import describe
from blocks.dialects.mysql.session import Connection, literal, quoted_table
from schemas.errors import ConfigError
from schemas.restore import UNTOUCHED
from schemas.restore_target import Target
from schemas.table import Table
from schemas.table_name import TableName


def inspect_target(connection: Connection, name: TableName) -> Target:
    """Return what the catalog says of the table that is to receive rows.

    Raises:
        ConfigError: There is no such table, it has no transactions, or it may not be read.
    """
    table = describe(connection, name)
    refuse_untransactional(connection, table)
    if not table.may_select:
        raise ConfigError(
            f"The user may not read {quoted_table(table)}, so that what is put into it could not be proven.",
            state=UNTOUCHED,
            next_step=f"GRANT SELECT, INSERT ON {quoted_table(table)} TO the user that the source connects as.",
        )
    rows = connection.rows(
        "SELECT COLUMN_NAME, COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%auto_increment%', "
        "FIND_IN_SET('insert', PRIVILEGES) > 0 FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = {literal(table.schema_name)} AND TABLE_NAME = {literal(table.name)}"
    )
    return Target(
        table=table,
        defaults=frozenset(column for column, default, _ in rows if default),
        writable=frozenset(column for column, _, may_insert in rows if may_insert),
    )


def refuse_untransactional(connection: Connection, table: Table) -> None:
    """Refuse a table (of MyISAM, say) that would keep what was put into it also when the proof fails.

    Raises:
        ConfigError: Its engine has no transactions.
    """
    engine, transactions = connection.one(
        "SELECT t.ENGINE, e.TRANSACTIONS FROM information_schema.TABLES AS t "
        "LEFT JOIN information_schema.ENGINES AS e ON e.ENGINE = t.ENGINE "
        f"WHERE t.TABLE_SCHEMA = {literal(table.schema_name)} AND t.TABLE_NAME = {literal(table.name)}"
    )
    if transactions != "YES":
        raise ConfigError(
            f"{quoted_table(table)} is a table of the engine {engine}, which has no transactions: rows that were put "
            "into it could not be taken back if they turn out not to be equal to the archived ones.",
            state=UNTOUCHED,
            next_step=f"ALTER TABLE {quoted_table(table)} ENGINE = InnoDB, or restore into another table (--into).",
        )
