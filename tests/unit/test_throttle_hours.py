"""Allowed hours: how they are read, and what they say of a moment, across midnight and summer time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from blocks.throttle.hours import OutsideHours
from schemas.allowed_hours import AllowedHours
from schemas.config import PurgeOptions

BERLIN, NEW_YORK, TZ_UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    "text",
    ["22:00-06:00", "22:00-06:00, 12:00-13:00", "00:00-24:00", "01:30-04:00 Europe/Berlin", "20:00-24:00 Etc/GMT+5"],
)
def test_hours_are_written_as_they_are_read(text: str) -> None:
    assert str(AllowedHours.parse(text)) == text
    assert str(PurgeOptions.model_validate({"allowed_hours": text}).model_dump()["allowed_hours"]) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "such as 22:00-06:00"),
        ("at night", "such as 22:00-06:00"),
        ("22-06", "such as 22:00-06:00"),
        ("22:00", "such as 22:00-06:00"),
        ("22:00-06:00,", "'' is none"),
        ("25:00-06:00", "from 00:00 to 24:00"),
        ("22:00-06:60", "from 00:00 to 24:00"),
        ("24:00-06:00", "from 00:00 to 24:00"),
        ("06:00-06:00", "none"),
        ("22:00-06:00 Europe/Berln", "did you mean 'Europe/Berlin'"),
    ],
)
def test_a_text_that_means_no_hours_is_refused(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        AllowedHours.parse(text)


@pytest.mark.parametrize(
    ("text", "clock", "allowed"),
    [
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("12:00-13:00, 22:00-24:00", "12:30", True),
        ("12:00-13:00, 22:00-24:00", "13:00", False),
        ("12:00-13:00, 22:00-24:00", "23:59", True),
        ("12:00-13:00, 22:00-24:00", "00:00", False),
        ("00:00-24:00", "23:59", True),
    ],
)
def test_a_range_holds_its_start_and_not_its_end(text: str, clock: str, allowed: bool) -> None:
    moment = datetime.fromisoformat(f"2024-06-01T{clock}:00").replace(tzinfo=BERLIN)
    assert AllowedHours.parse(text).allow(moment.astimezone(UTC), BERLIN) is allowed


def test_hours_count_on_the_clock_that_they_name_or_else_on_the_projects() -> None:
    noon = datetime(2024, 6, 1, 12, tzinfo=UTC)
    assert AllowedHours.parse("14:00-15:00").allow(noon, BERLIN)
    assert AllowedHours.parse("08:00-09:00 America/New_York").allow(noon, BERLIN)
    assert not AllowedHours.parse("14:00-15:00 America/New_York").allow(noon, BERLIN)


def test_hours_follow_the_clock_across_summer_time() -> None:
    hours = AllowedHours.parse("02:00-03:00")
    spring = [datetime(2024, 3, 31, hour, minute, tzinfo=UTC) for hour in (0, 1) for minute in (0, 30)]
    assert [hours.allow(moment, BERLIN) for moment in spring] == [False] * 4, "02:00 to 03:00 does not happen"
    autumn = [datetime(2024, 10, 27, hour, 30, tzinfo=UTC) for hour in (23, 0, 1, 2)]
    assert [hours.allow(moment, BERLIN) for moment in autumn] == [False, True, True, False], "it happens twice"


def test_the_next_start_is_told_on_the_clock_of_the_hours() -> None:
    hours = AllowedHours.parse("22:00-06:00, 12:00-13:00")
    start = hours.next_start(datetime(2024, 6, 1, 13, 30, tzinfo=BERLIN), BERLIN)
    assert start == datetime(2024, 6, 1, 22, tzinfo=BERLIN)
    skipped = AllowedHours.parse("02:00-02:30").next_start(datetime(2024, 3, 30, 12, tzinfo=BERLIN), BERLIN)
    assert skipped == datetime(2024, 4, 1, 2, tzinfo=BERLIN), "on 31 March the clock skips it"


def test_outside_of_the_hours_the_work_waits_and_says_until_when() -> None:
    clock = [datetime(2024, 6, 1, 12, tzinfo=UTC)]
    brake = OutsideHours(AllowedHours.parse("22:00-06:00 America/New_York"), TZ_UTC, now=lambda: clock[0])
    wait = brake.look()
    assert wait is not None
    assert wait.reason == "outside_hours"
    assert wait.text.endswith("until 2024-06-01 22:00 EDT")
    clock[0] = datetime(2024, 6, 2, 2, tzinfo=UTC)
    assert brake.look() is None
