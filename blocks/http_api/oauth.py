"""OAuth 2 client credentials (RFC 6749, 4.4): a token for all tables of a source, renewed shortly before it expires."""

import base64
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import httpx

from blocks.http_api.body import ACCEPT_ENCODING, Incomplete, TooLarge, UnknownEncoding, read_body
from blocks.http_api.hidden import Hidden
from blocks.http_api.patience import Stopped
from blocks.http_api.side_thread import in_side_thread
from schemas.errors import SourceError, SourceUnavailable
from schemas.sources.api import OAuthAuth

# A token is not used in its last seconds: it could expire on the way.
EARLY_S = 30.0
_ANSWER_MAX_BYTES = 1 << 20
_UNTOUCHED = "Nothing was read or written."


@dataclass
class _Token:
    """A token that all tables of a source in this process use; `value` is "" before the first."""

    value: str = ""
    good_until: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_good(self) -> bool:
        return bool(self.value) and (self.good_until is None or time.monotonic() < self.good_until)


_tokens: dict[tuple[str, str, str, str | None], _Token] = {}
_tokens_lock = threading.Lock()


class OAuthLogin:
    """Signs requests with a token that it asks for when it needs one."""

    def __init__(self, source: str, auth: OAuthAuth, client: httpx.Client, hidden: Hidden, stopped: Stopped) -> None:
        self._source, self._auth, self._client, self._hidden, self._stopped = source, auth, client, hidden, stopped
        secret = auth.client_secret.get_secret_value()
        hidden.add(secret)
        self._used = ""
        with _tokens_lock:
            self._token = _tokens.setdefault((auth.token_url, auth.client_id, secret, auth.scope), _Token())

    def sign(self, url: httpx.URL, headers: dict[str, str]) -> httpx.URL:
        """Put a token that is good now into the headers.

        Raises:
            SourceError: The token's endpoint refuses.
            SourceUnavailable: It could not be reached, or is unwell.
        """
        with self._token.lock:
            if not self._token.is_good:
                self._fetch()
            self._used = self._token.value
        self._hidden.add(self._used)
        headers["Authorization"] = f"Bearer {self._used}"
        return url

    def renew(self) -> bool:
        """Give the token up that was refused, unless another table has done so already."""
        with self._token.lock:
            if self._token.value == self._used:
                self._token.value = ""
        return True

    def _fetch(self) -> None:
        asked = time.monotonic()
        status, body = self._ask()
        answer = self._read(status, body)
        token, lasts_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token.strip() or not token.isascii() or not token.isprintable():
            raise self._refused("answered without an access_token that can be sent")
        self._hidden.add(token)
        kind = answer.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise self._refused(f"gave a token of type {self._hidden.text(str(kind), 40)}, and not Bearer")
        try:
            seconds = None if lasts_s is None else float(lasts_s)
        except (TypeError, ValueError):
            seconds = None
        # Of a token that lasts a minute, half of it would be gone.
        self._token.good_until = None if seconds is None else asked + seconds - min(EARLY_S, seconds / 10)
        self._token.value = token

    def _ask(self) -> tuple[int, bytes]:
        auth = self._auth
        secret = auth.client_secret.get_secret_value()
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        headers = {"Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING}
        if auth.send == "body":
            form |= {"client_id": auth.client_id, "client_secret": secret}
        else:
            pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            self._hidden.add(headers["Authorization"].removeprefix("Basic "))

        def post() -> tuple[int, bytes]:
            with self._client.stream("POST", auth.token_url, data=form, headers=headers) as response:
                return response.status_code, read_body(response, _ANSWER_MAX_BYTES)

        try:
            return in_side_thread(post, self._stopped)
        except httpx.TransportError as error:
            raise SourceUnavailable(
                f"Source {self._source}: no token from {self._url}: {type(error).__name__}: "
                f"{self._hidden.text(str(error)) or 'no answer'}.",
                state=_UNTOUCHED,
                next_step="Look whether the host of auth.token_url answers; then run the same command again.",
            ) from error
        except (TooLarge, UnknownEncoding, Incomplete, httpx.InvalidURL) as error:
            raise self._refused(f"gave an answer that cannot be read ({type(error).__name__})") from error

    def _read(self, status: int, body: bytes) -> dict[str, Any]:
        said = self._hidden.text(body.decode(errors="replace"))
        if status == 429 or status >= 500:
            raise SourceUnavailable(
                f"Source {self._source}: no token from {self._url}: it answered {status}: {said}",
                state=_UNTOUCHED,
                next_step="Run the same command again later.",
            )
        if status != 200:
            raise self._refused(f"answered {status}: {said}")
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._refused("answered, but not in JSON") from error
        if not isinstance(answer, dict):
            raise self._refused("answered, but with no JSON object")
        return answer

    def _refused(self, what: str) -> SourceError:
        return SourceError(
            f"Source {self._source}: no token from {self._url}: it {what}.",
            state=_UNTOUCHED,
            next_step=f"Check auth.token_url, client_id, client_secret, scope and send of the source {self._source}.",
        )

    @property
    def _url(self) -> str:
        return self._hidden.url(self._auth.token_url)
