"""From page to page: to the last one, and never round in a circle."""

from collections.abc import Callable
from typing import Any

import pytest
from service_http import Asked, HttpServer, as_json
from starlette.responses import Response

from blocks.http_api.client import ApiClient
from blocks.http_api.json_answer import Missing, Number, json_text, records_of, value_at
from blocks.http_api.link_header import next_link
from blocks.http_api.pages import first_url, pages
from schemas.errors import SourceError
from schemas.sources.api import ApiSource


def read(server: HttpServer, **table: Any) -> list[int]:
    """Return the ids of the records on all pages."""
    entry = {"name": "t", "path": "/t", **table}
    source = ApiSource.model_validate(
        {"name": "shop", "type": "api", "url": server.url, "retries": 0, "tables": [entry]}
    )
    with ApiClient(source, lambda: None) as client:
        url = first_url(source, source.tables[0])
        return [int(record["id"]) for page in pages(client, source.tables[0], url) for record in page.records]


def refusal(server: HttpServer, **table: Any) -> str:
    with pytest.raises(SourceError) as refused:
        read(server, **table)
    assert refused.value.next_step
    return str(refused.value)


def ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


def capped(total: int, most: int) -> Callable[[Asked], Response]:
    """Return what answers with `offset` and `limit`, and with less than asked for where it pleases."""

    def answer(asked: Asked) -> Response:
        offset = int(asked.query["offset"])
        return as_json(ids(*range(offset, min(total, offset + min(most, int(asked.query["limit"]))))))

    return answer


def test_offsets_go_on_from_what_came_also_if_a_server_gives_less_than_it_is_asked_for(http_server: HttpServer) -> None:
    http_server.on("/t", capped(7, 3))
    assert read(http_server, pagination={"type": "offset", "limit": 100}, params={"a": "b"}) == list(range(7))
    assert [one.query["offset"] for one in http_server.asked] == ["0", "3", "6", "7"]
    assert {one.query["a"] for one in http_server.asked} == {"b"}


def test_a_cursor_is_followed_until_there_is_none(http_server: HttpServer) -> None:
    after = {"": (ids(1), "a/b?"), "a/b?": (ids(), 7), "7": (ids(2), "")}

    def answer(asked: Asked) -> Response:
        records, cursor = after[asked.query.get("after", "")]
        return as_json({"items": records, "meta": {"next.cursor": cursor}})

    http_server.on("/t", answer)
    paging = {"type": "cursor", "param": "after", "path": "meta.next.cursor"}
    assert read(http_server, records="items", pagination=paging) == [1, 2]


def test_a_cursor_may_be_the_url_of_the_next_page(http_server: HttpServer) -> None:
    http_server.on("/t", lambda asked: as_json({"results": ids(1), "next": f"{http_server.url}/more?page=2"}))
    http_server.on("/more", as_json({"results": ids(2), "next": None}))
    assert read(http_server, records="results", pagination={"type": "cursor", "param": None, "path": "next"}) == [1, 2]
    assert http_server.asked[-1].query == {"page": "2"}


def test_a_cursor_that_is_not_there_at_all_is_told(http_server: HttpServer, caplog: pytest.LogCaptureFixture) -> None:
    http_server.on("/t", as_json({"items": ids(1), "meta": {"next": "x"}}))
    assert read(http_server, records="items", pagination={"type": "cursor", "path": "meta.nxt"}) == [1]
    assert "no cursor on the first page" in caplog.text
    assert "there is no 'nxt' in 'meta', which has: next" in caplog.text


def test_links_are_followed_also_relative_ones(http_server: HttpServer) -> None:
    http_server.on("/t", as_json(ids(1), link='<x>; rel=prev, <t2?a=1,2>; title="a, <b>"; REL="Last NEXT"'))
    http_server.on("/t2", as_json(ids(2), link="</t>; rel=first"))
    assert read(http_server, pagination={"type": "link"}) == [1, 2]
    assert http_server.asked[-1].query == {"a": "1,2"}


@pytest.mark.parametrize(
    ("header", "target"),
    [
        (["<a>; rel=next"], "a"),
        (['<a>;rel="prev next"'], "a"),
        (["<a>; rel=prev", "<b>; rel=next"], "b"),
        (['<a>; rel="prev"; rel="next"'], None),
        (["<a>; title=\"x; rel=next\"; rel=prev , <b>;foo;rel='n',<c> ; rel = next"], "c"),
        (["garbage, <c>; rel=next"], "c"),
        (["<a"], None),
        (["", ",,"], None),
        ([], None),
    ],
)
def test_the_link_header_is_read_as_its_standard_says(header: list[str], target: str | None) -> None:
    assert next_link(header) == target


