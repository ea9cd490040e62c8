"""Any schedule of writes, runs, crashes, restores and audits: the real thing does what the model says, and no more."""

import pytest
from any_schedule import AnySchedule, run_schedules
from service_bench import Bench
from service_shortcuts import shortcuts


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_schedule_keeps_every_row_and_ends_where_the_model_does(bench: Bench) -> None:
    AnySchedule.bench = bench
    with shortcuts():
        figures = run_schedules(schedules=100, steps=30)
    print(f"\n{figures}")
