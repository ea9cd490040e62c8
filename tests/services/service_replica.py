"""A streaming replica of the test PostgreSQL: hot standby, read-only, a copy made by `pg_basebackup`."""

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from tidegate.demo.postgres import EmbeddedPostgres


@dataclass
class Replica(EmbeddedPostgres):
    """A standby of `primary` that lives as long as the `with` block; users and passwords are the primary's."""

    primary: EmbeddedPostgres = field(default_factory=EmbeddedPostgres)

    def _initdb(self) -> None:
        self.password = self.primary.password
        self._home = self.folder / "home"
        self._home.mkdir()
        self._data, self._log = self._home / "data", self._home / "server.log"
        if os.geteuid() == 0:
            os.chown(self._home, pwd.getpwnam("nobody").pw_uid, -1)
        command = [
            str(self._bin / "pg_basebackup"), "-D", str(self._data), "-d", self.primary.url(), "-R", "-X", "stream",
            "-c", "fast", "--no-sync",
        ]  # fmt: skip
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True, **self._surroundings())

    def catch_up(self) -> None:
        """Return once everything that the primary has written by now is replayed here."""
        with (
            psycopg.connect(self.primary.url(), autocommit=True) as primary,
            psycopg.connect(self.url(), autocommit=True) as standby,
        ):
            (position,) = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
            while standby.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]).fetchone() != (True,):
                time.sleep(0.01)


@pytest.fixture(scope="session")
def running_standby(postgres: EmbeddedPostgres) -> Iterator[Replica]:
    """A streaming replica of the session's PostgreSQL."""
    with Replica(primary=postgres, settings={"max_connections": "100"}) as standby:
        yield standby


@pytest.fixture
def standby(running_standby: Replica, database: str) -> Iterator[Replica]:
    """The replica, with the test's database in it; it replays again when the test is over."""
    running_standby.catch_up()
    yield running_standby
    with psycopg.connect(running_standby.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_resume()")
