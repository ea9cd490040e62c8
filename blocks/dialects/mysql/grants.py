"""What rights the session's user has, as SHOW GRANTS tells them: on which tables it sees names, and triggers."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from blocks.dialects.mysql.session import Connection
from schemas.table import Table

EVERYTHING = "*"
_ALL = "ALL PRIVILEGES"
# Rights that show the tables they are for in the catalog; others (PROCESS, RELOAD) do not.
_SHOWING = frozenset(
    {_ALL, "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW",
     "SHOW VIEW", "TRIGGER"}
)  # fmt: skip
_NAME = r"\*|`(?:[^`]|``)+`"
_LINE = re.compile(
    rf"(?P<verb>GRANT|REVOKE) (?P<rights>.+?) ON (?P<database>{_NAME})\.(?P<table>{_NAME}) (?:TO|FROM) "
    r"(?P<who>(?:`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s`'])+)"
)
_OF_COLUMNS = re.compile(r"\((?:`(?:[^`]|``)*`|[^`()])*\)")


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of SHOW GRANTS.

    Attributes:
        rights: Its rights on whole tables; what it grants on single columns counts as well.
        database: A pattern of databases if `table` is `*`, or a database's name; `*` for all of them.
        table: A table's name, or `*` for all of them.
        who: The user or role that has them.
        revoked: Whether they are taken away from what is granted on everything (MySQL's partial revokes).
    """

    rights: frozenset[str]
    database: str
    table: str
    who: str
    revoked: bool = False

    def gives(self, right: str) -> bool:
        """Return whether the right is among its rights."""
        return bool(self.rights & {right, _ALL})


def grants(connection: Connection) -> list[Grant]:
    """Return what the user has, by itself and by the roles that it has taken on."""
    query = "SHOW GRANTS"
    if not connection.is_mariadb:  # which shows those of the role by itself
        (roles,) = connection.one("SELECT CURRENT_ROLE()")
        if roles and roles != "NONE":
            query = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    return list(parsed(str(line) for (line,) in connection.rows(query)))


def parsed(lines: Iterable[str]) -> Iterator[Grant]:
    """Yield the lines that are about tables, read."""
    for line in lines:
        found = _LINE.match(line)
        if found:
            rights = frozenset(right.strip().upper() for right in _OF_COLUMNS.sub("", found["rights"]).split(","))
            database, table = (found[part].strip("`").replace("``", "`") for part in ("database", "table"))
            yield Grant(rights, database, table, found["who"], revoked=found["verb"] == "REVOKE")


def places_seen(held: list[Grant]) -> set[str]:
    """Return what the user has some right on as a whole: `*` for everything, or patterns of databases."""
    showing = {grant: grant.rights & _SHOWING for grant in held if grant.table == EVERYTHING and not grant.revoked}
    seen = {grant.database for grant, rights in showing.items() if rights}
    everywhere = {right for grant, rights in showing.items() if grant.database == EVERYTHING for right in rights}
    if any(everywhere <= grant.rights for grant in held if grant.revoked):  # a database of which nothing is left
        seen.discard(EVERYTHING)
    return seen


def has_right(held: list[Grant], right: str, table: Table) -> bool:
    """Return whether the user surely has a right on a table."""
    return any(_has(right, table, [grant for grant in held if grant.who == who]) for who in {g.who for g in held})


def _has(right: str, table: Table, held: list[Grant]) -> bool:
    of_databases = [
        g for g in held if g.table == EVERYTHING and g.database != EVERYTHING and like(table.schema_name, g.database)
    ]
    everywhere = any(grant.gives(right) for grant in held if grant.database == EVERYTHING)
    if everywhere and not any(grant.revoked and grant.gives(right) for grant in of_databases):
        return True
    # Of several patterns that a database matches, the server goes by one.
    here = [grant for grant in of_databases if not grant.revoked]
    if here and all(grant.gives(right) for grant in here):
        return True
    place = (table.schema_name, table.name)
    return any(grant.gives(right) for grant in held if (grant.database, grant.table) == place)


def like(name: str, pattern: str) -> bool:
    """Return whether a database is one of those that a grant names: % and _ stand for others unless escaped."""
    tokens = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return bool(re.fullmatch("".join(wild.get(t) or re.escape(t[-1]) for t in tokens), name, re.DOTALL))
