"""What a table in PostgreSQL has about it that a table swapped into its place has to have as well."""

from dataclasses import dataclass, field

from blocks.warehouse.connect import Connection, rows
from schemas.column_plan import quote_identifier
from schemas.table_name import TableName


@dataclass(frozen=True, slots=True)
class Index:
    """An index.

    Attributes:
        definition: The statement that makes it.
        head: How that statement begins, up to the table's name.
        constraint: The definition of the primary key, unique or exclusion constraint that it belongs to.
        columns: The columns it is on; () if there is an expression among them.
        arbiter: Whether it is unique over all rows, and at once: whether `ON CONFLICT` can go by it.
    """

    name: str
    definition: str
    head: str
    constraint: str | None
    comment: str | None
    columns: tuple[str, ...]
    arbiter: bool


@dataclass(frozen=True, slots=True)
class View:
    """A view that reads the table. It has to be made anew over the new table; its rights and comments stay."""

    name: str
    owner: str
    definition: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column, with its type as `format_type` prints it."""

    name: str
    type: str
    not_null: bool
    default: str | None
    generated: bool
    comment: str | None


@dataclass(frozen=True, slots=True)
class ExistingTable:
    """A table as it is.

    Attributes:
        owned: Whether this role may do what its owner may.
        options: Storage options such as `fillfactor=70`.
        checks: Names and definitions of its check constraints.
        grants: (role, privilege, grantable, column or None); role is quoted, or PUBLIC.
        obstacles: What hangs on it that a new table in its place would not have, in words.
    """

    oid: int
    owner: str
    owned: bool
    comment: str | None
    unlogged: bool
    options: tuple[str, ...]
    tablespace: str | None
    identity: str
    columns: tuple[TableColumn, ...]
    indexes: tuple[Index, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    grants: tuple[tuple[str, str, bool, str | None], ...] = ()
    views: tuple[View, ...] = ()
    obstacles: tuple[str, ...] = field(default=())

    @property
    def types(self) -> dict[str, str]:
        """The type of each column."""
        return {column.name: column.type for column in self.columns}


_TABLE = """
SELECT c.oid::bigint, c.relkind::text, quote_ident(pg_get_userbyid(c.relowner)), pg_has_role(c.relowner, 'USAGE'),
       obj_description(c.oid, 'pg_class'), c.relpersistence = 'u', coalesce(c.reloptions, '{}'), s.spcname,
       c.relreplident::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
