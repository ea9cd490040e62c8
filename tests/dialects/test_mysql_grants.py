"""What SHOW GRANTS says is read so that a right is never taken for granted that the server would not give."""

import pytest

from blocks.dialects.mysql.grants import has_right, parsed, places_seen
from schemas.table import Table

TABLE = Table(
    schema_name="shop_1", name="orders", columns=(), primary_key=(), unique_keys=(), kind="r", inherited=False,
    may_select=True, may_delete=True, utf8=True,
)  # fmt: skip
ME, ROLE = "TO `me`@`%`", "TO `role`"


@pytest.mark.parametrize(
    ("lines", "has"),
    [
        ((f"GRANT ALL PRIVILEGES ON *.* {ME} IDENTIFIED BY PASSWORD '*1' WITH GRANT OPTION",), True),
        ((f"GRANT SELECT, TRIGGER ON *.* {ME}",), True),
        ((f"GRANT ALL PRIVILEGES ON `shop_1`.* {ME}",), True),
        ((f"GRANT TRIGGER ON `shop\\_1`.* {ME}",), True),
        ((f"GRANT SELECT, DELETE, TRIGGER ON `shop_1`.`orders` {ME}",), True),
        ((f"GRANT SELECT ON *.* {ME}", f"GRANT TRIGGER ON `shop_1`.`orders` {ROLE}"), True),
        ((f"GRANT USAGE ON *.* {ME}", "GRANT PROXY ON ''@'%' TO 'me'@'%'", "GRANT `role` TO `me`@`%`"), False),
        ((f"GRANT SELECT (`TRIGGER`, `a), TRIGGER, (`), DELETE ON `shop_1`.`orders` {ME}",), False),
        ((f"GRANT TRIGGER ON `shop_1`.`other` {ME}", f"GRANT TRIGGER ON `shop`.`orders` {ME}"), False),
        ((f"GRANT TRIGGER ON `shop\\_2`.* {ME}",), False),
        # A table's grant names its database to the letter, and of several patterns the server goes by the closest.
        ((f"GRANT TRIGGER ON `shop__`.`orders` {ME}",), False),
        ((f"GRANT TRIGGER ON `shop%`.* {ME}", f"GRANT SELECT ON `shop\\_1`.* {ME}"), False),
        ((f"GRANT TRIGGER ON `shop%`.* {ROLE}", f"GRANT SELECT ON `shop\\_1`.* {ME}"), True),
        # MySQL's partial revokes.
        ((f"GRANT SELECT, TRIGGER ON *.* {ME}", "REVOKE TRIGGER ON `shop_1`.* FROM `me`@`%`"), False),
        ((f"GRANT SELECT, TRIGGER ON *.* {ME}", "REVOKE TRIGGER ON `mysql`.* FROM `me`@`%`"), True),
        ((f"GRANT TRIGGER ON *.* {ME}", "REVOKE SELECT ON `shop_1`.* FROM `me`@`%`"), True),
        ((f"GRANT EXECUTE ON PROCEDURE `shop_1`.`TRIGGER` {ME}",), False),
        ((), False),
    ],
)
def test_a_right_on_a_table_is_known_by_the_grants(lines: tuple[str, ...], has: bool) -> None:
    assert has_right(list(parsed(lines)), "TRIGGER", TABLE) == has


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ((f"GRANT REFERENCES ON *.* {ME}", f"GRANT SELECT ON `shop_1`.`orders` {ME}"), {"*"}),
        ((f"GRANT PROCESS ON *.* {ME}", f"GRANT SELECT ON `shop\\_1`.* {ME}"), {"shop\\_1"}),
        ((f"GRANT SELECT, INSERT ON *.* {ME}", "REVOKE INSERT ON `mysql`.* FROM `me`@`%`"), {"*"}),
        ((f"GRANT SELECT, INSERT ON *.* {ME}", "REVOKE SELECT, INSERT ON `hidden`.* FROM `me`@`%`"), set()),
        ((f"GRANT SELECT (`id`) ON `shop_1`.`orders` {ME}",), set()),
    ],
)
def test_what_a_user_sees_as_a_whole_is_known_by_the_grants(lines: tuple[str, ...], seen: set[str]) -> None:
    assert places_seen(list(parsed(lines))) == seen
