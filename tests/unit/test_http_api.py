"""How an API is asked: logged in, at its pace, again where that helps, and without telling anybody a secret."""

import base64
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from service_http import Asked, HttpServer, Reply, as_json, raw, slow
from starlette.responses import Response

from blocks.http_api import body, oauth, patience
from blocks.http_api.client import Answer, ApiClient
from blocks.http_api.patience import backoff_s, retry_after_s
from schemas.errors import Interrupted, SourceError, SourceUnavailable, TidegateError
from schemas.sources.api import ApiSource

Get = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BASE_S", 0.01)
    monkeypatch.setattr(patience, "_paces", {})
    monkeypatch.setattr(oauth, "_tokens", {})


def source_of(server: HttpServer, **options: Any) -> ApiSource:
    given = {"name": "shop", "type": "api", "url": server.url, "tables": [{"name": "t", "path": "/t"}], **options}
    return ApiSource.model_validate(given)


def get(server: HttpServer, path: str = "/t", **options: Any) -> Answer:
    with ApiClient(source_of(server, **options), lambda: None) as client:
        return client.get(httpx.URL(f"{server.url}{path}"))


def refusal(kind: type[TidegateError], server: HttpServer, path: str = "/t", **options: Any) -> str:
    with pytest.raises(kind) as refused:
        get(server, path, **options)
    assert type(refused.value) is kind
    assert refused.value.next_step
    return str(refused.value)


# Logging in

SECRET = "s3cret/+value"


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"type": "bearer", "token": SECRET}, ("authorization", f"Bearer {SECRET}")),
        (
            {"type": "basic", "user": "me", "password": SECRET},
            ("authorization", "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
        ),
        ({"type": "api_key", "header": "X-Key", "value": SECRET}, ("x-key", SECRET)),
    ],
)
def test_each_kind_of_login_is_sent_as_its_header(
    http_server: HttpServer, auth: dict[str, Any], header: tuple[str, str]
) -> None:
    http_server.on("/t", [])
    get(http_server, auth=auth, headers={"X-Tenant": "acme"})
    (asked,) = http_server.asked
    assert (asked.headers[header[0]], asked.headers["x-tenant"]) == (header[1], "acme")
    assert asked.headers["user-agent"].startswith("tidegate/")


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": SECRET},
        {"type": "basic", "user": "me", "password": SECRET},
        {"type": "api_key", "header": "X-Key", "value": SECRET},
        {"type": "api_key", "query": "key", "value": SECRET},
    ],
    ids=lambda auth: "-".join(auth)[:20],
)
def test_no_secret_is_in_an_error_or_a_log_line(
    http_server: HttpServer, auth: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def echo(status: int) -> Callable[[Asked], Response]:
        return lambda asked: raw(f"you sent {asked.headers} {asked.query}", status)

    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    secrets = (SECRET, "s3cret%2F%2Bvalue", base64.b64encode(f"me:{SECRET}".encode()).decode(), "tenant-secret")
    for status, kind in ((403, SourceError), (503, SourceUnavailable)):
        http_server.on("/t", echo(status))
        told = refusal(kind, http_server, auth=auth, headers={"X-Tenant": "tenant-secret"}, retries=1)
        assert "***" in told
        assert not [secret for secret in secrets if secret in told]
    http_server.on("/t", raw("<html>" + SECRET))
    get(http_server, auth=auth)
    assert "HTTP Request: GET" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]
    if "query" in auth:
        assert http_server.asked[0].query == {"key": SECRET}


def oauth_login(server: HttpServer, **more: Any) -> dict[str, Any]:
    return {
        "auth": {
            "type": "oauth", "token_url": f"{server.url}/token", "client_id": "me", "client_secret": SECRET, **more,
        }
    }  # fmt: skip


def token(value: str, **more: Any) -> dict[str, Any]:
    return {"access_token": value, "token_type": "bearer", **more}


def test_a_token_is_fetched_once_for_all_and_anew_before_it_expires(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.on("/token", token("one", expires_in=3600), token("two"))
    http_server.on("/t", [])
    login = oauth_login(http_server, scope="read")
    for _ in range(2):
        get(http_server, **login)
    (asked,) = http_server.to("/token")
    assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["read"]}
    assert base64.b64decode(asked.headers["authorization"].split()[1]) == b"me:s3cret%2F%2Bvalue"
    now = time.monotonic()
    monkeypatch.setattr(oauth, "time", SimpleNamespace(monotonic=lambda: now + 3600 - 29))
    get(http_server, **login)
    assert [one.headers["authorization"] for one in http_server.to("/t")] == ["Bearer one"] * 2 + ["Bearer two"]


