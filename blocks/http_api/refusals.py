"""What an API does that ends the reading of a table, as errors that say where, what, and what to look at."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import httpx

from blocks.http_api.body import TooLarge
from blocks.http_api.hidden import Hidden
from schemas.errors import SourceError

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Refusals:
    """Makes the errors of one source; nothing in them is secret."""

    def __init__(self, source: str, hidden: Hidden) -> None:
        self._source, self._hidden = source, hidden

    def asked(self, url: httpx.URL, place: str) -> str:
        """Return what was asked, for people."""
        where = f", {self._hidden.text(place, 100)}" if place else ""
        return f"Source {self._source}: GET {self._hidden.url(url)}{where}"

    def shown(self, text: str) -> str:
        """Return the beginning of something that the API said, without secrets."""
        return self._hidden.text(text)

    def wrong(self, url: httpx.URL, place: str, what: str, next_step: str = "") -> SourceError:
        """Return an error about an answer that cannot be used."""
        return SourceError(
            f"{self.asked(url, place)} {what}.",
            next_step=next_step
            or f"Look at the source {self._source} in sources.yaml, and at the API's documentation.",
        )

    def refused(self, url: httpx.URL, place: str, status: int, body: bytes) -> SourceError:
        """Return an error about a status that asking again does not change."""
        said = self._hidden.text(body.decode(errors="replace"))
        advice = {
            400: "Check params, extract and pagination of the table: the API does not take what it was asked.",
            401: f"The login was not accepted. Check auth of the source {self._source}: its type, and that what it "
            "takes from the environment is set and has not expired.",
            403: "The login is known, and may not read this. Check its rights (an OAuth scope, a plan), and the path.",
            404: "Check url of the source and path of the table.",
        }
        return self.wrong(
            url, place, f"was refused with {status}" + (f": {said}" if said else ""), advice.get(status, "")
        )

    def come_back_later(self, url: httpx.URL, place: str, status: int, after_s: float) -> SourceError:
        """Return an error about a wait that is too long for a run."""
        hours = min(after_s, 10 * 365 * 24 * 3600.0)
        at = datetime.now(UTC) + timedelta(seconds=hours)
        return self.wrong(
            url,
            place,
            f"was answered with {status}: the API asks to be left alone for {after_s:.0f} s",
            f"Run it again after {at:%Y-%m-%d %H:%M} UTC. A lower rate_limit of the source may spare it this.",
        )

    def unreadable(self, url: httpx.URL, place: str, error: Exception, max_mb: int) -> SourceError:
        """Return an error about a body that was not read to its end."""
        if isinstance(error, TooLarge):
            return self.wrong(
                url,
                place,
                f"has an answer of more than {max_mb} MB (max_answer_mb), unpacked",
                "Ask for smaller pages (pagination), or raise max_answer_mb of the source: answers are held in memory.",
            )
        return self.wrong(url, place, f"cannot be read ({type(error).__name__}: {self._hidden.text(str(error), 80)})")

    def certificate(self, url: httpx.URL, place: str, error: Exception) -> SourceError:
        """Return an error about a server that cannot prove that it is the right one."""
        return self.wrong(
            url,
            place,
            f"failed: the certificate is not to be trusted ({self._hidden.text(str(error))})",
            "Check the host. The CA of a house's own goes into the file that SSL_CERT_FILE names.",
        )

    def redirected(self, url: httpx.URL, target: str, place: str) -> httpx.URL:
        """Return where an answer sends us to.

        Raises:
            SourceError: It is another server: the login is not for it.
        """
        return self.followed(url, target, place, "is redirected")

    def followed(self, url: httpx.URL, target: str, place: str, how: str) -> httpx.URL:
        """Return the URL that an answer names, relative to its own; it must not lead to another server.

        Raises:
            SourceError: It does, or it is no URL.
        """
        try:
            found = httpx.URL(urljoin(str(url), target.strip()))
        except (httpx.InvalidURL, ValueError) as error:
            raise self.wrong(url, place, f"{how} to something that is no URL") from error
        if not target.strip() or found.scheme not in _DEFAULT_PORTS or not found.host or found.userinfo:
            raise self.wrong(url, place, f"{how} to something that is no URL")
        upgraded = (url.scheme, found.scheme) == ("http", "https") and url.host == found.host
        if not upgraded and _origin(url) != _origin(found):
            raise self.wrong(
                url,
                place,
                f"{how} to {self._hidden.url(found)}, which is another server, and the login is not sent there",
                f"If that is the right one, write it as url of the source {self._source}.",
            )
        return found.copy_with(fragment=None)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)
