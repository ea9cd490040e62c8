"""The two HTTP APIs of the demo shop, on loopback: exchange rates behind a token, page by page, and public holidays."""

import json
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

PAGE = 100


@dataclass
class ShopApis:
    """An HTTP server that lives as long as the `with` block.

    Attributes:
        rates: What `/v1/rates` gives: `{"data": {"rates": […]}}`, numbered pages, from `since` on if that is asked for.
        holidays: What `/holidays` gives: a list, in pages that a Link header joins, with an ETag.
        token: What has to be sent for the rates.
    """

    rates: list[dict[str, Any]]
    holidays: list[dict[str, Any]]
    token: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)

    def __enter__(self) -> Self:
        apis = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                status, body, headers = apis._answer(url.path, query, dict(self.headers))
                content = json.dumps(body).encode() if status != 304 else b""
                self.send_response(status)
                for name, value in {
                    "Content-Type": "application/json",
                    "Content-Length": str(len(content)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the demo has its own output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if path == "/v1/rates":
            return self._rates(query, headers.get("Authorization", ""))
        if path == "/holidays":
            return self._holidays(query, headers.get("If-None-Match", ""))
        return 404, {"error": "there is nothing here"}, {}

    def _rates(self, query: dict[str, str], login: str) -> tuple[int, Any, dict[str, str]]:
        if login != f"Bearer {self.token}":
            return 401, {"error": "a token is needed"}, {}
        since, page = query.get("since", ""), int(query.get("page", "1"))
        found = [rate for rate in self.rates if rate["day"] >= since]
        return 200, {"data": {"rates": found[(page - 1) * PAGE : page * PAGE]}, "page": page}, {}

    def _holidays(self, query: dict[str, str], known: str) -> tuple[int, Any, dict[str, str]]:
        first = int(query.get("from", "0"))
        page = self.holidays[first : first + PAGE]
        etag = f'"{sha256(json.dumps(page).encode()).hexdigest()[:16]}"'
        if etag == known:
            return 304, None, {"ETag": etag}
        more = (
            {"Link": f'<{self.url}/holidays?from={first + PAGE}>; rel="next"'}
            if first + PAGE < len(self.holidays)
            else {}
        )
        return 200, page, {"ETag": etag, **more}
