"""What archives.yaml and settings.yaml say about retention, legal holds and the grace of erased rows."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.config import Archive, Duration, Settings
from schemas.hold import Hold, holds_digest

ARCHIVE = {"name": "orders", "source": "shop", "table": "orders", "time_column": "placed_at"}
CASE = {"name": "case-9", "keys": ["17"]}


def archive(**values: Any) -> Archive:
    return Archive.model_validate({**ARCHIVE, **values})


def test_retention_is_a_span_longer_than_the_rows_are_old_when_they_come() -> None:
    assert str(archive(retention="7 years", older_than="90 days").retention) == "7 years"
    for older_than in ("7 years", "84 months", "3000 days"):
        with pytest.raises(ValidationError, match="must be longer than older_than"):
            archive(retention="7 years", older_than=older_than)
    assert archive(retention="1 month", older_than="30 days").retention == Duration(1, "month")


def test_without_a_word_nothing_expires_and_nothing_is_held() -> None:
    assert (archive().retention, archive().holds, str(Settings().erase_grace)) == (None, (), "7 days")


@pytest.mark.parametrize(("text", "days"), [("7 days", 7), (0, 0), ("0", 0), ("0 days", 0), ("0 hours", 0)])
def test_grace_may_be_nothing(text: object, days: int) -> None:
    assert Settings.model_validate({"erase_grace": text}).erase_grace == Duration(days, "day")


@pytest.mark.parametrize("text", [-1, "", "0 apples", "soon", True, 7])
def test_grace_that_is_no_span_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="erase_grace"):
        Settings.model_validate({"erase_grace": text})


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ([{"name": "x"}], "must have keys or where"),
        ([{**CASE, "where": "true"}], "must have keys or where"),
        ([{"name": "x", "keys": []}], "keys"),
        ([{"name": "x", "where": " "}], "must not be empty"),
        ([{"name": "Mr X", "keys": ["1"]}], "lower-case"),
        ([CASE, CASE], "two holds of one name: case-9"),
        ([{**CASE, "until": "2030-01-01"}], "until"),
    ],
)
def test_hold_that_does_not_say_which_rows_is_refused(holds: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        archive(holds=holds)


def test_holds_of_the_same_rows_are_the_same_whatever_their_names_and_order() -> None:
    one, two = Hold(name="a", keys=("1", "2")), Hold(name="b", where="shop = 'x'")
    assert holds_digest([one, two]) == holds_digest([two, Hold(name="c", keys=("2", "1"))])
    assert holds_digest([one]) != holds_digest([two]) != holds_digest([])
    assert holds_digest([]) is None


def test_overrides_of_a_run_keep_holds_and_retention() -> None:
    wanted = archive(holds=[CASE], retention="7 years").with_overrides(older_than="90 days", purge=True)
    assert (wanted.holds[0].row_keys, str(wanted.retention)) == (("17",), "7 years")