WHERE n.nspname = $1 AND c.relname = $2"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
       a.attgenerated <> '' OR a.attidentity <> '', col_description(a.attrelid, a.attnum)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid),
       'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || quote_ident(c.relname) || ' ON '
       || quote_ident(n.nspname) || '.' || quote_ident(t.relname) || ' ',
       pg_get_constraintdef(k.oid), obj_description(i.indexrelid, 'pg_class'),
       CASE WHEN i.indexprs IS NULL THEN (
           SELECT array_agg(a.attname ORDER BY p.n)
           FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS p(attnum, n)
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.attnum WHERE p.n <= i.indnkeyatts) END,
       i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = $1 AND i.indisvalid ORDER BY c.relname"""
_CHECKS = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1 AND contype = 'c' ORDER BY conname"""
_GRANTS = """
SELECT coalesce(quote_ident(r.rolname), 'PUBLIC'), g.privilege_type, g.is_grantable, g.attname
FROM (
    SELECT (aclexplode(relacl)).*, relowner, NULL::name AS attname FROM pg_class WHERE oid = $1
    UNION ALL
    SELECT (aclexplode(a.attacl)).*, c.relowner, a.attname
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attrelid = $1 AND NOT a.attisdropped) g
LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee <> g.relowner ORDER BY 1, 2, 4"""
_VIEWS = """
SELECT DISTINCT v.oid::bigint, quote_ident(n.nspname) || '.' || quote_ident(v.relname),
       quote_ident(pg_get_userbyid(v.relowner)), pg_get_viewdef(v.oid), coalesce(v.reloptions, '{}'),
       pg_has_role(v.relowner, 'USAGE')
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class JOIN pg_namespace n ON n.oid = v.relnamespace
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND v.oid <> $1 AND v.relkind = 'v' ORDER BY 1"""
# What the parts of a table hang on it by (indexes, defaults, constraints) is of type 'a' or 'i', but for keys.
_OBSTACLES = """
SELECT format('the foreign key %I of %s refers to it', conname, conrelid::regclass)
FROM pg_constraint WHERE confrelid = $1 AND contype = 'f'
UNION ALL SELECT format('it has the foreign key %I', conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'f'
UNION ALL SELECT format('it has the trigger %I', tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal
UNION ALL SELECT format('it has the rule %I', rulename) FROM pg_rewrite WHERE ev_class = $1
UNION ALL SELECT format('it has the policy %I', polname) FROM pg_policy WHERE polrelid = $1
UNION ALL SELECT 'it has row level security' FROM pg_class WHERE oid = $1 AND relrowsecurity
UNION ALL SELECT 'its replica identity is an index' FROM pg_class WHERE oid = $1 AND relreplident = 'i'
UNION ALL SELECT format('%s inherits from it', inhrelid::regclass) FROM pg_inherits WHERE inhparent = $1
UNION ALL SELECT format('it is a part of %s', inhparent::regclass) FROM pg_inherits WHERE inhrelid = $1
UNION ALL SELECT format('the logical replication publication %I names it', p.pubname)
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1
UNION ALL SELECT format('it has the extended statistics %I', stxname) FROM pg_statistic_ext WHERE stxrelid = $1
UNION ALL SELECT format('its column %I counts by itself', a.attname)
FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
UNION ALL SELECT format('its column %I is computed', attname) FROM pg_attribute
WHERE attrelid = $1 AND attgenerated <> '' AND NOT attisdropped
UNION ALL SELECT DISTINCT format('the materialized view %s reads it', v.oid::regclass)
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_class v ON v.oid = r.ev_class AND v.relkind <> 'v' AND v.oid <> $1
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
UNION ALL SELECT DISTINCT format('%s depends on it', pg_describe_object(d.classid, d.objid, 0))
FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'n'
AND d.classid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass,
    'pg_policy'::regclass, 'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass, 'pg_attrdef'::regclass)
UNION ALL SELECT DISTINCT format('%s has its rows'' type', pg_describe_object(d.classid, d.objid, 0))
FROM pg_depend d JOIN pg_type y ON y.oid = d.refobjid AND d.refclassid = 'pg_type'::regclass
JOIN pg_class c ON c.reltype = y.oid OR y.typelem = c.reltype WHERE c.oid = $1 AND d.deptype = 'n'
ORDER BY 1"""
_KINDS = {
    "v": "a view", "m": "a materialized view", "p": "a partitioned table", "f": "a foreign table", "S": "a sequence",
    "i": "an index", "c": "a type",
}  # fmt: skip


def existing_table(connection: Connection, table: TableName) -> ExistingTable | None:
    """Return what is known of a table, or None if there is none of that name."""
    found = rows(connection, _TABLE, table.schema_name, table.name)
    if not found:
        return None
    oid, kind, owner, owned, comment, unlogged, options, tablespace, identity = found[0]
    views = rows(connection, _VIEWS, oid)
    obstacles = [str(text) for (text,) in rows(connection, _OBSTACLES, oid)]
    obstacles += [f"the view {name} reads it, and belongs to {who}" for _, name, who, _, _, ours in views if not ours]
    if kind != "r":
        obstacles.insert(0, f"it is {_KINDS.get(str(kind), 'no table')}")
    return ExistingTable(
        oid=int(str(oid)),
        owner=str(owner),
        owned=bool(owned),
        comment=_text(comment),
        unlogged=bool(unlogged),
        options=_texts(options),
        tablespace=_text(tablespace),
        identity=str(identity),
        columns=tuple(
            TableColumn(str(name), str(kind), bool(filled), _text(default), bool(computed), _text(about))
            for name, kind, filled, default, computed, about in rows(connection, _COLUMNS, oid)
        ),
        indexes=tuple(
            Index(str(name), str(made), str(head), _text(by), _text(about), _texts(on or ()), bool(unique))
            for name, made, head, by, about, on, unique in rows(connection, _INDEXES, oid)
        ),
        checks=tuple((str(name), str(made)) for name, made in rows(connection, _CHECKS, oid)),
        grants=tuple(
            (str(role), str(right), bool(on), _text(column))
            for role, right, on, column in rows(connection, _GRANTS, oid)
        ),
        views=tuple(View(str(name), str(who), str(made), _texts(how)) for _, name, who, made, how, _ in views),
        obstacles=tuple(obstacles),
    )  # fmt: skip


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(values: object) -> tuple[str, ...]:
    assert isinstance(values, list | tuple)
    return tuple(str(value) for value in values)


def quoted(table: TableName) -> str:
    """Return a table's name in SQL."""
    return f"{quote_identifier(table.schema_name)}.{quote_identifier(table.name)}"
