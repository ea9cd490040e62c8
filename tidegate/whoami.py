"""Who runs a command, as a record names that person."""

import getpass
import os


def whoami() -> str:
    """Return the name of the system's user, or the user's number if the system has no name for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # in a container, users often have none
        return f"user {os.getuid()}"
