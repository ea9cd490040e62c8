"""What an error of PyMySQL means for the work: wrong for good, or worth another try. No secrets."""

from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from blocks.dialects.mysql.source_url import redact
from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError

_CHECK_LOGIN = "Check user and password of the source (sources.yaml or its environment)."
_CHECK_SOURCE = "Check the connection of the source in sources.yaml."
_GRANT = "Grant the right that is missing, then run it again."
_REFERRED = "Archive or delete the rows that refer to it first."
_RESUME = "Run the same command again; it resumes."
_VALUES = "Correct the values, or `where` and `columns.derive` so that they suit them."
_PRIMARY = "Name the primary in sources.yaml, or make the server writable."
_TIME = "Give a batch more time (purge.statement_timeout_s) or fewer rows (purge.batch_rows)."
_TRIGGERS = "Settle what the table's triggers are to do."

# Error number -> what to do. None of it passes by itself: wrong rights, names, logins.
_WRONG = {
    1044: _GRANT, 1142: _GRANT, 1143: _GRANT, 1227: _GRANT, 1370: _GRANT,
    1045: _CHECK_LOGIN, 1130: _CHECK_LOGIN, 1251: _CHECK_LOGIN, 1524: _CHECK_LOGIN, 1698: _CHECK_LOGIN,
    1820: _CHECK_LOGIN, 1862: _CHECK_LOGIN, 3118: _CHECK_LOGIN, 4151: _CHECK_LOGIN,
    1046: _CHECK_SOURCE, 1049: _CHECK_SOURCE, 2026: _CHECK_SOURCE,
    1054: "", 1064: "", 1109: "", 1146: "", 1305: "",
}  # fmt: skip
# Statements that the server refuses for what is in the data, or for what it is.
_REFUSED = {
    1048: _VALUES, 1264: _VALUES, 1265: _VALUES, 1292: _VALUES, 1365: _VALUES, 1366: _VALUES, 1406: _VALUES,
    1690: _VALUES, 3819: _VALUES, 4025: _VALUES, 1451: _REFERRED, 1452: "", 1062: "",
    1644: _TRIGGERS, 1290: _PRIMARY, 1836: _PRIMARY, 1969: _TIME, 3024: _TIME,
    1153: "Raise max_allowed_packet on the server.",
}  # fmt: skip
# Connection lost or refused, server full or shutting down, killed, another table definition in a snapshot.
_PASSING = frozenset(
    {1020, 1021, 1037, 1038, 1040, 1041, 1053, 1077, 1079, 1129, 1135, 1152, 1154, 1155, 1156, 1157, 1158, 1159, 1160,
     1161, 1184, 1203, 1226, 1317, 1412, 1927, 2000, 2002, 2003, 2006, 2012, 2013, 2014, 2055, 4031}
)  # fmt: skip
# Somebody else's lock: wait timeout, deadlock, a row that changed since the transaction's snapshot.
COLLISIONS = frozenset({1020, 1205, 1213})


def code_of(error: BaseException) -> int:
    """Return the server's or the client's error number, or 0 without one."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def is_passing(error: pymysql.Error) -> bool:
    """Return whether an error says nothing of the statement: a lost connection, somebody else's lock."""
    code = code_of(error)
    if not code:  # without a number: the socket's own
        return isinstance(error, pymysql.OperationalError | pymysql.InterfaceError)
    return code in _PASSING or code in COLLISIONS


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the driver's errors into Tidegate's, without secrets in their text."""
    try:
        yield
    except (pymysql.Error, OSError) as error:
        raise translate(error, url) from None


def translate(error: BaseException, url: str) -> TidegateError:
    """Return the Tidegate error for an error of PyMySQL or of the socket beneath it."""
    code = code_of(error) if isinstance(error, pymysql.Error) else 0
    said = str(error.args[1]) if code and len(error.args) > 1 else str(error)
    what = f"{redact(url, url)}: {redact(said.strip(), url)}{f' (error {code})' if code else ''}"
    if code in _WRONG:
        return ConfigError(what, next_step=_WRONG[code])
    if code in _PASSING or code in COLLISIONS:
        return SourceUnavailable(what, next_step=_RESUME)
    if code in _REFUSED:
        return SourceError(what, next_step=_REFUSED[code])
    # Without a number: the socket's own errors, and "(0, '')" on a connection that is gone.
    if isinstance(error, OSError | pymysql.err.InterfaceError) or (
        isinstance(error, pymysql.OperationalError) and not code
    ):
        return SourceUnavailable(what, next_step=_RESUME)
    return SourceError(what)
