"""Which predicates say the same of a row as long as it does not change."""

import pytest

from tasks.steady_predicate import is_steady


@pytest.mark.parametrize(
    "where",
    [
        None, "note IS DISTINCT FROM 'keep'", "status IN ('paid', 'sent') AND NOT (total > 5 OR total IS NULL)",
        "lower(trim(note)) LIKE 'now%'", '"current_date" = 4 AND "odd (name" = 1', "day::date < DATE '2024-01-01'",
        "note = 'select now()'", "note = 'it''s now() or never'", "id = ANY (ARRAY[1, 2])",
    ],
)  # fmt: skip
def test_predicates_over_the_row_alone(where: str | None) -> None:
    assert is_steady(where)


@pytest.mark.parametrize(
    "where",
    [
        "due_at < now()",
        "due_at < NOW ()",
        "due_at < CURRENT_TIMESTAMP",
        "due_at < current_date - 5",
        "random() < 0.5",
        "id IN (SELECT id FROM done)",
        "EXISTS (TABLE done)",
        "is_done(id)",
        "shop.is_done(id)",
        "due_at < 'now'",
        "due_at < 'now'::timestamp",
        "age(due_at) > '1 day'",
        "note = $$now()$$",
        "a = 1 /* ' */ AND now() > due_at",
        "owner = session_user",
        '"my function"(id)',
        "shop.lower(note) = 'a'",
        'shop."lower" (note)',
    ],
)
def test_predicates_that_look_elsewhere_or_that_nobody_can_tell(where: str) -> None:
    assert not is_steady(where)
