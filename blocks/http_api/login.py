"""How each request proves who asks: a token, a password, a key, or an OAuth token that is fetched and renewed."""

import base64
from typing import Protocol

import httpx

from blocks.http_api.hidden import Hidden
from blocks.http_api.oauth import OAuthLogin
from blocks.http_api.patience import Stopped
from schemas.sources.api import ApiKeyAuth, ApiSource, BasicAuth, BearerAuth, OAuthAuth


class Login(Protocol):
    """What makes a request one of ours."""

    def sign(self, url: httpx.URL, headers: dict[str, str]) -> httpx.URL:
        """Put what proves who asks into the headers, or into the URL, which is returned."""
        ...

    def renew(self) -> bool:
        """Return, after a 401, whether asking once more with something new can help."""
        ...


class _Fixed:
    """The same header, or the same parameter, each time."""

    def __init__(self, header: tuple[str, str] | None = None, parameter: tuple[str, str] | None = None) -> None:
        self._header, self._parameter = header, parameter

    def sign(self, url: httpx.URL, headers: dict[str, str]) -> httpx.URL:
        if self._header is not None:
            headers[self._header[0]] = self._header[1]
        return url if self._parameter is None else url.copy_set_param(*self._parameter)

    def renew(self) -> bool:
        return False


def login_of(source: ApiSource, client: httpx.Client, hidden: Hidden, stopped: Stopped) -> Login:
    """Return how a source is logged in to; what is secret in it is hidden from now on."""
    auth = source.auth
    match auth:
        case None:
            return _Fixed()
        case BearerAuth():
            token = auth.token.get_secret_value()
            hidden.add(token)
            return _Fixed(("Authorization", f"Bearer {token}"))
        case BasicAuth():
            password = auth.password.get_secret_value()
            pair = base64.b64encode(f"{auth.user}:{password}".encode()).decode()
            hidden.add(password)
            hidden.add(pair)
            return _Fixed(("Authorization", f"Basic {pair}"))
        case ApiKeyAuth():
            key = auth.value.get_secret_value()
            hidden.add(key)
            return _Fixed(
                (auth.header, key) if auth.header is not None else None,
                (auth.query, key) if auth.query is not None else None,
            )
        case OAuthAuth():
            return OAuthLogin(source.name, auth, client, hidden, stopped)
