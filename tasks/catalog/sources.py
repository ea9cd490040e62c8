"""What a table is made from, in words, as its manifests tell: the configuration may be another one by now."""

import re
from collections.abc import Sequence

from blocks.ledger import Generation
from schemas.manifest import Manifest

_DATABASES = ("mysql", "sqlite", "sqlserver")
# The schema of a table's name if it is written without one; it means something on PostgreSQL only.
_NO_SCHEMA = "public."
_QUERY = re.compile(r"[\s(]*(--|/\*|(select|with|values)\b.*\s)", re.IGNORECASE | re.DOTALL)


def source_label(dataset: str, newest: Manifest, current: Sequence[Generation]) -> str:
    """Return `shop: mysql table customers`, `partners: 3 files`, `rates: api /latest` or `pipeline daily_sales`.

    Args:
        dataset: The table.
        newest: Its newest manifest.
        current: The generations that count.
    """
    if newest.built is not None:
        return f"pipeline {newest.built.pipeline}"
    return f"{newest.source}: {_what(dataset, newest, current)}"


def _what(dataset: str, newest: Manifest, current: Sequence[Generation]) -> str:
    extracted = newest.extracted
    if extracted is not None and extracted.origin is not None:
        origins = [g.manifest.extracted.origin for g in current if g.manifest.extracted]
        files = {origin.path for origin in origins if origin}
        return f"file {extracted.origin.path}" if len(files) == 1 else f"{len(files)} files"
    cluster = newest.attestation.snapshot.cluster
    if cluster == "lake":  # no database gave a snapshot
        return f"api {newest.table or dataset}"
    kind = next((kind for kind in _DATABASES if cluster.startswith(f"{kind}:")), "postgresql")
    if _QUERY.match(newest.table):  # the text of a query
        return f"{kind} query"
    return f"{kind} table {newest.table.removeprefix(_NO_SCHEMA) if kind in _DATABASES else newest.table}"
