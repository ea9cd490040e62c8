"""The record class: typed rows, found, filtered and removed, with nothing left behind when it is cut short."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import duckdb
import pandera.polars as pa
import polars as pl
import pytest
from lake_builder import COLUMNS, LakeBuilder, flight, month

import tasks.lake_table
from blocks.duck import duck
from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.local_lake import LocalLake
from schemas.column_plan import Column, Kind
from schemas.config import Settings
from schemas.errors import ConfigError, LakeError
from schemas.flights import Flights
from tasks.check_generation import check_generation
from tasks.lake_table import LakeTable
from tasks.remove_orphans import remove_orphans
from tasks.typed_frame import InvalidRecords

JANUARY, FEBRUARY = month(2013, 1), month(2013, 2)


class Model(pa.DataFrameModel):
    id: pl.Int64 = pa.Field(unique=True)
    departed_at: Annotated[pl.Datetime, "us", "UTC"]
    carrier: pl.String = pa.Field(nullable=True)
    price: Annotated[pl.Decimal, 12, 4] = pa.Field(nullable=True, alias="fare", ge=0)


class Archived(LakeTable):
    dataset = "flights"
    model = Model


def table_of(model: type[pa.DataFrameModel], lake: Lake, dataset: str = "flights") -> LakeTable:
    return type("Table", (LakeTable,), {"dataset": dataset, "model": model})(lake)


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


@pytest.fixture
def builder(lake: LocalLake) -> LakeBuilder:
    """Four flights in January, two in February; flight 1 has a newer version in another partition."""
    builder = LakeBuilder(lake)
    rows = [
        flight(1, date(2013, 1, 5), "UA", fare=Decimal("1.5")),
        flight(2, date(2013, 1, 6), "UA"),
        flight(3, date(2013, 1, 7), "AA", fare=Decimal("3.0001")),
        flight(4, date(2012, 1, 7), None),
    ]
    builder.commit(rows, JANUARY)
    builder.commit([flight(5, date(2013, 2, 1), "UA"), flight(1, date(2013, 2, 2), "AA")], FEBRUARY)
    return builder


@pytest.fixture
def flights(builder: LakeBuilder) -> Archived:
    return Archived(builder.lake)


def ids(frame: pl.DataFrame) -> list[int]:
    return sorted(frame["id"])


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"carrier": "UA"}, [2, 5]),
        ({"carrier": "UA", "year": 2013, "month": 2}, [5]),
        ({"carrier": None}, [4]),
        ({"carrier": ["AA", None]}, [1, 3, 4]),
        ({"carrier": []}, []),
        ({"carrier": "' OR true --"}, []),
        ({"month": (1, 2), "year": 2013}, [1, 2, 3, 5]),
        ({"id": 1}, [1]),
        ({"id": [1, 2], "carrier": "UA"}, [2]),
        ({"id": 2**80}, []),
        ({"id": []}, []),
        ({"fare": Decimal("3.0001")}, [3]),
        ({"fare": Decimal("3.00011")}, []),
        ({"fare": None}, [1, 2, 4, 5]),
        ({"departed_at": datetime(2013, 1, 6, 12, tzinfo=UTC)}, [2]),
    ],
)
def test_where_returns_the_newest_rows_that_equal_the_filters(
    flights: Archived, filters: dict[str, Any], found: list[int]
) -> None:
    assert ids(flights.where(**filters)) == found
    assert ids(flights.where(filters)) == found


def test_where_has_the_types_of_the_model_also_without_a_row(flights: Archived) -> None:
    for frame in (flights.where(id=1), flights.where(id=99)):
        assert dict(frame.schema) == {
            "id": pl.Int64, "departed_at": pl.Datetime("us", "UTC"), "carrier": pl.String,
            "fare": pl.Decimal(12, 4), "year": pl.Int32, "month": pl.Int32,
        }  # fmt: skip


def test_limit_bounds_the_rows(flights: Archived) -> None:
    assert flights.where(limit=2).height == 2
    assert flights.where(limit=0).height == 0


def test_column_named_like_an_argument_is_given_in_front(lake: LocalLake) -> None:
    builder = LakeBuilder(lake, columns=(*COLUMNS, Column(name="limit", source_type="int", kind=Kind.INTEGER, bits=32)))
    builder.commit([flight(n, date(2013, 1, 5), limit=n) for n in range(5)], JANUARY)

    assert ids(Archived(lake).where({"limit": 3}, limit=4)) == [3]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"carier": "UA"}, r"no column 'carier'.*did you mean 'carrier'.*id, departed_at, carrier, fare, year, month"),
        ({"carrier": 7}, r"'carrier' \(text\) cannot equal 7"),
        ({"year": "2013"}, r"'year' \(integer\) cannot equal '2013'"),
        ({"id": True}, r"'id' \(integer\) cannot equal True"),
        ({"id": 1.0}, r"cannot equal 1.0"),
        ({"fare": 1.5}, r"cannot equal 1.5"),
        ({"departed_at": datetime(2013, 1, 6)}, r"(?s)cannot equal.*with a time zone"),
        ({"departed_at": date(2013, 1, 6)}, r"cannot equal"),
        ({"carrier": ["UA", 7]}, r"cannot equal 7"),
    ],
)
def test_filter_that_cannot_hold_is_refused_by_name(flights: Archived, filters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        flights.where(**filters)


def test_where_on_partition_keys_opens_no_other_partitions_files(builder: LakeBuilder, flights: Archived) -> None:
    for generation in builder.generations():
        builder.purge(generation.manifest)
        for file in generation.manifest.files:
            if file.partition != {"carrier": "UA", "year": "2013", "month": "01"}:
                (Path(builder.lake.url) / file.path).unlink()

    assert ids(flights.where(carrier="UA", year=2013, month=1)) == [1, 2]
    assert flights.find(2, carrier="UA", year=2013, month=1).id == 2
    with pytest.raises(LakeError, match="could not be read"):
        flights.where(year=2013)


def test_where_opens_other_partitions_only_where_newer_versions_may_be(builder: LakeBuilder, flights: Archived) -> None:
    first, second = builder.generations()
    for file in first.manifest.files:
        if file.partition != {"carrier": "UA", "year": "2013", "month": "01"}:
            (Path(builder.lake.url) / file.path).unlink()

    assert len(second.files) == 2
    assert ids(flights.where(carrier="UA", year=2013, month=1)) == [2]
    assert flights.find(1, carrier="UA", month=1) is None


def test_where_sees_no_orphans(builder: LakeBuilder, flights: Archived) -> None:
    builder.store([flight(9, date(2013, 1, 5))], "orphan")
    assert ids(flights.where()) == [1, 2, 3, 4, 5]


def test_find_returns_a_frozen_record_with_the_models_fields(flights: Archived) -> None:
    record = flights.find(3)
    assert (record.id, record.departed_at, record.carrier, record.price) == (
        3, datetime(2013, 1, 7, 12, tzinfo=UTC), "AA", Decimal("3.0001"),
    )  # fmt: skip
    assert type(record).__name__ == "Model"
    assert type(record) is type(flights.find(2))
    with pytest.raises(FrozenInstanceError):
        record.price = 0


def test_find_returns_the_newest_version_and_only_in_its_partition(flights: Archived) -> None:
    assert flights.find(1).carrier == "AA"
    assert flights.find(1, carrier="AA", month=2).departed_at.month == 2
    assert flights.find(1, carrier="UA") is None
    assert flights.find(77) is None


def test_find_takes_the_newest_row_also_where_a_purged_key_came_back(lake: LocalLake) -> None:
    builder = LakeBuilder(lake)
    builder.commit([flight(1, date(2013, 2, 5))], FEBRUARY, purged=True)
    builder.commit([flight(1, date(2013, 1, 5))], JANUARY, purged=True)

    assert Archived(lake).find(1).departed_at.month == 1


def test_composite_key_is_found_by_a_tuple_in_the_keys_order(lake: LocalLake) -> None:
    builder = LakeBuilder(lake, key=("carrier", "id"))
    builder.commit([flight(1, date(2013, 1, 5), "AA"), flight(1, date(2013, 1, 6), "UA")], JANUARY)
    builder.commit([flight(1, date(2013, 1, 7), "UA")], JANUARY)
    flights = Archived(lake)

    assert flights.find(("UA", 1)).departed_at.day == 7
    assert flights.find(("AA", 1)).departed_at.day == 5
    for wrong in (1, ("UA",), ("UA", 1, 2), ("UA", None)):
        with pytest.raises(ConfigError, match=r"its key is \(carrier, id\)"):
            flights.find(wrong)
    with pytest.raises(ConfigError, match="cannot equal"):
        flights.find((1, "UA"))


def test_table_without_a_key_has_nothing_to_find(lake: LocalLake) -> None:
    LakeBuilder(lake, key=()).commit([flight(1, date(2013, 1, 5))], JANUARY)
    with pytest.raises(ConfigError, match="it has none"):
        Archived(lake).find(1)


def test_bad_value_is_refused_with_column_and_check(builder: LakeBuilder, flights: Archived) -> None:
    builder.commit([flight(6, date(2013, 2, 1), fare=Decimal("-0.0001"))], FEBRUARY)
    with pytest.raises(InvalidRecords, match=r"Model: 1 failures: fare: greater_than_or_equal_to\(0\) \(got -0.0001\)"):
        flights.where()
    with pytest.raises(InvalidRecords):
        flights.find(6)
    assert ids(flights.where(id=[1, 2])) == [1, 2]


def test_column_that_the_model_wants_and_the_lake_has_not_is_refused(lake: LocalLake, builder: LakeBuilder) -> None:
    class Wider(Model):
        gate: pl.String

    with pytest.raises(InvalidRecords, match="gate"):
        table_of(Wider, lake).where()


def test_model_can_widen_types_but_never_lose_values(lake: LocalLake, builder: LakeBuilder) -> None:
    class Other(pa.DataFrameModel):
        id: pl.String
        fare: pl.Float64 = pa.Field(nullable=True)
        year: pl.Int16
        departed_at: Annotated[pl.Datetime, "ms", "UTC"]

    class Strict(Other):
        class Config:
            strict = True

    frame = table_of(Other, lake).where(id=3)
    assert frame.select("id", "fare", "year").rows() == [("3", 3.0001, 2013)]
    assert frame.columns == ["id", "departed_at", "carrier", "fare", "year", "month"]
    assert set(table_of(Strict, lake).where().columns) == {"id", "fare", "year", "departed_at"}

    builder.commit([flight(6, datetime(2013, 2, 1, 1, 1, 1, 1, tzinfo=UTC))], FEBRUARY)
    with pytest.raises(InvalidRecords, match=r"departed_at .* without loss"):
        table_of(Other, lake).where()

    class Narrow(pa.DataFrameModel):
        id: pl.Int64
        fare: pl.Int32 = pa.Field(nullable=True)

    with pytest.raises(InvalidRecords, match=r"fare .* without loss"):
        table_of(Narrow, lake).where(id=3)

    class Wrong(pa.DataFrameModel):
        carrier: pl.Int32

    with pytest.raises(InvalidRecords, match="carrier cannot be read as Int32"):
        table_of(Wrong, lake).where(id=3)


def test_demo_model_fits_its_table(lake: LocalLake) -> None:
    def column(name: str, kind: Kind, **of: Any) -> Column:
        return Column(name=name, source_type="x", kind=kind, **of)

    columns = (
        *COLUMNS[:3],
        column("flight", Kind.INTEGER, bits=32),
        *(column(name, Kind.TEXT) for name in ("tailnum", "origin", "dest")),
        *(column(name, Kind.FLOAT64) for name in ("dep_delay", "arr_delay", "air_time")),
        column("distance", Kind.INTEGER, bits=32),
        COLUMNS[3],
        *(column(name, Kind.TEXT) for name in ("co2_kg", "details", "booking_ref", "tags", "duration")),
    )
    row = flight(1, date(2013, 1, 5), flight=1545, origin="EWR", dest="IAH", distance=1400, fare=Decimal("59.1"))
    LakeBuilder(lake, columns=columns).commit([row], JANUARY)
    record = table_of(Flights, lake).find(1)

    assert (record.flight, record.fare, record.duration) == (1545, Decimal("59.1000"), None)
    for wrong in ({"distance": 0}, {"origin": "BER"}, {"carrier": "UAL"}, {"flight": None}):
        with pytest.raises(pa.errors.SchemaErrors):
            frame = table_of(Flights, lake).where().with_columns(*(pl.lit(v).alias(c) for c, v in wrong.items()))
            Flights.validate(frame.cast({"distance": pl.Int32, "flight": pl.Int32}), lazy=True)


def test_unknown_dataset_names_those_that_exist(lake: LocalLake, builder: LakeBuilder) -> None:
    for call in (lambda t: t.where(), lambda t: t.find(1), lambda t: t.destroy_all(year=2013)):
        with pytest.raises(ConfigError, match=r"no dataset 'flihgts'.*did you mean 'flights'.*Datasets: flights\."):
            call(table_of(Model, lake, "flihgts"))


def check(builder: LakeBuilder) -> list[Any]:
    with builder.lake.scratch() as scratch:
        return [f for g in builder.generations() for f in check_generation(builder.lake, g, Settings(), scratch)]


def all_files(lake: Lake) -> set[str]:
    return {entry.path for entry in lake.list("flights")}


def test_destroyed_partition_is_gone_and_the_audit_agrees(builder: LakeBuilder, flights: Archived) -> None:
    assert check(builder) == []
    before = all_files(builder.lake)
    removal = flights.destroy_all(carrier="UA", year=2013, reason="asked by the customer")

    assert removal.rows == 3  # flights 1 (its older version), 2 and 5
    assert ids(flights.where()) == [1, 3, 4]
    assert before - all_files(builder.lake) == set(removal.paths)
    assert {path.rsplit("/", 1)[0] for path in removal.paths} == {
        "flights/carrier=UA/year=2013/month=01", "flights/carrier=UA/year=2013/month=02",
    }  # fmt: skip
    assert check(builder) == []
    assert builder.ledger.orphans() == []


@pytest.mark.parametrize(
    ("partitions", "left"),
    [
        ({"carrier": None}, [1, 2, 3, 5]),
        ({"carrier": ["AA", None]}, [1, 2, 5]),
        ({"year": 2012}, [1, 2, 3, 5]),
        ({"month": 2}, [1, 2, 3, 4]),
        ({"year": 1999}, [1, 2, 3, 4, 5]),
        ({"carrier": []}, [1, 2, 3, 4, 5]),
        ({"carrier": "U"}, [1, 2, 3, 4, 5]),
    ],
)
def test_destroy_all_takes_the_partitions_named_and_no_other(
    flights: Archived, partitions: dict[str, Any], left: list[int]
) -> None:
    rows = flights.where().height
    removal = flights.destroy_all(**partitions)
    assert ids(flights.where()) == left
    if not removal.paths:
        assert (removal.rows, rows) == (0, len(left))


@pytest.mark.parametrize("fails_at", ["record", "delete"])
def test_destroy_that_is_cut_short_is_whole_for_readers_and_ends_on_a_second_call(
    builder: LakeBuilder, flights: Archived, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    before = all_files(builder.lake)

    def cut(*_: object) -> None:
        raise LakeError("cut short")

    with monkeypatch.context() as patch, pytest.raises(LakeError, match="cut short"):
        if fails_at == "delete":
            patch.setattr(builder.lake, "delete", cut)
        else:
            patch.setattr(Ledger, "record_removal", cut)
        flights.destroy_all(carrier="UA")

    assert all_files(builder.lake) == before
    assert ids(flights.where()) == ([1, 2, 3, 4, 5] if fails_at == "record" else [1, 3, 4])
    assert check(builder) == []
    assert len(builder.ledger.orphans()) == (0 if fails_at == "record" else 2)  # the next archive run takes them

    again = flights.destroy_all(carrier="UA")
    assert again.rows == (3 if fails_at == "record" else 0)
    assert ids(flights.where()) == [1, 3, 4]
    assert len(all_files(builder.lake)) == len(before) - 2
    assert builder.ledger.orphans() == []


def test_files_of_a_destroy_that_was_cut_short_go_with_the_next_archive_run(
    builder: LakeBuilder, flights: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_files(builder.lake)
    with monkeypatch.context() as patch:
        patch.setattr(builder.lake, "delete", lambda paths: None)
        removal = flights.destroy_all(carrier="UA")

    assert all_files(builder.lake) == before
    assert remove_orphans(builder.lake, builder.ledger) == 2
    assert before - all_files(builder.lake) == set(removal.paths)


@pytest.mark.parametrize(
    ("partitions", "message"),
    [
        ({}, "needs a partition"),
        ({"id": 1}, "id is no partition key"),
        ({"carrier": "UA", "fare": None}, "fare is no partition key"),
        ({"day": 1}, "no column 'day'"),
        ({"carier": "UA"}, "did you mean 'carrier'"),
    ],
)
def test_destroy_all_refuses_what_is_not_whole_partitions(
    builder: LakeBuilder, flights: Archived, partitions: dict[str, Any], message: str
) -> None:
    before = all_files(builder.lake)
    with pytest.raises(ConfigError, match=message):
        flights.destroy_all(**partitions)
    assert all_files(builder.lake) == before
    assert ids(flights.where()) == [1, 2, 3, 4, 5]


def test_destroy_all_refuses_a_key_that_an_older_generation_is_not_partitioned_by(
    builder: LakeBuilder, flights: Archived
) -> None:
    builder.partition_by = ("year", "month")
    manifest = builder.commit([flight(6, date(2013, 2, 1), "UA")], FEBRUARY)
    before = all_files(builder.lake)

    with pytest.raises(ConfigError, match=f"carrier is no partition key of {manifest.path}"):
        flights.destroy_all(carrier="UA")
    assert all_files(builder.lake) == before
    assert flights.destroy_all(year=2013, month=2).rows == 3


def test_two_destroys_leave_two_records(builder: LakeBuilder, flights: Archived) -> None:
    flights.destroy_all(carrier="UA")
    flights.destroy_all(carrier="AA")
    assert ids(flights.where()) == [4]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[duckdb.DuckDBPyConnection]:
    """The connections that the table opens."""
    connections: list[duckdb.DuckDBPyConnection] = []

    @contextmanager
    def remembering(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
        with duck(settings) as connection:
            connections.append(connection)
            yield connection

    monkeypatch.setattr(tasks.lake_table, "duck", remembering)
    return connections


def test_connections_are_closed_also_after_an_error(
    builder: LakeBuilder, flights: Archived, opened: list[duckdb.DuckDBPyConnection]
) -> None:
    flights.where()
    flights.find(1)
    for file in builder.generations()[0].manifest.files:
        (Path(builder.lake.url) / file.path).unlink()
    with pytest.raises(LakeError):
        flights.where()

    assert len(opened) == 3
    for connection in opened:
        with pytest.raises(duckdb.ConnectionException):
            connection.execute("SELECT 1")


def test_table_opens_a_folder_or_the_lake_of_a_project(builder: LakeBuilder, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "settings.yaml").write_text("lake: ./lake\nmemory_limit: 500MB\n")

    assert ids(Archived.at(tmp_path / "lake").where(id=1)) == [1]
    project = Archived.of_project(config)
    assert ids(project.where(id=1)) == [1]
    assert project.settings.memory_limit == "500MB"


def test_s3_lake_is_read_and_destroyed_like_a_folder(s3_lake: Lake) -> None:
    builder = LakeBuilder(s3_lake)
    builder.commit([flight(1, date(2013, 1, 5), "UA"), flight(2, date(2013, 1, 5), "A/A")], JANUARY)
    flights = Archived(s3_lake)

    assert ids(flights.where(carrier="A/A", year=2013)) == [2]
    assert flights.find(1, carrier="UA").id == 1
    assert flights.destroy_all(carrier="A/A").rows == 1
    assert ids(flights.where()) == [1]
    assert check(builder) == []