def test_a_token_that_is_refused_is_renewed_once(http_server: HttpServer) -> None:
    http_server.on("/token", token("old"), token("new"))
    http_server.on("/t", lambda asked: raw("[]", 200 if asked.headers["authorization"] == "Bearer new" else 401))
    login = oauth_login(http_server, send="body")
    assert get(http_server, **login).status == 200
    assert parse_qs(http_server.to("/token")[0].body.decode())["client_secret"] == [SECRET]
    http_server.on("/t", raw("no", 401))
    assert "was refused with 401" in refusal(SourceError, http_server, **login)
    assert (len(http_server.to("/token")), len(http_server.to("/t"))) == (3, 4)


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (raw(f"invalid_client {SECRET}", 401), SourceError, "answered 401: invalid_client ***"),
        (raw("<html>"), SourceError, "answered, but not in JSON"),
        (as_json([]), SourceError, "with no JSON object"),
        (as_json({"token": "x"}), SourceError, "without an access_token that can be sent"),
        (as_json(token("a\nb")), SourceError, "without an access_token that can be sent"),
        (as_json({**token("x"), "token_type": "mac"}), SourceError, "gave a token of type mac, and not Bearer"),
        (raw("down", 503), SourceUnavailable, "it answered 503: down"),
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_had_is_told_and_nothing_else_is_asked(
    http_server: HttpServer, answer: Response, kind: type[TidegateError], told: str
) -> None:
    http_server.on("/token", answer)
    text = refusal(kind, http_server, **oauth_login(http_server))
    assert told in text
    assert f"no token from {http_server.url}/token" in text
    assert SECRET not in text
    assert http_server.to("/t") == []


# Asking again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_by_itself_is_asked_again(http_server: HttpServer, status: int) -> None:
    http_server.on("/t", raw("busy", status), raw("busy", status), [1])
    assert get(http_server, retries=2).body == b"[1]"
    http_server.on("/t", raw("busy", status))
    told = refusal(SourceUnavailable, http_server, retries=2)
    assert f"/t: it answered {status}: busy (3 attempts)" in told
    assert len(http_server.asked) == 6


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "params"),
        (401, "Check auth of the source shop"),
        (403, "rights"),
        (404, "path of the table"),
        (418, "yaml"),
    ],
)
def test_what_is_refused_is_not_asked_again(http_server: HttpServer, status: int, advice: str) -> None:
    http_server.on("/t", raw("I will not\n\x00do it" + "!" * 500, status))
    told = refusal(SourceError, http_server)
    assert f"GET {http_server.url}/t was refused with {status}: I will not �do it!!!" in told
    assert advice in told
    assert len(told) < 600
    assert len(http_server.asked) == 1


