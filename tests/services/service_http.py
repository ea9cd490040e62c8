"""A real HTTP server whose answers a test writes: it counts what it is asked, and can be slow, rude or cut short."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Reply = Callable[["Asked"], Response] | Response | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class HttpServer:
    """A server on 127.0.0.1 as long as its `with` block; `on(path, …)` says what it answers.

    Attributes:
        asked: Every request, in order.
    """

    asked: list[Asked] = field(default_factory=list)
    _replies: dict[str, list[Reply]] = field(default_factory=dict)

    def on(self, path: str, *replies: Reply) -> None:
        """Answer requests for a path: one reply after the other, the last one for ever."""
        self._replies[path] = list(replies)

    def cut(self, path: str, *, times: int, then: Reply, after_bytes: int = 40) -> None:
        """Break the connection in the middle of so many answers, then give another one."""
        broken = _Cut(after_bytes)
        self.on(path, *[broken] * times, then)

    def to(self, path: str) -> list[Asked]:
        """Return what was asked for a path."""
        return [one for one in self.asked if one.path == path]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST", "PUT", "DELETE"])])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > until:
                raise RuntimeError("The HTTP server did not start.")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _answer(self, request: Request) -> Response:
        path = f"/{request.path_params['path']}"
        asked = Asked(
            request.method,
            path,
            dict(request.query_params),
            dict(request.headers),
            await request.body(),
            time.monotonic(),
        )
        self.asked.append(asked)
        replies = self._replies.get(path)
        if replies is None:
            return Response("no such thing", 404)
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Response):
            return reply
        if isinstance(reply, list | dict):
            return as_json(reply)
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(reply, asked)


class _Cut(Response):
    """Declares more than it sends, then ends."""

    def __init__(self, after_bytes: int) -> None:
        super().__init__()
        self._after = after_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"100000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"[" + b" " * self._after, "more_body": False})


def as_json(value: Any, status: int = 200, **headers: str) -> Response:
    """Return an answer in JSON; `_` in names of headers is `-`."""
    return raw(json.dumps(value), status, **headers)


def raw(text: str | bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Response:
    """Return an answer with this very body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(text, status, headers=named, media_type=kind)


def packed(text: bytes, times: int = 1) -> Response:
    """Return an answer that is compressed, so many times over."""
    for _ in range(times):
        text = gzip.compress(text)
    return raw(text, content_encoding=", ".join(["gzip"] * times))


def slow(seconds: float, reply: Response) -> Callable[[Asked], Response]:
    """Return an answer that takes its time."""

    def answer(asked: Asked) -> Response:
        _tests[-1].wait(seconds)
        return reply

    return answer


# One for each test, set at its end: whoever still answers slowly then may stop.
_tests = [threading.Event()]


@pytest.fixture(scope="session")
def _one_http_server() -> Iterator[HttpServer]:
    with HttpServer() as server:
        yield server


@pytest.fixture
def http_server(_one_http_server: HttpServer) -> Iterator[HttpServer]:
    """A server that answers what the test says, and has been asked nothing yet."""
    _tests.append(threading.Event())
    _one_http_server.asked = []
    _one_http_server._replies = {}
    yield _one_http_server
    _tests[-1].set()