def test_a_link_to_another_server_is_refused(http_server: HttpServer) -> None:
    http_server.on("/t", as_json(ids(1), link='<https://evil.example/t?page=2>; rel="next"'))
    told = refusal(http_server, pagination={"type": "link"})
    assert "by the Link header, to https://evil.example/t, which is another server" in told


def test_a_cursor_that_goes_round_is_an_error_and_not_an_endless_run(http_server: HttpServer) -> None:
    order = {"": "a", "a": "b", "b": "a"}
    http_server.on("/t", lambda asked: as_json({"i": ids(1), "c": order[asked.query.get("cursor", "")]}))
    told = refusal(http_server, records="i", pagination={"type": "cursor", "path": "c"})
    assert "loops: the cursor 'a' (c) was there before" in told
    assert len(http_server.asked) == 3


def test_a_link_that_goes_round_is_an_error(http_server: HttpServer) -> None:
    http_server.on("/t", as_json(ids(1), link="</t2>; rel=next"))
    http_server.on("/t2", as_json(ids(2), link="</t>; rel=next"))
    assert "loops: the Link header to /t was there before, on the first page" in refusal(
        http_server, pagination={"type": "link"}
    )
    assert len(http_server.asked) == 2


@pytest.mark.parametrize("paging", [{"type": "page", "param": "p"}, {"type": "offset", "param": "p"}])
def test_an_api_that_ignores_which_page_it_is_asked_for_is_noticed(
    http_server: HttpServer, paging: dict[str, Any]
) -> None:
    http_server.on("/t", ids(1, 2))
    assert "the API seems to ignore the parameter p" in refusal(http_server, pagination=paging, max_pages=5)
    assert len(http_server.asked) == 2


def test_more_pages_than_there_may_be_are_an_error_and_not_a_part_of_the_table(http_server: HttpServer) -> None:
    http_server.on("/t", lambda asked: as_json(ids(int(asked.query["page"]))))
    told = refusal(http_server, pagination={"type": "page"}, max_pages=3)
    assert "/t, page=4 would be page 4, and max_pages is 3" in told


def test_a_page_that_is_no_list_says_where_lists_are(http_server: HttpServer) -> None:
    http_server.on("/t", as_json({"items": ids(1), "meta": {}, "errors": []}))
    told = refusal(http_server, pagination={"type": "page"})
    assert "name their place with `records`; lists are in: items, errors" in told


def test_a_cursor_that_is_no_text_is_an_error(http_server: HttpServer) -> None:
    http_server.on("/t", as_json({"i": ids(1), "c": {"x": 1}}))
    assert "has an object as cursor (c)" in refusal(
        http_server, records="i", pagination={"type": "cursor", "path": "c"}
    )


def test_records_are_found_where_the_path_says() -> None:
    one = {"id": 1}
    assert records_of([one], None, pages=True) == [one]
    assert records_of(one, None, pages=False) == [one]
    assert records_of([{"meta": 1}, [one]], "1", pages=True) == [one]
    assert records_of({"a": {"b.c": [one]}}, "a.b.c", pages=True) == [one]
    assert records_of({"a": None}, "a", pages=True) == []
    assert records_of({"a": one}, "a", pages=True) == [one]
    assert value_at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    for document, path, told in [
        ({"data": {"x": 1, "y": 2}}, "data.items", "no 'items' in 'data', which has: x, y"),
        ({"data": []}, "data.items", "no 'items' in 'data', which is a list of 0"),
        ({"data": Number("5")}, "data", "'data' is the number 5, and no list"),
        ({}, "data", "no 'data' in the answer, which has: nothing"),
    ]:
        with pytest.raises(Missing, match=told):
            records_of(document, path, pages=True)


def test_numbers_in_nested_values_are_written_as_they_were() -> None:
    value = {"a": [Number("1.10"), None, True, "1.10"], 'q"': {"é": Number("1" * 30)}}
    assert json_text(value) == '{"a":[1.10,null,true,"1.10"],"q\\"":{"é":' + "1" * 30 + "}}"
