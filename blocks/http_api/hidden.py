"""Keeps secrets out of what is shown of an API: bodies of errors, cursors, places of pages, httpx's own log lines."""

import logging
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

_SHOWN = 200


class Hidden:
    """Texts that must not be seen anywhere, and how text looks without them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this one from now on, too, also as it looks in a URL."""
        self._secrets |= {text for text in (secret, quote(secret, safe=""), quote_plus(secret)) if text.strip()}

    def text(self, text: str, at_most: int = _SHOWN) -> str:
        """Return the beginning of a text on one line, with `***` for every secret."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        line = " ".join("".join(c if c.isprintable() or c.isspace() else "�" for c in text).split())
        return line if len(line) <= at_most else f"{line[:at_most]}…"

    def url(self, url: object) -> str:
        """Return a URL without its query, where keys and cursors are, and without a login."""
        parts = urlsplit(str(url))
        port = f":{parts.port}" if parts.port else ""
        return self.text(f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}")


class _NoQueries(logging.Filter):
    """httpx logs each URL that it asks, and a key may be in it."""

    _QUERY = re.compile(r"\?\S*")

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(self._shown(value) for value in record.args)
        return True

    def _shown(self, value: Any) -> Any:
        text = str(value)
        return self._QUERY.sub("?…", text) if "://" in text else value


def hide_queries_in_logs() -> None:
    """Make httpx log URLs without their queries."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(one, _NoQueries) for one in logger.filters):
        logger.addFilter(_NoQueries())
