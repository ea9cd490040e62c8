"""A streaming replica of the test PostgreSQL: hot standby, read-only, a copy made by `pg_basebackup`."""

import os
import pwd
import subprocess
from dataclasses import dataclass, field

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
