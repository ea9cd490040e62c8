"""Sizes of batches: within their bounds whatever happens, and soon as large as the time allows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from blocks.throttle.batch_sizer import BatchSizer
from schemas.config import PurgeOptions
from schemas.throttle_options import MOST_BATCH_ROWS, ThrottleOptions


def sizer(options: ThrottleOptions) -> BatchSizer:
    return BatchSizer(options.batch_rows, options.min_batch_rows, options.max_batch_rows, options.target_batch_s)


@st.composite
def bounds(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return (first, least, most)."""
    least, first, most = sorted(draw(st.lists(st.integers(1, MOST_BATCH_ROWS), min_size=3, max_size=3)))
    return first, least, most


@given(
    bounds(),
    st.floats(0.001, 3600),
    st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 2_000_000), st.floats(0, 1e9))), max_size=60),
)
def test_the_size_stays_within_its_bounds(
    bounds: tuple[int, int, int], target_s: float, batches: list[tuple[int, float] | None]
) -> None:
    sizes = BatchSizer(*bounds, target_s)
    for batch in batches:
        if batch is None:
            sizes.shrink()
        else:
            sizes.took(*batch)
        assert bounds[1] <= sizes.rows <= bounds[2]


@given(bounds(), st.floats(0.01, 10), st.floats(1e-8, 1e-1), st.floats(0, 0.5))
def test_where_a_row_costs_a_fixed_time_the_size_converges_to_the_target_or_to_a_bound(
    bounds: tuple[int, int, int], target_s: float, row_s: float, overhead: float
) -> None:
    _, least, most = bounds
    sizes, overhead_s = BatchSizer(*bounds, target_s), overhead * target_s
    for _ in range(150):
        sizes.took(sizes.rows, overhead_s + row_s * sizes.rows)
    wanted = min(max((target_s - overhead_s) / row_s, least), most)
    assert abs(sizes.rows - wanted) <= max(1.0, 0.05 * wanted)


def test_one_slow_batch_among_fast_ones_changes_little() -> None:
    sizes = BatchSizer(5000, 100, 50_000, 0.25)
    sizes.took(5000, 25.0)
    assert sizes.rows == 2500
    sizes.took(2500, 0.25)
    assert sizes.rows == 2500


def test_the_few_rows_at_the_end_of_a_file_do_not_make_batches_larger() -> None:
    sizes = BatchSizer(5000, 100, 50_000, 0.25)
    sizes.took(7, 0.0001)
    sizes.took(0, 0.0)
    assert sizes.rows == 5000
    sizes.took(7, 1.0)
    assert sizes.rows == 2500


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({}, (5000, 100, 50_000)),
        ({"batch_rows": 20}, (20, 20, 50_000)),
        ({"batch_rows": 200_000}, (200_000, 100, 200_000)),
        ({"max_batch_rows": 50}, (50, 50, 50)),
        ({"min_batch_rows": 6000}, (6000, 6000, 50_000)),
        ({"min_batch_rows": 60_000}, (60_000, 60_000, 60_000)),
        ({"batch_rows": 10, "min_batch_rows": 10, "max_batch_rows": 10}, (10, 10, 10)),
    ],
)
def test_sizes_that_are_not_given_make_room_for_those_that_are(
    given: dict[str, int], sizes: tuple[int, int, int]
) -> None:
    options = PurgeOptions.model_validate(given)
    assert (options.batch_rows, options.min_batch_rows, options.max_batch_rows) == sizes
    assert PurgeOptions.model_validate(options.model_dump()) == options
    assert sizer(options).rows == sizes[0]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"batch_rows": 10, "min_batch_rows": 20}, "min_batch_rows.*must not be above batch_rows"),
        ({"batch_rows": 10, "max_batch_rows": 5}, "max_batch_rows.*must not be below the other sizes .batch_rows: 10"),
        ({"min_batch_rows": 20, "max_batch_rows": 5}, "must not be below the other sizes .*min_batch_rows: 20"),
        ({"batch_rows": 0}, "batch_rows"),
        ({"batch_rows": True}, "must be a number"),
        ({"batch_rows": "many"}, "batch_rows"),
        ({"max_batch_rows": 2_000_000}, "max_batch_rows"),
        ({"target_batch_s": 0}, "target_batch_s"),
        ({"max_lock_waits": -1}, "max_lock_waits"),
        ({"max_replica_lag_s": 0}, "max_replica_lag_s"),
        ({"vacuum": "between"}, "needs max_dead_tuples"),
        ({"vacuum": "full"}, "none"),
        ({"pause_variable": " "}, "must not be empty"),
        ({"allowed_hours": 79200}, "in quotes"),
    ],
)
def test_options_that_contradict_each_other_or_make_no_sense_are_refused(given: dict[str, Any], error: str) -> None:
    with pytest.raises(ValidationError, match=f"(?s){error}") as refused:
        PurgeOptions.model_validate(given)
    assert refused.value.error_count() == 1
