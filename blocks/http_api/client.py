"""Asks an API: logged in, at its pace, again where that can help, and never for more than was agreed."""

import ssl
from dataclasses import dataclass, field
from importlib.metadata import version
from types import TracebackType
from typing import Self

import httpx

from blocks.http_api.body import ACCEPT_ENCODING, Incomplete, TooLarge, UnknownEncoding, read_body
from blocks.http_api.hidden import Hidden, hide_queries_in_logs
from blocks.http_api.login import login_of
from blocks.http_api.patience import (
    LONGEST_RETRY_AFTER_S,
    Stopped,
    backoff_s,
    pace_of,
    retry_after_s,
    stop_here,
    wait,
)
from blocks.http_api.refusals import Refusals
from blocks.http_api.side_thread import TooSlow, in_side_thread
from blocks.run_log import log_event
from schemas.errors import SourceUnavailable
from schemas.sources.api import ApiSource

_AGAIN = frozenset({429, 500, 502, 503, 504})
_REDIRECTS, _MOST_REDIRECTS = frozenset({301, 302, 303, 307, 308}), 10
# What trickles in resets the time-out of a read with every byte; the whole answer may take this many of them.
_ANSWER_TIMES = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What an API answered.

    Attributes:
        url: Where the answer came from, without what proves who asked.
        status: 200, 204 (nothing), or 304 (as it was).
    """

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


class _Again(Exception):
    """Asking again can help."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class ApiClient:
    """A connection to an API for one table; closed at the end of its `with` block.

    Attributes:
        answers: How many there were.
        hidden: What must not be seen.
        refusals: Makes its errors.
    """

    def __init__(self, source: ApiSource, stopped: Stopped) -> None:
        hide_queries_in_logs()
        self._source, self._stopped = source, stopped
        self.hidden = Hidden(value.get_secret_value() for value in source.headers.values())
        self.refusals = Refusals(source.name, self.hidden)
        self.answers = 0
        self._pace = pace_of(source.name, source.rate_limit)
        self._http = httpx.Client(timeout=source.timeout_s, follow_redirects=False)
        self._login = login_of(source, self._http, self.hidden, stopped)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, url: httpx.URL, place: str = "", **conditions: str) -> Answer:
        """Ask for a URL.

        Args:
            url: With all parameters but the key's.
            place: Which page it is, for errors: `page 3`.
            **conditions: Headers of a conditional request, `_` for `-`; with them the answer may be 304.

        Raises:
            SourceError: The API refuses, or answers what cannot be used.
            SourceUnavailable: It could not be reached, or is unwell, also after all retries.
            Interrupted: Somebody asked the work to stop.
        """
        extra = {name.replace("_", "-"): value for name, value in conditions.items()}
        for attempt in range(self._source.retries + 1):
            self._pace.wait(self._stopped)
            try:
                answer = self._ask(url, place, extra)
            except _Again as again:
                why = str(again)
                if attempt < self._source.retries:
                    self._wait(url, why, again.after_s, attempt)
            else:
                self.answers += 1
                return answer
        raise SourceUnavailable(
            f"{self.refusals.asked(url, place)}: {why} ({self._source.retries + 1} attempts).",
            next_step="Run the same command again later; retries and timeout_s of the source say how patient it is.",
        )

    def _wait(self, url: httpx.URL, why: str, after_s: float | None, attempt: int) -> None:
        seconds = backoff_s(attempt) if after_s is None else after_s
        if after_s is not None:
            self._pace.hold(after_s)
        log_event("api_wait", source=self._source.name, seconds=round(seconds, 1), why=f"{self.hidden.url(url)}: {why}")
        wait(seconds, self._stopped)

    def _ask(self, url: httpx.URL, place: str, extra: dict[str, str]) -> Answer:
        may_renew = True
        for _ in range(_MOST_REDIRECTS):
            stop_here(self._stopped)
            answer = self._once(url, place, extra)
            if answer.status == 401 and may_renew and self._login.renew():
                may_renew = False
                answer = self._once(url, place, extra)
            if answer.status not in _REDIRECTS:
                return self._judged(answer, place, conditional=bool(extra))
            url = self.refusals.redirected(answer.url, answer.headers.get("location", ""), place)
        raise self.refusals.wrong(url, place, f"is redirected more than {_MOST_REDIRECTS} times")

    def _once(self, url: httpx.URL, place: str, extra: dict[str, str]) -> Answer:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": ACCEPT_ENCODING,
            "User-Agent": f"tidegate/{version('tidegate')}",
            **{name: value.get_secret_value() for name, value in self._source.headers.items()},
            **extra,
        }
        signed = self._login.sign(url, headers)
        limit = self._source.max_answer_mb * 1_000_000

        def send() -> Answer:
            with self._http.stream("GET", signed, headers=headers) as response:
                return Answer(url, response.status_code, response.headers, read_body(response, limit))

        try:
            return in_side_thread(send, self._stopped, self._source.timeout_s * _ANSWER_TIMES)
        except (TooLarge, UnknownEncoding, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise self.refusals.unreadable(url, place, error, self._source.max_answer_mb) from error
        except httpx.LocalProtocolError as error:  # its text may hold the header, and so a secret
            raise self.refusals.wrong(url, place, "cannot be asked: a header or parameter is not fit for HTTP") from (
                type(error)("hidden")
            )
        except httpx.TimeoutException as error:
            raise _Again(f"no answer within {self._source.timeout_s:g} s ({type(error).__name__})") from error
        except TooSlow as error:
            raise _Again(f"no whole answer within {self._source.timeout_s * _ANSWER_TIMES:g} s") from error
        except Incomplete as error:
            raise _Again(f"the answer was cut off: {error}") from error
        except httpx.TransportError as error:
            if _certificate(error):
                raise self.refusals.certificate(url, place, error) from error
            raise _Again(f"{type(error).__name__}: {self.hidden.text(str(error)) or 'connection lost'}") from error

    def _judged(self, answer: Answer, place: str, *, conditional: bool) -> Answer:
        if answer.status in (200, 204) or (answer.status == 304 and conditional):
            return answer
        if answer.status not in _AGAIN:
            raise self.refusals.refused(answer.url, place, answer.status, answer.body)
        after_s = retry_after_s(answer.headers.get("retry-after")) if answer.status in (429, 503) else None
        if after_s is not None and after_s > LONGEST_RETRY_AFTER_S:
            raise self.refusals.come_back_later(answer.url, place, answer.status, after_s)
        said = self.hidden.text(answer.body.decode(errors="replace"))
        raise _Again(f"it answered {answer.status}" + (f": {said}" if said else ""), after_s)


def _certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
