"""The URL of a MariaDB or MySQL source, taken apart for the driver, and kept out of every message."""

import re
import ssl
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from schemas.errors import ConfigError

SCHEMES = ("mysql", "mariadb")
DEFAULT_PORT = 3306
_PARAMETERS = ("sslmode", "sslrootcert", "unix_socket")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def connect_arguments(url: str) -> dict[str, Any]:
    """Return what PyMySQL needs to know of a URL: where, who, which database, and how to encrypt.

    Without a word about `sslmode`, the connection is encrypted if the server can (`prefer`), as with PostgreSQL.

    Raises:
        ConfigError: The URL is malformed; the message shows nothing of what may be a password.
    """
    _check(url)
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    mode = options.get("sslmode", "prefer")
    arguments: dict[str, Any] = {
        "host": unquote(parts.hostname or "localhost"),
        "port": parts.port or DEFAULT_PORT,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.removeprefix("/")),
        **({"ssl_disabled": True} if mode == "disable" else {"ssl": _ssl_context(mode, options.get("sslrootcert"))}),
    }
    if "unix_socket" in options:
        arguments["unix_socket"] = options["unix_socket"]
    return arguments


def may_be_plain(url: str) -> bool:
    """Return whether a connection to a server that cannot encrypt is what the URL allows."""
    return dict(parse_qsl(urlsplit(url).query)).get("sslmode", "prefer") in {"allow", "prefer"}


def _ssl_context(mode: str, authority: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify-") else ssl.CERT_NONE
    if mode.startswith("verify-"):
        try:
            context.load_verify_locations(authority) if authority else context.load_default_certs()
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"The certificates {authority} cannot be read: {error}",
                next_step="Correct sslrootcert in the URL of the source.",
            ) from None
    return context


def _check(url: str) -> None:
    after = url.partition("://")[2]
    authority = re.split(r"[/?#]", after, maxsplit=1)[0]
    reason = ""
    if after.count("@") > authority.count("@") or authority.count("@") > 1:
        reason = "an @ stands where none is allowed"
    else:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            reason = "its host or its port cannot be read"
        else:
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
            unknown = sorted(set(options) - set(_PARAMETERS))
            if unknown:
                reason = f"it has the unknown parameter {unknown[0]!r} (known: {', '.join(_PARAMETERS)})"
            elif options.get("sslmode", "prefer") not in _SSL_MODES:
                reason = f"sslmode must be one of {', '.join(_SSL_MODES)}"
            elif not parts.path.removeprefix("/"):
                reason = "it names no database"
    if reason:
        raise ConfigError(
            f"The URL of the source is malformed: {reason}.",
            next_step="Write mysql://user:password@host:3306/database. In user and password, signs that mean something "
            "in a URL are percent-encoded (@ is %40, / is %2F, ? is %3F, # is %23, % is %25); or give host, database, "
            "user and password one by one.",
        )


def redact(text: str, url: str) -> str:
    """Return `text` without the password of `url`, however a driver printed it."""
    written = re.search(r"://[^:/@\s]*:([^@\s]*)@", url)
    secret = written.group(1) if written else ""
    text = re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
    for shown in {secret, unquote(secret)}:
        if len(shown) > 2:  # a shorter one would blot out half of the text, and is no secret
            text = text.replace(shown, "***")
    return text
