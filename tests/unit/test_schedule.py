"""Cron expressions: what passes here, Prefect takes; what does not is told by field."""

from typing import Any

import pytest
from prefect.client.schemas.schedules import CronSchedule

from schemas.project import Project
from schemas.sources.schedule import cron

GOOD = [
    "0 2 * * *", "*/15 * * * *", "0 0 1 1 *", "0 8-18 * * mon-fri", "0 8-18/2 * * MON,WED",
    "5,10-20/5 1 1,15 jan-mar *",
    "0 0 * * 7", "0 0 * * 5-7", "0 0 29 2 *", "0 0 31 2 1", "0/10 * * * *", "0 0 1 */3 *", "  0   2 * * * ",
    "00 02 * * *",
    "0 0 * 5/3 *", "* * * * *", "0 0 31 */2 *", "@daily", "@Weekly", "@hourly", "@midnight", "@monthly", "@yearly",
    "@annually",
]  # fmt: skip
BAD = {
    "0 25 * * *": "the hour 25 is not between 0 and 23",
    "60 * * * *": "the minute 60 is not between 0 and 59",
    "0 2,24 * * *": "the hour 24 is not between 0 and 23",
    "0 0 0 * *": "the day of the month 0 is not between 1 and 31",
    "0 0 * 13 *": "the month 13 is not between 1 and 12",
    "0 0 * * 8": "the day of the week 8 is not between 0 and 7",
    "0 0 * foo *": "the month foo is not a number between 1 and 12 or one of jan, feb",
    "0 0 * * monday": "the day of the week monday is not a number between 0 and 7 or one of sun, mon",
    "*/0 * * * *": "the step of the minute 0 is not between 1 and 59",
    "*/61 * * * *": "the step of the minute 61 is not between 1 and 59",
    "5-1 * * * *": "the minute '5-1' ends before it begins",
    "1,,2 * * * *": "the minute '' is no number, range (1-5), step (*/15) or list (1,15)",
    "0 0 ? * *": "the day of the month '?' is no number",
    "0 0 L * *": "the day of the month L is not a number between 1 and 31",
    "0 0 31 2 *": "there is no such day in these months",
    "0 0 31 4,6 *": "there is no such day in these months",
    "0 2 * *": "there are 4 fields",
    "0 0 2 * * *": "there are 6 fields",
    "daily": "there are 1 fields",
    "": "there are 0 fields",
    "@reboot": "or one of @hourly, @daily",
    "99999999999999999999 * * * *": "is not between 0 and 59",
}


@pytest.mark.parametrize("text", GOOD)
def test_prefect_takes_every_schedule_that_passes(text: str) -> None:
    CronSchedule(cron=cron(text), timezone="Europe/Madrid")


@pytest.mark.parametrize(("text", "told"), BAD.items())
def test_a_schedule_that_is_none_is_told_by_field(text: str, told: str) -> None:
    with pytest.raises(ValueError, match="must be a cron expression of five fields such as 0 2") as refused:
        cron(text)
    assert told in str(refused.value)


@pytest.mark.parametrize("values", [{"schedule": "0 25 * * *"}, {"schedule": 5}])
def test_the_configuration_names_the_source_whose_schedule_is_wrong(tmp_path: Any, values: dict[str, Any]) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "sources.yaml").write_text(
        f"sources: [{{name: shop, type: api, url: 'https://x', schedule: {values['schedule']},"
        " tables: [{name: t, path: /t}]}]\n"
    )
    with pytest.raises(Exception, match=r"sources.yaml: sources\[shop\].schedule: must be"):
        Project.load(config)