def test_an_api_that_says_how_long_to_wait_is_left_alone_for_so_long(
    http_server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    http_server.on("/t", raw("", 429, retry_after="1"), [])
    get(http_server)
    first, second = http_server.asked
    assert 1 <= second.at - first.at < 3
    assert "event=api_wait source=shop seconds=1.0 why=" in caplog.text


def test_an_api_that_wants_hours_ends_the_run_and_says_until_when(http_server: HttpServer) -> None:
    at = datetime.now(UTC) + timedelta(hours=3)
    http_server.on("/t", raw("", 503, retry_after=format_datetime(at, usegmt=True)))
    told = refusal(SourceError, http_server)
    assert "asks to be left alone for 10" in told
    assert f"Run it again after {at:%Y-%m-%d %H:}" in told
    assert len(http_server.asked) == 1


def test_retry_after_is_read_in_both_of_its_forms() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s("120") == 120
    assert retry_after_s("Thu, 01 Jan 2026 00:01:30 GMT", now) == 90
    assert retry_after_s("Wed, 31 Dec 2025 00:00:00 GMT", now) == 0
    assert [retry_after_s(text) for text in (None, "", "soon", "-5", "²", "1.5")] == [None] * 6


def test_waits_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BASE_S", 0.5)
    for attempt, most in ((0, 0.5), (3, 4.0), (50, 60.0)):
        waits = [backoff_s(attempt) for _ in range(300)]
        assert 0 <= min(waits) < most * 0.2
        assert most * 0.8 < max(waits) <= most


def test_a_slow_answer_is_given_up_and_asked_for_again(http_server: HttpServer) -> None:
    http_server.on("/t", slow(1, raw("[]")), [])
    get(http_server, timeout_s=0.2, retries=1)
    http_server.on("/t", slow(1, raw("[]")))
    assert "no answer within 0.2 s (ReadTimeout) (1 attempts)" in refusal(
        SourceUnavailable, http_server, timeout_s=0.2, retries=0
    )


def test_a_server_that_is_not_there_is_transient_and_named(http_server: HttpServer) -> None:
    gone = HttpServer()
    with gone:
        pass
    assert f"GET {gone.url}/t: ConnectError" in refusal(SourceUnavailable, gone, retries=1)


def test_requests_keep_the_pace_also_of_several_tables_together(http_server: HttpServer) -> None:
    http_server.on("/t", [])
    source, url = source_of(http_server, rate_limit=20), httpx.URL(f"{http_server.url}/t")
    with ApiClient(source, lambda: None) as one, ApiClient(source, lambda: None) as other:
        began = time.monotonic()
        for _ in range(3):
            one.get(url)
            other.get(url)
    assert time.monotonic() - began >= 5 / 20


def test_threads_that_want_to_go_at_once_go_one_after_the_other() -> None:
    pace, turns = patience.Pace(20), []

    def go() -> None:
        pace.wait(lambda: None)
        turns.append(time.monotonic())

    threads = [threading.Thread(target=go) for _ in range(5)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(turn - began >= place / 20 for place, turn in enumerate(sorted(turns)))
    pace.hold(0.2)
    go()
    assert turns[-1] - max(turns[:-1]) >= 0.19


@pytest.mark.parametrize("reply", [slow(20, raw("[]")), raw("", 429, retry_after="30")], ids=["answer", "wait"])
def test_a_signal_ends_a_wait_within_a_moment(http_server: HttpServer, reply: Reply) -> None:
    http_server.on("/t", reply)
    began = time.monotonic()
    with (
        ApiClient(source_of(http_server), lambda: "SIGTERM" if time.monotonic() > began + 0.3 else None) as client,
        pytest.raises(Interrupted, match="Stopped by SIGTERM") as stopped,
    ):
        client.get(httpx.URL(f"{http_server.url}/t"))
    assert time.monotonic() - began < 2
    assert stopped.value.next_step


# Where it leads


def test_a_redirect_on_the_same_server_is_followed_with_the_login(http_server: HttpServer) -> None:
    http_server.on("/t", raw("", 308, location="/new?a=1"))
    http_server.on("/new", [])
    get(http_server, auth={"type": "api_key", "query": "key", "value": SECRET})
    assert http_server.asked[-1].query == {"a": "1", "key": SECRET}


@pytest.mark.parametrize("target", ["http://localhost:{port}/t", "https://evil.example/t", "//evil.example/t"])
def test_the_login_never_goes_to_another_server(http_server: HttpServer, target: str) -> None:
    http_server.on("/t", raw("", 302, location=target.format(port=http_server.port)))
    told = refusal(SourceError, http_server, auth={"type": "bearer", "token": SECRET})
    assert "which is another server, and the login is not sent there" in told
    assert len(http_server.asked) == 1


@pytest.mark.parametrize(
    ("target", "told"),
    [("/t", "redirected more than 10 times"), ("", "no URL"), ("ftp://x/", "no URL"), ("http://[", "no URL")],
)
def test_a_redirect_to_nowhere_is_an_error(http_server: HttpServer, target: str, told: str) -> None:
    http_server.on("/t", raw("", 301, location=target))
    assert told in refusal(SourceError, http_server)


def test_a_304_that_nobody_asked_for_is_an_error(http_server: HttpServer) -> None:
    http_server.on("/t", Response(status_code=304))
    assert "was refused with 304" in refusal(SourceError, http_server)


@pytest.fixture
def plain_tls(tmp_path: Any) -> Iterator[str]:
    """A server with a certificate that nobody has signed."""
    import socket
    import ssl
    import subprocess

    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
         "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    accepted.append(connection)
                    context.wrap_socket(connection, server_side=True)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_a_certificate_that_is_not_to_be_trusted_ends_it_at_once(http_server: HttpServer, plain_tls: str) -> None:
    with (
        ApiClient(source_of(http_server, url=plain_tls), lambda: None) as client,
        pytest.raises(SourceError) as refused,
    ):
        client.get(httpx.URL(f"{plain_tls}/t"))
    assert type(refused.value) is SourceError
    assert re.search("the certificate is not to be trusted", str(refused.value))


def test_what_unpacks_to_much_is_unpacked_piece_by_piece() -> None:
    packed = zlib.compress(bytes(100_000_000), 9)
    pieces = [len(piece) for piece in body._unpacked(iter([packed]))]
    assert (max(pieces), sum(pieces)) == (1 << 20, 100_000_000)
