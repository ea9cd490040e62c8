"""Deletes rows together with the rows of other tables that belong to them: a family leaves whole, or it stays.

In one transaction, for a batch of parents: those that are proven are locked, so that no child can come to them any
more; all their children are locked; a family of which one row is not proven is left alone; then the children of the
others are deleted, and the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blocks.delete_by_proof import BatchOutcome, Collision, KeyBatch, LockedRows, RowsKept, TooLarge
from blocks.dialects.postgresql.catalog import delete_triggers
from blocks.dialects.postgresql.deleter import COLLISIONS, PostgresDeleter, limit
from blocks.dialects.postgresql.nothing_new import sets_off_nothing_new
from blocks.dialects.postgresql.same_table import has_no_column_but
from blocks.dialects.postgresql.session import Connection, statement, translate, translated
from blocks.dialects.postgresql.statements import (
    BATCH,
    count_keys,
    in_scope,
    key_batch,
    matches,
    operators_predicate,
    source_value,
)
from blocks.dialects.postgresql.types import digest_expression, key_type
from schemas.column_plan import quote_identifier
from schemas.job import Job
from schemas.manifest import Manifest

Digests = NDArray[np.uint64]
PLACE = f'{BATCH}."tidegate place"'


@dataclass
class PostgresFamily:
    """Deletes the families of one window.

    Args:
        connection: Holds the archiver lock of the parents' table.
        url: Of the database.
        job: The parents' job, with its children.
        manifest: A generation of the parents, whose window and scope say which rows may be deleted at all.
        proven: For each dataset of the family, the sorted digests of the rows that were just proven.

    Attributes:
        deleted: For each dataset, the digests of the rows that were deleted.
    """

    connection: Connection
    url: str
    job: Job
    manifest: Manifest
    proven: Mapping[str, Digests]
    deleted: dict[str, list[Digests]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deleted = {member.dataset: [] for member in self.job.family}
        # Tells which rows others have locked; it deletes nothing here.
        self._locks = PostgresDeleter(self.connection, self.url, self.job, self.manifest)
        limit(self.connection, self.job.archive.purge)

    def locked(self, batch: KeyBatch) -> LockedRows:
        """Return which parents of the batch others have locked now."""
        return self._locks.locked(batch)

    def delete(self, batch: KeyBatch) -> BatchOutcome:
        """Delete, in one transaction, the families of these parents that are proven to the last row."""
        with translated(self.url):
            try:
                with self.connection.transaction():
                    outcome, deleted = self._delete(batch)
            except COLLISIONS as error:
                failure = translate(error, self.url)
                raise Collision(failure.what, next_step=failure.next_step) from None
        for dataset, digests in deleted.items():  # only now is it committed
            self.deleted[dataset].append(digests)
        return outcome

    def _delete(self, batch: KeyBatch) -> tuple[BatchOutcome, dict[str, Digests]]:
        keys = [texts.to_pylist() for texts in batch.keys]
        parents = _Rows(self.job, self._lock_parents(keys), self.proven[self.job.dataset])
        whole = parents.places[parents.is_proven]
        children = []
        for child in self.job.children:
            rows = _Rows(child, self._lock_children(child, keys, whole), self.proven[child.dataset])
            children.append(rows)
        for rows in children:
            whole = np.setdiff1d(whole, rows.places[~rows.is_proven])
        deleted = {rows.job.dataset: self._delete_rows(rows, whole) for rows in (*children, parents)}
        if self.job.archive.purge.triggers:
            for rows in (*children, parents):
                self._refuse_written_back(rows, whole)
        left = len(batch) - len(whole)
        query = statement(count_keys(self.job.table.quoted, self.job.key_columns))
        (present,) = (self.connection.execute(query, keys).fetchone() if left else None) or (0,)
        return BatchOutcome(0, len(whole), present), deleted

    def _lock_parents(self, keys: list[list[str]]) -> list[tuple[object, ...]]:
        """Lock the parents that are still there; return place in the batch, digest and key of each."""
        job, table = self.job, self.job.table
        scope = in_scope(job, self.manifest.window, self.manifest.where)
        if job.archive.where != self.manifest.where:  # what was in scope then, and still is
            scope += operators_predicate(job.archive.where)
        query = (
            f"{self._select(job)} FROM {table.quoted}, {key_batch(job.key_columns, places=True)} "
            f"WHERE {matches(table.quoted, job.key_columns)} AND {scope} AND {self._same_columns(job)} "
            f"FOR UPDATE OF {quote_identifier(table.name)}"
        )
        return self.connection.execute(statement(query), keys).fetchall()

    def _lock_children(self, child: Job, keys: list[list[str]], places: NDArray[np.int64]) -> list[tuple[object, ...]]:
        """Return the parent's place, digest and key of all children of the parents at these places."""
        assert child.parent is not None
        table, limit_ = child.table, self.job.archive.purge.max_family_rows
        chosen = [[column[place] for place in places.tolist()] for column in keys]
        joined = " AND ".join(
            f'{table.quoted}.{quote_identifier(name)} = {BATCH}."tidegate k{i}"::{key_type(column)}'
            for i, (name, column) in enumerate(zip(child.parent.foreign_key, self.job.key_columns, strict=True))
        )
        source = f"FROM {table.quoted}, {key_batch(self.job.key_columns, places=True)} WHERE {joined}"
        (rows,) = self.connection.execute(statement(f"SELECT count(*) {source}"), chosen).fetchone() or (0,)
        if rows > limit_:
            raise TooLarge(
                f"{len(places)} rows of {self.job.table.quoted} have {rows} rows in {table.quoted}, more than "
                f"purge.max_family_rows ({limit_}) lets one transaction delete"
                + (f": the row with key {', '.join(column[0] for column in chosen)}." if len(places) == 1 else "."),
                next_step="If that is meant, set purge.max_family_rows higher in archives.yaml.",
            )
        query = f"{self._select(child)} {source} AND {self._same_columns(child)} FOR UPDATE OF "
        found = self.connection.execute(statement(query + quote_identifier(table.name)), chosen).fetchall()
        if len(found) < rows:
            raise Collision(f"Rows of {table.quoted} went away, or its columns changed, while they were being locked.")
        return [(places[int(str(place)) - 1] + 1, digest, *key) for place, digest, *key in found]

    def _select(self, member: Job) -> str:
        digest = digest_expression(member.columns, [source_value(c) for c in member.columns], utf8=member.table.utf8)
        texts = [f"({source_value(column)})::text" for column in member.key_columns]
        return f"SELECT {', '.join([PLACE, f'left({digest}, 16)', *texts])}"

    def _same_columns(self, member: Job) -> str:
        archived = {column.name for column in member.columns if column.derived is None}
        discarded = set(member.archive.columns.exclude) & set(self.job.archive.purge.discard_columns)
        return has_no_column_but(member.table.quoted, archived | discarded)

    def _delete_rows(self, rows: "_Rows", whole: NDArray[np.int64]) -> Digests:
        """Delete the locked rows of whole families, and return their digests."""
        keys = rows.keys_of(whole)
        expected = len(keys[0])
        if expected:
            table, columns = rows.job.table.quoted, rows.job.key_columns
            query = (
                f"DELETE FROM {table} USING {key_batch(columns)} "
                f"WHERE {matches(table, columns)} AND {sets_off_nothing_new(rows.job)}"
            )
            gone = self.connection.execute(statement(query), keys).rowcount
            if gone != expected:
                raise self._kept(rows, f"lost {gone} rows where {expected} were to be deleted")
        return rows.of(whole)

    def _refuse_written_back(self, rows: "_Rows", whole: NDArray[np.int64]) -> None:
        """Find rows that a trigger, which may fire, has written again after they were deleted."""
        keys = rows.keys_of(whole)
        query = count_keys(rows.job.table.quoted, rows.job.key_columns)
        (back,) = (self.connection.execute(statement(query), keys).fetchone() if keys[0] else None) or (0,)
        if back:
            raise self._kept(rows, f"has {back} of {len(keys[0])} deleted rows again")

    def _kept(self, rows: "_Rows", what: str) -> RowsKept:
        names = ", ".join(delete_triggers(self.connection, rows.job.table)) or "none"
        return RowsKept(
            f"{rows.job.table.quoted} {what}; nothing of this batch was. Its triggers for DELETE: {names}.",
            next_step="Settle what the table's triggers are to do. A foreign key that is new is named by the next run.",
        )


class _Rows:
    """Rows of one table that are locked, with the places of the parents that they are or belong to."""

    def __init__(self, job: Job, found: list[tuple[object, ...]], proven: Digests) -> None:
        self.job = job
        self.places = np.array([int(str(row[0])) - 1 for row in found], dtype=np.int64)
        self.digests = np.array([int(str(row[1]), 16) for row in found], dtype=np.uint64).byteswap()
        self.keys = [[str(row[2 + i]) for row in found] for i in range(len(job.key))]
        place = np.minimum(np.searchsorted(proven, self.digests), max(0, len(proven) - 1))
        self.is_proven = proven[place] == self.digests if len(proven) else np.zeros(len(found), dtype=bool)

    def of(self, families: NDArray[np.int64]) -> Digests:
        """Return the digests of the rows of these families."""
        return self.digests[np.isin(self.places, families)]

    def keys_of(self, families: NDArray[np.int64]) -> list[list[str]]:
        """Return the keys of the rows of these families, column by column."""
        chosen = np.isin(self.places, families)
        return [[text for text, wanted in zip(texts, chosen, strict=True) if wanted] for texts in self.keys]
