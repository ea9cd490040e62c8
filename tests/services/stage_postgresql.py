"""Stages over PostgreSQL, with a lake in a folder or on S3."""

import copy
import time
import uuid
from pathlib import Path

import psycopg
from oracle import Oracle
from psycopg import sql
from service_bench import Bench
from service_seaweedfs import SeaweedFS
from service_stage import Stage, scope_of
from service_zygote import Zygote

from blocks.s3_lake import S3Lake
from tidegate.demo.postgres import EmbeddedPostgres

ARCHIVE = {
    "from": "2024-01-01", "to": "2024-04-01", "where": "shop IS DISTINCT FROM 'shop 2'",
    "purge": {"mode": "delete", "batch_rows": 40},
}  # fmt: skip
SETTLE_S = 60.0  # for the database to notice that a client died


class PostgresStage(Stage):
    """A stage with databases of its own.

    The copy of the database gets its old name: to the snapshot fence it is the same one, row versions included.

    Args:
        postgres: The server.
        zygote: Runs the flows.
        folder: Of the project; its name becomes that of the database.
    """

    rows = 330  # from January into April; those of `shop 2` are out of scope

    def __init__(self, postgres: EmbeddedPostgres, zygote: Zygote, folder: Path) -> None:
        self._name = folder.name
        self._connection = psycopg.connect(postgres.url(), autocommit=True)
        self._admin(f"CREATE DATABASE {self._name}")
        super().__init__(self.make_bench(postgres.url(self._name), folder), zygote)

    def make_bench(self, url: str, folder: Path) -> Bench:
        return Bench(url, folder, dict(ARCHIVE))

    def fill(self) -> None:
        self.bench.fill_orders(self.rows)
        self.bench.sql(
            "INSERT INTO orders VALUES (1001, NULL), (1002, 'infinity'), (1003, '2026-01-01'), (1004, '2023-12-31')"
        )
        self.oracle = Oracle(self.bench, scope=scope_of(self.bench.archive))

    def keep_source(self) -> None:
        self._admin(f"ALTER DATABASE {self._name} RENAME TO {self._name}_kept")

    def reset_source(self) -> None:
        self._admin(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        self._admin(f"CREATE DATABASE {self._name} TEMPLATE {self._name}_kept")

    def settle(self) -> None:
        until = time.monotonic() + SETTLE_S
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        while self._connection.execute(query, [self._name]).fetchone() != (0,):
            assert time.monotonic() < until, "a connection of a dead process is still there"
            time.sleep(0.005)

    def close(self) -> None:
        for database in (self._name, f"{self._name}_kept"):
            self._admin(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self._connection.close()

    def _admin(self, statement: str) -> None:
        self._connection.execute(sql.SQL(statement))


class S3Bench(Bench):
    """A project with a lake on S3.

    Attributes:
        place: The lake.
    """

    place: S3Lake

    def move(self, place: S3Lake) -> None:
        """Have its lake elsewhere from here on."""
        self.place = place
        self.settings["lake"] = place.url
        self.configure()

    @property
    def lake(self) -> S3Lake:
        return self.place


class S3Stage(PostgresStage):
    """A stage whose lake is on S3: each time it is set back, at another prefix.

    Args:
        postgres: The server.
        store: The store.
        bucket: Of the lakes.
        zygote: Runs the flows.
        folder: Of the project.
    """

    bench: S3Bench
    rows = 220  # into March

    def __init__(self, postgres: EmbeddedPostgres, store: SeaweedFS, bucket: str, zygote: Zygote, folder: Path) -> None:
        self._everywhere = S3Lake(bucket, "kills", store.access())
        self._everywhere.check(write=False)  # and have its connections
        super().__init__(postgres, zygote, folder)
        self.environment = {
            "AWS_ACCESS_KEY_ID": store.key, "AWS_SECRET_ACCESS_KEY": store.secret,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url, "AWS_REGION": "us-east-1",
        }  # fmt: skip

    def make_bench(self, url: str, folder: Path) -> S3Bench:
        bench = S3Bench(url, folder, {**ARCHIVE, "to": "2024-03-01"})
        bench.move(self._somewhere())
        return bench

    def keep_lake(self) -> None:
        self._kept_records = self.bench.records()

    def reset_lake(self) -> None:
        self.bench.move(self._somewhere())
        for path, content in self._kept_records.items():
            self.bench.lake.put_if_absent(path, content)

    def _somewhere(self) -> S3Lake:
        lake = copy.copy(self._everywhere)
        lake.prefix = f"kills/{uuid.uuid4().hex[:12]}"
        return lake
