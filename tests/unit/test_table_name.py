"""How a table's name is read, and that what is read is what was written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.table_name import TableName


@pytest.mark.parametrize(
    ("written", "schema_name", "name"),
    [
        ("flights", "public", "flights"),
        ("public.flights", "public", "flights"),
        ("  crm.orders ", "crm", "orders"),
        ('"Odd Schema"."T;x"', "Odd Schema", "T;x"),
        ('crm."a.b"', "crm", "a.b"),
        ('"say ""hi"""', "public", 'say "hi"'),
        ('"; drop table x; --"', "public", "; drop table x; --"),
        ("größen.maße_2024", "größen", "maße_2024"),
        ("crm.t$1", "crm", "t$1"),
    ],
)
def test_a_table_name_is_read_into_schema_and_table(written: str, schema_name: str, name: str) -> None:
    assert TableName.parse(written) == TableName(schema_name, name)


def test_a_name_in_capitals_is_not_folded() -> None:
    assert TableName.parse("Crm.Orders") == TableName("Crm", "Orders")


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "a.",
        ".a",
        "a b",
        "T;x",
        "a-b",
        "1st",
        '"',
        '""',
        '"a',
        'a"b"',
        '"a"b',
        '"a\0b"',
        "a..b",
        "public.flights;",
    ],
)
def test_a_text_that_is_no_table_name_is_refused_with_the_way_to_write_it(written: str) -> None:
    with pytest.raises(ValueError, match="stands in double quotes"):
        TableName.parse(written)


def test_a_database_before_the_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="named by the source's connection"):
        TableName.parse("db.public.flights")


identifiers = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(identifiers, identifiers)
@example('say "hi"', '"')
def test_every_name_written_out_reads_back_as_itself(schema_name: str, name: str) -> None:
    table = TableName(schema_name, name)
    assert TableName.parse(str(table)) == table
