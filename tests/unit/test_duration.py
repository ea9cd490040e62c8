"""Spans of calendar time: how they are read, and which moment lies that long ago."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from schemas.duration import Duration

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90 days", Duration(90, "day")),
        ("1 day", Duration(1, "day")),
        ("12 hours", Duration(12, "hour")),
        ("2 weeks", Duration(2, "week")),
        ("3 months", Duration(3, "month")),
        (" 2 Years ", Duration(2, "year")),
        ("7days", Duration(7, "day")),
    ],
)
def test_a_span_in_words_is_read(text: str, duration: Duration) -> None:
    assert Duration.parse(text) == duration


@pytest.mark.parametrize(
    "text", ["", "90", "days", "-1 days", "1.5 days", "90 minutes", "3m", "1 day 2 hours", "٣ days"]
)
def test_a_text_that_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90 days"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0 days", "1001 years", "99999999 hours"])
def test_no_time_at_all_and_more_than_a_thousand_years_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be between 1 and"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["1000 years", "12000 months", "52178 weeks", "365243 days", "8765820 hours"])
def test_the_longest_spans_still_end_in_the_calendar(text: str) -> None:
    assert Duration.parse(text).before(datetime(2024, 2, 29, tzinfo=UTC)).year == 1024


@pytest.mark.parametrize("text", ["1 hour", "12 hours", "1 year", "3 months"])
def test_a_span_is_written_as_it_is_read(text: str) -> None:
    assert str(Duration.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "now", "then"),
    [
        ("1 month", "2024-03-31T10:00:00+00:00", "2024-02-29T10:00:00+00:00"),
        ("1 month", "2023-03-31T10:00:00+00:00", "2023-02-28T10:00:00+00:00"),
        ("13 months", "2024-01-15T00:00:00+00:00", "2022-12-15T00:00:00+00:00"),
        ("1 year", "2024-02-29T00:00:00+00:00", "2023-02-28T00:00:00+00:00"),
        ("90 days", "2024-03-31T00:00:00+00:00", "2024-01-01T00:00:00+00:00"),
        ("2 weeks", "2024-03-15T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("36 hours", "2024-03-02T00:00:00+00:00", "2024-02-29T12:00:00+00:00"),
    ],
)
def test_spans_follow_the_calendar(text: str, now: str, then: str) -> None:
    assert Duration.parse(text).before(datetime.fromisoformat(now)) == datetime.fromisoformat(then)


def test_a_moment_without_a_time_zone_stays_without_one() -> None:
    assert Duration(1, "month").before(datetime(2024, 3, 31)) == datetime(2024, 2, 29)
    assert Duration(2, "hour").before(datetime(2024, 3, 31, 1)) == datetime(2024, 3, 30, 23)


def test_a_day_before_is_the_same_time_on_the_clock_across_summer_time() -> None:
    noon = datetime(2024, 3, 31, 12, tzinfo=BERLIN)
    assert Duration(1, "day").before(noon) == datetime(2024, 3, 30, 12, tzinfo=BERLIN)
    assert Duration(1, "day").before(noon).astimezone(UTC) == datetime(2024, 3, 30, 11, tzinfo=UTC)


def test_24_hours_before_are_24_hours_across_summer_time() -> None:
    noon = datetime(2024, 3, 31, 12, tzinfo=BERLIN)
    assert Duration(24, "hour").before(noon).astimezone(UTC) == datetime(2024, 3, 30, 10, tzinfo=UTC)
    assert Duration(24, "hour").before(noon).hour == 11


def test_a_time_that_the_clock_skipped_becomes_one_that_it_showed() -> None:
    then = Duration(1, "day").before(datetime(2024, 4, 1, 2, 30, tzinfo=BERLIN))
    assert (then.hour, then.minute) == (3, 30)


def test_of_a_time_that_came_twice_the_earlier_is_taken() -> None:
    now = datetime(2024, 10, 28, 2, 30, tzinfo=BERLIN, fold=1)
    assert Duration(1, "day").before(now).astimezone(UTC) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    in_winter = datetime(2024, 11, 27, 2, 30, tzinfo=BERLIN, fold=1)
    assert Duration(1, "month").before(in_winter).astimezone(UTC) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
