"""What an error of psycopg or connectorx means for the work: wrong for good, or worth another try. No secrets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from schemas.errors import ConfigError, SourceError, SourceUnavailable, TidegateError

_CHECK_LOGIN = "Check user and password of the source (sources.yaml or its environment)."
_CHECK_SOURCE = "Check the connection of the source in sources.yaml."
_GRANT = "Grant the right that is missing, then run it again."
_REFERRED = "Archive or delete the rows that refer to it first."
_RESUME = "Run the same command again; it resumes."

# SQLSTATE, or its first characters -> what to do; none of it passes by itself. Wrong rights, names, logins; then
# statements that the server refuses for what is in the data.
_WRONG = {"42501": _GRANT, "28": _CHECK_LOGIN, "3D": _CHECK_SOURCE, "42P01": "", "42703": "", "42883": ""}
_REFUSED = {
    "22": "Correct the values, or `where` and `columns.derive` so that they suit them.",
    "23001": _REFERRED,
    "23503": _REFERRED,
    "57014": "Give a batch more time (purge.statement_timeout_s) or fewer rows (purge.batch_rows).",
    "P0001": "Settle what the table's triggers are to do.",
}
# Connection lost, server full or shutting down, a session ended for its age; then somebody else's lock.
_PASSING = ("08", "53", "57P", "25P03", "25P04", "40001", "40P01", "55P03")

# While connecting there is no SQLSTATE, only what the server or libpq says.
_WRONG_LOGIN = re.compile(
    r"authentication failed|no password supplied|is not permitted to log in|no pg_hba\.conf entry"
    r"|permission denied for database"
)
_WRONG_SOURCE = re.compile(
    r'(database|role) ".*" does not exist|not currently accepting connections|server does not support SSL'
    r"|certificate|invalid (port number|\w+ value)|invalid integer value"
)
# What connectorx says when its connection, or the session that holds the snapshot, is gone.
_LOST = re.compile(
    r"kind: (Closed|Io|Connect|Timeout)\b|connection closed|timed out waiting for connection|communicating with the"
    r'|snapshot ".*" does not exist|invalid snapshot identifier|conflict with recovery|terminating connection'
)
_CONNECTORX_ERROR = re.compile(r'code: SqlState\((?:Other\(")?E?(\w{5})"?\)?\), message: "((?:[^"\\]|\\.)*)"')


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn psycopg's errors into Tidegate's, without secrets in their text."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, url) from None


def translate(error: BaseException, url: str) -> TidegateError:
    """Return the Tidegate error for an error of psycopg or connectorx."""
    text, code = _told(error)
    what = f"{redact(url, url)}: {redact(text, url)}"
    if code.startswith(_PASSING):
        return SourceUnavailable(what, next_step=_RESUME)
    for kind, next_steps in ((ConfigError, _WRONG), (SourceError, _REFUSED)):
        for state, next_step in next_steps.items():
            if code.startswith(state):
                return kind(what, next_step=next_step)
    if code:
        return SourceError(what)
    if _WRONG_LOGIN.search(text):
        return ConfigError(what, next_step=_CHECK_LOGIN)
    if _WRONG_SOURCE.search(text):
        return ConfigError(what, next_step=_CHECK_SOURCE)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or _LOST.search(text):
        return SourceUnavailable(what, next_step=_RESUME)
    return SourceError(what)


def _told(error: BaseException) -> tuple[str, str]:
    """Return what an error says and its SQLSTATE, or "" without one."""
    text = str(error).strip()
    if isinstance(error, psycopg.Error):
        return text, error.sqlstate or ""
    printed = _CONNECTORX_ERROR.search(text)  # the debug form of a struct
    return (re.sub(r"\\(.)", r"\1", printed.group(2)), printed.group(1)) if printed else (text, "")


def check_url(url: str) -> None:
    """Refuse a URL that libpq and connectorx would take apart otherwise than it was meant.

    Raises:
        ConfigError: It shows nothing of what may be a password.
    """
    after = url.partition("://")[2]
    authority = re.split(r"[/?#]", after, maxsplit=1)[0]
    reason = ""
    if after.count("@") > authority.count("@") or authority.count("@") > 1:
        reason = "an @ stands where none is allowed"
    else:
        try:
            psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            known = re.match(r"invalid URI query parameter", str(error))
            reason = str(error).strip() if known else "libpq cannot read it"
    if reason:
        raise ConfigError(
            f"The URL of the source is malformed: {reason}.",
            next_step="In user and password, write signs that mean something in a URL percent-encoded (@ is %40, / is "
            "%2F, ? is %3F, # is %23, % is %25), or give host, database, user and password one by one.",
        )


def redact(text: str, url: str) -> str:
    """Return `text` without the password of `url` (a URL that `check_url` let pass), however a driver printed it."""
    parsed = psycopg.conninfo.conninfo_to_dict(url).get("password")
    written = re.search(r"://[^:/@\s]*:([^@\s]*)@", url)
    secrets = {str(parsed or ""), written.group(1) if written else ""}
    text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    text = re.sub(r"(password=)[^&\s]+", r"\1***", text)
    for secret in secrets:
        if len(secret) > 2:  # a shorter one would blot out half of the text, and is no secret
            text = text.replace(secret, "***")
    return text
