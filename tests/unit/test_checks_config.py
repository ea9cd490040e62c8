"""What a configuration may say of quality checks."""

from typing import Any

import pytest
import yaml
from check_bench import CHECKS
from pydantic import ValidationError

from schemas.config_model import ConfigModel
from schemas.config_problems import problems_of
from schemas.pipelines.checks import Check, ForeignKey


class Checks(ConfigModel):
    quality_checks: tuple[Check, ...]


def problem(**check: Any) -> str:
    data = {"quality_checks": [check]}
    with pytest.raises(ValidationError) as refused:
        Checks.model_validate(data)
    (line,) = problems_of(refused.value, Checks, data, "pipelines.yaml")
    return line


def test_the_checks_of_an_example_are_read_as_they_stand() -> None:
    read = yaml.safe_load("""
      - {type: not_null, columns: [cliente_id, nombre]}
      - {type: unique, columns: [cliente_id]}
      - {type: valid_values, column: estado, values: [ACTIVO, INACTIVO, PENDIENTE]}
      - {type: range, column: edad, min: 0, max: 120.5, severity: warn}
      - {type: range, column: fecha, min: "2020-01-01"}
      - {type: regex, column: email, pattern: '[^@]+@[^@]+', on_failure: quarantine}
      - {type: length, column: nombre, max: 80}
      - {type: foreign_key, column: pais, references: staging.geo.paises(codigo)}
      - {type: row_count, min: 1}
      - {type: freshness, column: fecha, max_age: 2 days}
      - {type: expression, condition: "a < b", name: in order}
      - {type: model, model: "schemas.flights:Flights"}
    """)
    assert [check.words for check in CHECKS.validate_python(read)] == [
        "not_null(cliente_id, nombre)",
        "unique(cliente_id)",
        "valid_values(estado)",
        "range(edad, 0..120.5)",
        "range(fecha, 2020-01-01..)",
        "regex(email, [^@]+@[^@]+)",
        "length(nombre, ..80)",
        "foreign_key(pais -> staging.geo.paises)",
        "row_count(1..)",
        "freshness(fecha, 2 days)",
        "expression(in order)",
        "model(schemas.flights:Flights)",
    ]
    for check in CHECKS.validate_python(read):  # a definition that is hashed, and comes back as it was
        assert CHECKS.validate_python([check.model_dump(mode="json")]) == (check,)


@pytest.mark.parametrize(
    ("options", "action"),
    [
        ({}, "refuse"),
        ({"severity": "warn"}, "warn"),
        ({"on_failure": "quarantine"}, "quarantine"),
        ({"severity": "warn", "on_failure": "quarantine"}, "quarantine"),
    ],
)
def test_an_error_refuses_and_a_warning_warns_if_nothing_else_is_said(options: dict[str, Any], action: str) -> None:
    (check,) = CHECKS.validate_python([{"type": "unique", "columns": ["a"], **options}])
    assert check.action == action


@pytest.mark.parametrize(
    ("written", "dataset", "columns"),
    [
        ("staging.sales.customers", "staging/sales/customers", ("id",)),
        ("raw.shop.odd.table (key)", "raw/shop/odd.table", ("key",)),
        ({"layer": "consume", "use_case": "bi", "table": "x", "columns": ["y"]}, "consume/bi/x", ("y",)),
    ],
)
def test_a_foreign_key_names_a_table_in_words_or_by_its_parts(
    written: object, dataset: str, columns: tuple[str, ...]
) -> None:
    (check,) = CHECKS.validate_python([{"type": "foreign_key", "column": "id", "references": written}])
    assert isinstance(check, ForeignKey)
    assert (check.references.dataset, check.referenced_columns) == (dataset, columns)


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ({"type": "uniqe", "columns": ["a"]}, "quality_checks[0].type: must be one of not_null, unique, valid_values"),
        ({"columns": ["a"]}, "quality_checks[0]: needs a type"),
        ({"type": "not_null", "column": "a", "columns": ["a"]}, "unknown key; did you mean 'columns'?"),
        ({"type": "not_null", "columns": []}, "quality_checks[0].columns: must not be empty"),
        ({"type": "unique", "columns": ["a", "a"]}, "quality_checks[0].columns: must name each column once"),
        ({"type": "unique", "columns": ["a"], "severity": "fatal"}, "severity: must be one of error, warn"),
        ({"type": "unique", "columns": ["a"], "on_failure": "drop"}, "must be one of refuse, quarantine, warn"),
        ({"type": "unique", "columns": ["a"], "severity": "warn", "on_failure": "refuse"}, "must not refuse with"),
        ({"type": "valid_values", "column": "a", "values": []}, "values: must not be empty"),
        ({"type": "valid_values", "column": "a", "values": ["a", None]}, "values[1]: must be text, a number, true"),
        ({"type": "range", "column": "a"}, "quality_checks[0]: needs min, max or both"),
        ({"type": "range", "column": "a", "min": 3, "max": 2}, "min must not be above max (got 3 and 2)"),
        ({"type": "range", "column": "a", "min": True}, "must be a number, or a date, a moment or a time as text"),
        ({"type": "range", "column": "a", "min": float("nan")}, "must be a finite number"),
        ({"type": "length", "column": "a", "min": -1}, "quality_checks[0].min: must be >= 0"),
        ({"type": "length", "column": "a", "min": 3, "max": 2}, "min must not be above max"),
        ({"type": "regex", "column": "a", "pattern": "(["}, "quality_checks[0].pattern: must be a regular expression"),
        ({"type": "regex", "column": "a", "pattern": "a)(b"}, "pattern: must be a regular expression"),
        ({"type": "regex", "column": "a", "pattern": "(?x) a # b"}, "pattern: must be a regular expression"),
        ({"type": "regex", "column": "a", "pattern": "(?!a).*"}, "look-around, including look-ahead and"),
        ({"type": "row_count", "min": 1, "on_failure": "quarantine"}, "must not quarantine: it is about the table as"),
        ({"type": "freshness", "column": "a", "max_age": "2 days", "on_failure": "quarantine"}, "must not quarantine"),
        ({"type": "freshness", "column": "a", "max_age": "soon"}, "max_age: must be a number of hours, days, weeks"),
        ({"type": "row_count"}, "needs min, max or both"),
        ({"type": "expression", "condition": " "}, "quality_checks[0].condition: must not be empty"),
        ({"type": "foreign_key", "references": "raw.a.b"}, "needs column or columns, and not both"),
        ({"type": "foreign_key", "column": "a", "references": "a.b"}, "references: must be layer.domain.table"),
        ({"type": "foreign_key", "column": "a", "references": "rw.a.b"}, "must start with a layer: raw, staging"),
        ({"type": "foreign_key", "column": "a", "references": "raw.a.b(c, d)"}, "as many columns as it has (it has 1"),
    ],
)  # fmt: skip
def test_what_is_no_check_is_refused_by_its_key(check: dict[str, Any], told: str) -> None:
    line = problem(**check)
    assert told in line
    assert line.startswith("pipelines.yaml: quality_checks[0]")
