"""What a role may not do that publishing a table takes, said before anything is written."""

from blocks.warehouse.connect import Connection, rows
from blocks.warehouse.existing import ExistingTable
from schemas.pipelines.publication import Grants
from schemas.table_name import TableName

_SCHEMA = """
SELECT has_schema_privilege(oid, 'CREATE'), has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1"""
_DATABASE = """
SELECT has_database_privilege(current_database(), 'CREATE'), has_database_privilege(current_database(), 'TEMP'),
       quote_ident(current_database()), quote_ident(current_user)"""
_TABLE_RIGHTS = ("SELECT", "INSERT", "UPDATE")


def missing_rights(
    connection: Connection, table: TableName, there: ExistingTable | None, grants: Grants, *, upsert: bool
) -> list[str]:
    """Return what is missing, each with the statement that gives it."""
    [(may_make_schemas, may_make_temporary, database, me)] = rows(connection, _DATABASE)
    found = []
    schema = rows(connection, _SCHEMA, table.schema_name)
    if not schema and not may_make_schemas:
        found.append(
            f"there is no schema {table.schema_name}, and {me} may not make one "
            f"(CREATE SCHEMA, or GRANT CREATE ON DATABASE {database} TO {me})"
        )
    if schema and not (schema[0][0] or upsert):
        found.append(f"{me} may not make tables in it (GRANT CREATE ON SCHEMA {table.schema_name} TO {me})")
    if there is not None and not there.owned and not upsert:
        found.append(f"{me} may not replace it, as it belongs to {there.owner} (GRANT {there.owner} TO {me})")
    if there is not None and not there.owned and upsert and grants:
        found.append(f"{me} may not give rights on it, as it belongs to {there.owner}")
    if there is not None and upsert:
        if not may_make_temporary:
            found.append(f"{me} may not make temporary tables (GRANT TEMP ON DATABASE {database} TO {me})")
        for right in _TABLE_RIGHTS:
            [(may,)] = rows(connection, f"SELECT has_table_privilege($1::oid, '{right}')", there.oid)
            if not may:
                found.append(f"{me} may not {right} (GRANT {right} ON {table} TO {me})")
    known = {name for (name,) in rows(connection, "SELECT rolname FROM pg_roles")}
    found += [f"there is no role {role}" for role in grants if role.casefold() != "public" and role not in known]
    return found
