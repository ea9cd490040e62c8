"""From page to page of a resource, until there is none; what would go on for ever is an error."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from blocks.http_api.client import Answer, ApiClient
from blocks.http_api.json_answer import Missing, Number, kind_of, parse, records_of, value_at
from blocks.http_api.link_header import next_link
from blocks.run_log import run_logger
from schemas.sources.api import (
    ApiSource,
    ApiTable,
    CursorPagination,
    LinkPagination,
    OffsetPagination,
    PagePagination,
)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a resource.

    Attributes:
        number: Counted from 1.
        place: Which one it is, for errors: `page=3`.
        answer: As it came.
        records: Those on it.
    """

    number: int
    place: str
    answer: Answer
    records: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Question:
    url: httpx.URL
    place: str


def first_url(source: ApiSource, table: ApiTable, more: dict[str, str] | None = None) -> httpx.URL:
    """Return what is asked first; without the key that proves who asks.

    Args:
        source: The source.
        table: The resource.
        more: Parameters that the configuration does not give a value for: the one of an incremental run.
    """
    url = httpx.URL(f"{source.url}/{table.path.lstrip('/')}".rstrip("/") if table.path != "/" else f"{source.url}/")
    match table.pagination:
        case PagePagination(param=param, first=first, size_param=size_param, size=size):
            own = {param: first} | ({size_param: size} if size_param and size else {})
        case OffsetPagination(param=param, limit_param=limit_param, limit=limit):
            own = {param: 0, limit_param: limit}
        case _:
            own = {}
    parameters = {**table.params, **own, **(more or {})}
    return url.copy_merge_params(parameters) if parameters else url


def pages(client: ApiClient, table: ApiTable, url: httpx.URL, first: Answer | None = None) -> Iterator[Page]:
    """Yield the pages of a resource that have records, one after the other.

    Args:
        client: Asks.
        table: How pages follow each other, and where the records are.
        url: Of the first page.
        first: The answer to that, if it is there already.

    Raises:
        SourceError: The API refuses; the records are not where they should be; or it goes round in a circle, ignores
            which page it is asked for, or has more than `max_pages`.
        SourceUnavailable: The API could not be reached.
    """
    return _Walk(client, table).pages(url, first)


class _Walk:
    def __init__(self, client: ApiClient, table: ApiTable) -> None:
        self._client, self._table = client, table
        self._seen: dict[str, str] = {}
        self._contents: dict[bytes, str] = {}
        self._received = 0

    def pages(self, url: httpx.URL, first: Answer | None) -> Iterator[Page]:
        question: _Question | None = _Question(url, "")
        number = 0
        while question is not None:
            number += 1
            if number > self._table.max_pages:
                raise self._wrong(
                    question,
                    f"would be page {number}, and max_pages is {self._table.max_pages}",
                    "Raise max_pages of the table if it has so many pages; look at its pagination if it has not.",
                )
            page, document = self._read(question, number, first if number == 1 else None)
            self._received += len(page.records)
            if page.records:
                self._note_content(question, page)
                yield page
            question = self._next(question, page, document)

    def _read(self, question: _Question, number: int, answer: Answer | None) -> tuple[Page, Any]:
        answer = answer or self._client.get(question.url, question.place)
        document = parse(answer, self._client.refusals, question.place)
        try:
            records = records_of(document, self._table.records, pages=self._table.pagination is not None)
        except Missing as missing:
            named = f" (records: {self._table.records})" if self._table.records else ""
            raise self._wrong(
                question,
                f"was answered without the records that were expected{named}: {missing}",
                "Say with `records` of the table where in an answer they are, such as data.items.",
            ) from missing
        return Page(number, question.place, answer, records), document

    def _note_content(self, question: _Question, page: Page) -> None:
        """Refuse the same page twice where the API was asked for two: it ignores the parameter."""
        if not isinstance(self._table.pagination, PagePagination | OffsetPagination):
            return
        content = hashlib.sha256(page.answer.body).digest()
        if content in self._contents:
            param = self._table.pagination.param
            raise self._wrong(
                question,
                f"was answered with the same records as {self._contents[content] or 'the first page'}: the API seems "
                f"to ignore the parameter {param}",
                "Look up how this API parts its answers, and correct pagination of the table.",
            )
        self._contents[content] = question.place or "the first page"

    def _next(self, question: _Question, page: Page, document: Any) -> _Question | None:
        match self._table.pagination:
            case PagePagination(param=param, first=first) if page.records:
                return self._asking(question, param, str(first + page.number))
            case OffsetPagination(param=param) if page.records:
                return self._asking(question, param, str(self._received))
            case CursorPagination(path=path, param=param):
                return self._after_cursor(question, page, path, param, document)
            case LinkPagination():
                link = next_link(page.answer.headers.get_list("link"))
                return None if link is None else self._following(question, page, link, "the Link header")
            case _:
                return None

    def _after_cursor(
        self, question: _Question, page: Page, path: str, param: str | None, document: Any
    ) -> _Question | None:
        try:
            cursor = None if document is None else value_at(document, path)
        except Missing as missing:
            if page.number == 1 and page.records:  # a slip in `path` would look like an API with one page
                run_logger().warning(
                    "%s: no cursor on the first page, which is taken for the only one: %s",
                    self._client.refusals.asked(question.url, ""),
                    missing,
                )
            return None
        if cursor is None or cursor is False or cursor == "":
            return None
        if not isinstance(cursor, str):  # numbers are text, too
            raise self._wrong(
                question,
                f"has {kind_of(cursor)} as cursor ({path}), and neither text nor a number",
                "Correct pagination.path of the table.",
            )
        if param is None and not isinstance(cursor, Number):
            return self._following(question, page, cursor, f"the cursor ({path})")
        if param is None:
            raise self._wrong(question, f"has {kind_of(cursor)} as URL of the next page ({path})")
        self._refuse_a_circle(question, cursor, f"the cursor {cursor[:80]!r} ({path})")
        return self._asking(question, param, str(cursor))

    def _asking(self, question: _Question, param: str, value: str) -> _Question:
        return _Question(question.url.copy_set_param(param, value), f"{param}={value[:60]}")

    def _following(self, question: _Question, page: Page, target: str, what: str) -> _Question:
        url = self._client.refusals.followed(page.answer.url, target, question.place, f"is continued, by {what},")
        if not self._seen:  # a link back to where it began is a circle as well
            self._seen[str(question.url)] = "the first page"
        self._refuse_a_circle(question, str(url), f"{what} to {self._client.hidden.text(url.raw_path.decode(), 120)}")
        return _Question(url, f"page {page.number + 1}")

    def _refuse_a_circle(self, question: _Question, value: str, what: str) -> None:
        if value in self._seen:
            raise self._wrong(
                question,
                f"loops: {self._client.refusals.shown(what)} was there before, on {self._seen[value]}",
                "The API goes round in a circle. Correct pagination of the table, or ask who runs the API.",
            )
        self._seen[value] = question.place or "the first page"

    def _wrong(self, question: _Question, what: str, next_step: str = "") -> Exception:
        return self._client.refusals.wrong(question.url, question.place, what, next_step)
