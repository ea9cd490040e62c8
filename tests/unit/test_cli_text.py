"""How the command line writes windows, sizes and moments, and what it never writes."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tidegate.moments import MOMENT
from tidegate.redaction import redacted
from tidegate.show.labels import size_text, window_label

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("start", "end", "zone", "label"),
    [
        ("2024-01-01", "2025-01-01", None, "2024"),
        ("2024-12-01", "2025-01-01", None, "2024-12"),
        ("2024-02-29", "2024-03-01", None, "2024-02-29"),
        ("2024-02-29T05:00", "2024-02-29T06:00", None, "2024-02-29 05:00"),
        ("2024-02-03", "2024-03-01", None, "2024-02-03 to 2024-03-01"),
        ("2024-01-31T23:00Z", "2024-02-29T23:00Z", BERLIN, "2024-02"),
        ("2024-03-30T23:00Z", "2024-03-31T22:00Z", BERLIN, "2024-03-31"),
        ("2024-02-01T00:00Z", "2024-03-01T00:00Z", UTC, "2024-02"),
        ("9998-12-01", "9999-01-01", None, "9998-12"),
    ],
)
def test_a_window_is_named_by_what_it_covers_in_the_projects_time_zone(
    start: str, end: str, zone: ZoneInfo | None, label: str
) -> None:
    assert window_label(datetime.fromisoformat(start), datetime.fromisoformat(end), zone) == label


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"), (10**13, "10.0 TB")],
)
def test_sizes_have_a_unit_that_fits(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    "text",
    [
        "could not connect to postgresql://ann:hunter2@db/shop",
        "could not connect to postgresql://ann:hun/ter2@hunter2@db/shop",
        "connection failed: host=db password=hunter2 user=ann",
        "{'password': 'hunter2', 'host': 'db'}",
        "aws_secret_access_key=hunter2",
        'PGPASSWORD="hunter2 hunter2"',
    ],
)
def test_secrets_are_taken_out_of_what_is_shown(text: str) -> None:
    assert "hunter2" not in redacted(text)
    assert "***" in redacted(text)


def test_text_without_secrets_stays_as_it_is() -> None:
    for text in (
        "see https://docs.prefect.io/v3",
        "rows: 3",
        "s3://bucket/prefix: denied",
        'FATAL: password authentication failed for user "ann"',
        "mail to ann@example.com",
    ):
        assert redacted(text) == text


def test_a_moment_without_an_offset_stays_without_one() -> None:
    assert MOMENT.convert("2024-02-01", None, None) == datetime(2024, 2, 1)
    aware = MOMENT.convert("2024-02-01T06:00:00+01:00", None, None)
    assert aware.utcoffset() == timedelta(hours=1)
