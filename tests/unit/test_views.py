"""What readers of the lake see: committed generations only, the newest version of each key, exact values."""

import random
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from lake_builder import CARRIER, COLUMNS, FARE, ID, NOON, TIME, LakeBuilder, Row, flight, month

from blocks.lake import Lake
from blocks.ledger import Ledger
from blocks.local_lake import LocalLake
from schemas.column_plan import Column, Kind, arrow_schema, duckdb_type
from schemas.config import Settings
from schemas.errors import ConfigError, LakeError, ProofFailed
from schemas.manifest import Manifest
from schemas.window import Window
from tasks.views import open_views, query_lake

JANUARY, FEBRUARY, MARCH = month(2013, 1), month(2013, 2), month(2013, 3)
SETTINGS = Settings()
HOSTILE = [
    None, "", "007", "a/b=c%", "..", ".", "é x", "😀", "__HIVE_DEFAULT_PARTITION__", "NULL", "null", "q'\"", "a+b",
    "%41", " lead", "trail ", "[x]*?", "{b}", "a\nb", "2024-01-01", "year=1", "\\x",
]  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


@pytest.fixture
def flights(lake: LocalLake) -> LakeBuilder:
    return LakeBuilder(lake)


def ask(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with query_lake(lake, SETTINGS, sql) as answer:
        return answer.fetchall()


def files_read(lake: Lake, sql: str) -> set[str]:
    """Return the partitions (folders) of the files that DuckDB opened for the values of a query."""
    plan = ask(lake, f"EXPLAIN (ANALYZE, FORMAT json) {sql}")[0][1]
    return {match.rpartition("/")[0] for match in re.findall(rf"{re.escape(lake.url)}/(\S+?\.parquet)", plan)}


def test_query_sees_committed_rows_and_nothing_of_an_export_that_did_not_commit(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    flights.store([flight(2, date(2013, 1, 6))], "orphan")

    assert ask(flights.lake, "SELECT id FROM flights") == [(1,)]
    assert ask(flights.lake, "SELECT id FROM flights__history") == [(1,)]


def test_newest_version_of_a_row_archived_twice_is_shown_and_history_has_both(flights: LakeBuilder) -> None:
    first = flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(1)), flight(2, date(2013, 1, 5))], JANUARY)
    second = flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(2))], JANUARY)

    assert ask(flights.lake, "SELECT id, fare FROM flights ORDER BY id") == [(1, Decimal(2)), (2, None)]
    assert ask(
        flights.lake, "SELECT fare, _generation, _taken_at, _window_start FROM flights__history WHERE id = 1 ORDER BY 2"
    ) == [
        (Decimal(1), 1, first.attestation.snapshot.taken_at, JANUARY.start),
        (Decimal(2), 2, second.attestation.snapshot.taken_at, JANUARY.start),
    ]


def test_newer_is_by_snapshot_not_by_order_of_commit(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(2))], JANUARY, taken_at=NOON + timedelta(days=2))
    flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(1))], JANUARY, taken_at=NOON)

    assert ask(flights.lake, "SELECT fare FROM flights") == [(Decimal(2),)]


@pytest.mark.parametrize("purged", [None, "changed", "gone"])
def test_row_that_moved_to_another_window_is_shown_once(flights: LakeBuilder, purged: str | None) -> None:
    january = flights.commit([flight(1, date(2013, 1, 5)), flight(2, date(2013, 1, 5))], JANUARY)
    february = flights.commit([flight(1, date(2013, 2, 5), "AA")], FEBRUARY)
    if purged:
        flights.purge(january, changed_since=int(purged == "changed"), already_gone=int(purged == "gone"))
        flights.purge(february)

    assert ask(flights.lake, "SELECT id, carrier FROM flights ORDER BY id") == [(1, "AA"), (2, "UA")]
    # The partition that the row left does not show it either.
    assert ask(flights.lake, "SELECT id FROM flights WHERE carrier = 'UA'") == [(2,)]


def test_row_that_moved_and_came_back_before_its_purge_is_shown_once(flights: LakeBuilder) -> None:
    january = flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    february = flights.commit([flight(1, date(2013, 2, 5))], FEBRUARY)
    flights.purge(january, after_h=5)  # deleted as it was, after February's snapshot
    flights.purge(february, already_gone=1)

    assert len(ask(flights.lake, "FROM flights")) == 1


def test_lake_that_was_purged_whole_is_read_without_looking_for_newer_versions(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY, purged=True)
    flights.commit([flight(2, date(2013, 2, 5))], FEBRUARY, purged=True)
    plain = ask(flights.lake, "EXPLAIN SELECT * FROM flights")[0][1]
    flights.commit([flight(n, date(2013, 2, 6)) for n in (2, 3)], FEBRUARY)
    contested = ask(flights.lake, "EXPLAIN SELECT * FROM flights")[0][1]

    assert "JOIN" not in plain.upper()
    assert "ANTI" in contested.upper()
    assert ask(flights.lake, "SELECT count(*) FROM flights") == [(3,)]


def test_row_that_was_given_the_key_of_a_purged_row_is_a_row_of_its_own(flights: LakeBuilder) -> None:
    # Not what anybody wants, but known: nothing in manifests or receipts tells, and looking costs all keys of the lake.
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY, purged=True)
    flights.commit([flight(1, date(2013, 2, 5))], FEBRUARY)

    assert ask(flights.lake, "SELECT id FROM flights") == [(1,), (1,)]


def test_composite_key_is_compared_as_a_whole(lake: LocalLake) -> None:
    flights = LakeBuilder(lake, key=("id", "carrier"))
    flights.commit([flight(1, date(2013, 1, 5), "AA"), flight(1, date(2013, 1, 5), "UA")], JANUARY)
    flights.commit([flight(1, date(2013, 1, 6), "UA")], JANUARY)

    days = ask(lake, "SELECT carrier, departed_at::DATE FROM flights ORDER BY carrier")
    assert days == [("AA", date(2013, 1, 5)), ("UA", date(2013, 1, 6))]


@pytest.mark.parametrize("seed", range(12))
def test_newest_versions_are_those_of_a_source_that_is_archived_and_purged_at_random(
    lake: LocalLake, seed: int
) -> None:
    """Rows change, move between windows and back, and are deleted; windows are exported and purged in any order."""
    chance, flights = random.Random(seed), LakeBuilder(lake, partition_by=("carrier",))
    source: dict[int, Row] = {}
    newest: dict[int, Row] = {}
    archived: list[tuple[Manifest, list[Row]]] = []
    for step in range(40):
        day, carrier = date(2013, chance.choice([1, 2, 3]), 5), chance.choice(["AA", "UA"])
        match chance.choice(["insert", "insert", "change", "change", "delete", "export", "export", "purge"]):
            case "insert":
                source[step] = flight(step, day, carrier)
            case "change" if source:
                id = chance.choice(list(source))
                source[id] = flight(id, day, carrier)
            case "delete" if source:
                source.pop(chance.choice(list(source)))
            case "export":
                window = month(day.year, day.month)
                held = [row for manifest, rows in archived if manifest.window == window for row in rows]
                rows = [r for r in source.values() if window.start <= r["departed_at"] < window.end and r not in held]
                if rows:
                    archived.append((flights.commit(rows, window), rows))
                    newest.update((row["id"], row) for row in rows)
            case "purge" if archived:
                manifest, rows = archived[chance.randrange(len(archived))]
                changed = sum(row["id"] in source and source[row["id"]] != row for row in rows)
                gone = sum(row["id"] not in source for row in rows)
                taken_at = archived[-1][0].attestation.snapshot.taken_at  # it ends after the newest snapshot
                after_h = (taken_at - manifest.attestation.snapshot.taken_at).total_seconds() / 3600 + 0.5
                if not any(g.receipts for g in flights.generations() if g.manifest == manifest):
                    flights.purge(manifest, changed_since=changed, already_gone=gone, after_h=after_h)
                for row in rows:
                    if source.get(row["id"]) == row:
                        del source[row["id"]]

    expected = sorted((row["id"], row["departed_at"].month, row["carrier"]) for row in newest.values())
    if archived:
        assert ask(lake, "SELECT id, month(departed_at), carrier FROM flights ORDER BY id") == expected
        american = [row for row in expected if row[2] == "AA"]
        query = "SELECT id, month(departed_at), carrier FROM flights WHERE carrier = 'AA' ORDER BY id"
        assert ask(lake, query) == american


def test_table_without_a_key_shows_all_its_rows(lake: LocalLake) -> None:
    flights = LakeBuilder(lake, key=())
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)

    assert ask(lake, "SELECT id FROM flights") == [(1,), (1,)]


def test_removed_partition_is_invisible_while_its_files_are_still_there(flights: LakeBuilder) -> None:
    manifest = flights.commit([flight(1, date(2013, 1, 5), "AA"), flight(2, date(2013, 1, 5), "UA")], JANUARY)
    flights.remove([file for file in manifest.files if file.partition["carrier"] == "AA"])

    assert ask(flights.lake, "SELECT id FROM flights") == [(2,)]
    assert ask(flights.lake, "SELECT id FROM flights__history") == [(2,)]


def test_dataset_of_which_all_was_removed_is_an_empty_view_with_its_columns(flights: LakeBuilder) -> None:
    flights.remove(flights.commit([flight(1, date(2013, 1, 5))], JANUARY).files)

    assert ask(flights.lake, "SELECT fare, year FROM flights") == []
    assert ask(flights.lake, "SELECT _taken_at FROM flights__history") == []


def test_removed_newer_version_gives_way_to_the_older_one(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5), "AA")], JANUARY)
    flights.remove(flights.commit([flight(1, date(2013, 1, 5), "UA")], JANUARY).files)

    assert ask(flights.lake, "SELECT carrier FROM flights") == [("AA",)]


def test_hostile_partition_values_come_back_as_they_were_and_can_be_asked_for(flights: LakeBuilder) -> None:
    flights.commit([flight(n, date(2013, 1, 5), value) for n, value in enumerate(HOSTILE)], JANUARY)
    flights.commit([flight(0, date(2013, 1, 6), None)], JANUARY)  # the same through the search for newer versions

    assert ask(flights.lake, "SELECT id, carrier FROM flights ORDER BY id") == list(enumerate(HOSTILE))
    with open_views(flights.lake, SETTINGS) as connection:
        for n, value in enumerate(HOSTILE):
            query = "SELECT id FROM flights WHERE carrier IS NOT DISTINCT FROM $1"
            assert connection.execute(query, [value]).fetchall() == [(n,)], value


def test_partition_keys_of_all_types_keep_their_type_and_value(lake: LocalLake) -> None:
    keys = (
        Column(name="n", source_type="int", kind=Kind.INTEGER, bits=32),
        Column(name="b", source_type="boolean", kind=Kind.BOOLEAN),
        Column(name="d", source_type="date", kind=Kind.DATE),
        Column(name="größe=1", source_type="text", kind=Kind.TEXT),
    )
    rows = [
        (-5, True, date(2024, 2, 29), "x"),
        (None, None, None, None),
        (2**31 - 1, False, date(1, 1, 1), ""),
        (0, False, date(9999, 12, 31), "a/b"),
    ]
    builder = LakeBuilder(lake, columns=(*COLUMNS, *keys), partition_by=tuple(key.name for key in keys))
    names = [key.name for key in keys]
    builder.commit(
        [flight(n, date(2013, 1, 5), **dict(zip(names, row, strict=True))) for n, row in enumerate(rows)], JANUARY
    )

    assert ask(lake, 'SELECT n, b, d, "größe=1" FROM flights ORDER BY id') == rows
    types = ask(lake, 'SELECT DISTINCT typeof(n), typeof(b), typeof(d), typeof("größe=1") FROM flights')
    assert types == [("INTEGER", "BOOLEAN", "DATE", "VARCHAR")]


def test_dates_that_a_path_cannot_say_come_from_the_file(lake: LocalLake) -> None:
    day = Column(name="day_of", source_type="date", kind=Kind.DATE)
    builder = LakeBuilder(lake, columns=(*COLUMNS, day), partition_by=("day_of", "year"))
    days = [-800_000, 2**31 - 1, -(2**31) + 1, 0]  # since 1970: before Christ, infinity, -infinity, and a plain one
    builder.commit([flight(n, date(2013, 1, 5), day_of=day) for n, day in enumerate(days)], JANUARY)

    rows = ask(lake, "SELECT day_of::VARCHAR, year FROM flights ORDER BY id")
    assert rows == [("0222-09-04 (BC)", 2013), ("infinity", 2013), ("-infinity", 2013), ("1970-01-01", 2013)]


@pytest.mark.parametrize("folder", ["carrier=XX/year=1999", "env=prod", "[a]*?{b}", "x y%20'é", "up/../lake"])
def test_folders_above_the_lake_are_not_taken_for_partitions_or_patterns(tmp_path: Path, folder: str) -> None:
    lake = LocalLake(tmp_path / folder)
    flights = LakeBuilder(lake)
    flights.commit([flight(1, date(2013, 1, 5), "UA")], JANUARY)
    flights.commit([flight(1, date(2013, 1, 6), "UA")], JANUARY)

    assert ask(lake, "SELECT id, carrier, year, month FROM flights") == [(1, "UA", 2013, 1)]
    assert ask(lake, "SELECT _generation FROM flights__history ORDER BY 1") == [(1,), (2,)]


def test_condition_on_partition_keys_opens_no_other_partitions_files(flights: LakeBuilder) -> None:
    rows = [
        flight(n, date(year, 1, 5), carrier)
        for n, (carrier, year) in enumerate((c, y) for c in ("AA", "UA", "DL") for y in (2012, 2013))
    ]
    flights.commit(rows, JANUARY, purged=True)
    wanted = {"flights/carrier=UA/year=2013/month=01"}

    assert files_read(flights.lake, "SELECT * FROM flights WHERE carrier = 'UA' AND year = 2013") == wanted
    assert len(files_read(flights.lake, "SELECT * FROM flights WHERE year = 2013")) == 3
    history = "SELECT * FROM flights__history WHERE carrier = 'UA' AND year = 2013"
    assert files_read(flights.lake, history) == wanted

    # With newer versions about, only these (DL) are opened besides, for their keys.
    flights.commit([flight(3, date(2014, 1, 5), "DL")], JANUARY)
    newer = {"flights/carrier=DL/year=2014/month=01"}
    query = "SELECT * FROM flights WHERE carrier = 'UA' AND year = 2013"
    assert files_read(flights.lake, query) == wanted | newer
    assert ask(flights.lake, query) == []


def test_files_of_other_partitions_may_even_be_broken(flights: LakeBuilder) -> None:
    manifest = flights.commit([flight(n, date(2013, 1, 5), c) for n, c in enumerate(("AA", "UA", "DL"))], JANUARY)
    for file in manifest.files[1:]:
        if file.partition["carrier"] != "UA":
            (Path(flights.lake.url) / file.path).write_bytes(b"no Parquet")

    assert ask(flights.lake, "SELECT id FROM flights WHERE carrier = 'UA'") == [(1,)]
    with pytest.raises(LakeError, match="DL"):
        ask(flights.lake, "SELECT id FROM flights")


EVERY_KIND = tuple(
    Column(name=f"c{n}", source_type="x", **of)
    for n, of in enumerate(
        [
            *({"kind": Kind.INTEGER, "bits": bits} for bits in (16, 32, 64)),
            *({"kind": Kind.DECIMAL, "precision": p, "scale": s} for p, s in ((1, 0), (12, 4), (38, 38))),
            *({"kind": kind} for kind in Kind if kind not in {Kind.INTEGER, Kind.DECIMAL}),
        ]
    )
)


@pytest.mark.parametrize("generations", [1, 2])
def test_types_are_exactly_those_of_the_manifest(lake: LocalLake, generations: int) -> None:
    builder = LakeBuilder(lake, columns=(*COLUMNS, *EVERY_KIND))
    for _ in range(generations):
        builder.commit([flight(1, date(2013, 1, 5), **{c.name: None for c in EVERY_KIND})], JANUARY)

    expected = {c.name: duckdb_type(c).replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE") for c in builder.columns}
    described = {name: kind for name, kind, *_ in ask(lake, "DESCRIBE flights")}
    assert described == {**expected, "year": "INTEGER", "month": "INTEGER"}
    with query_lake(lake, SETTINGS, "SELECT * EXCLUDE (year, month) FROM flights") as answer:
        assert [f.name for f in answer.to_arrow_table().schema] == arrow_schema(builder.columns).names


def test_column_that_came_later_is_null_before_and_one_that_went_stays(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(7))], JANUARY)
    flights.columns = (ID, TIME, CARRIER, Column(name="Gate", source_type="text", kind=Kind.TEXT))
    flights.commit([flight(2, date(2013, 2, 5), Gate="A1")], FEBRUARY)

    rows = [(1, None, Decimal(7)), (2, "A1", None)]
    assert ask(flights.lake, 'SELECT id, gate, fare FROM flights ORDER BY "ID"') == rows
    assert ask(flights.lake, "SELECT id, gate, fare FROM flights__history ORDER BY id") == rows
    assert [name for name, *_ in ask(flights.lake, "DESCRIBE flights")] == [
        "id", "departed_at", "carrier", "Gate", "fare", "year", "month",
    ]  # fmt: skip


def test_column_whose_name_changed_its_case_is_one_column(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5), fare=Decimal(7))], JANUARY)
    flights.columns = (ID, TIME, CARRIER, FARE.model_copy(update={"name": "Fare"}))
    flights.commit([flight(2, date(2013, 2, 5), Fare=Decimal(8))], FEBRUARY)

    assert ask(flights.lake, "SELECT * EXCLUDE (departed_at) FROM flights ORDER BY id") == [
        (1, "UA", Decimal(7), 2013, 1), (2, "UA", Decimal(8), 2013, 2),
    ]  # fmt: skip


def _version(kind: Kind, **of: Any) -> Column:
    return Column(name="v", source_type="x", kind=kind, **of)


@pytest.mark.parametrize(
    ("before", "value", "after", "common", "seen"),
    [
        (_version(Kind.INTEGER, bits=16), 7, _version(Kind.INTEGER, bits=64), "BIGINT", 7),
        (_version(Kind.DECIMAL, precision=5, scale=4), Decimal("1.2345"),
         _version(Kind.DECIMAL, precision=12, scale=2), "DECIMAL(14,4)", Decimal("1.2345")),
        (_version(Kind.INTEGER, bits=32), -(2**31), _version(Kind.DECIMAL, precision=4, scale=2),
         "DECIMAL(12,2)", Decimal(-(2**31))),
        (_version(Kind.FLOAT32), 0.5, _version(Kind.FLOAT64), "DOUBLE", 0.5),
        (_version(Kind.INTEGER, bits=32), 2**31 - 1, _version(Kind.FLOAT32), "DOUBLE", float(2**31 - 1)),
        (_version(Kind.INTEGER, bits=64), 2**63 - 1, _version(Kind.FLOAT64), "VARCHAR", str(2**63 - 1)),
        (_version(Kind.DECIMAL, precision=38, scale=0), Decimal(10**37),
         _version(Kind.DECIMAL, precision=38, scale=38), "VARCHAR", str(10**37)),
        (_version(Kind.INTEGER, bits=32), 7, _version(Kind.TEXT), "VARCHAR", "7"),
        (_version(Kind.TIMESTAMP), datetime(2024, 1, 1, 1), _version(Kind.TIMESTAMPTZ),
         "VARCHAR", "2024-01-01 01:00:00"),
    ],
)  # fmt: skip
def test_type_that_changed_becomes_one_that_loses_nothing(
    flights: LakeBuilder, before: Column, value: Any, after: Column, common: str, seen: Any
) -> None:
    flights.columns = (*COLUMNS, before)
    flights.commit([flight(1, date(2013, 1, 5), v=value)], JANUARY)
    flights.columns = (*COLUMNS, after)
    flights.commit([flight(2, date(2013, 2, 5), v=None)], FEBRUARY)

    assert ask(flights.lake, "SELECT typeof(v), v FROM flights WHERE id = 1") == [(common, seen)]
    assert ask(flights.lake, "SELECT typeof(v), v FROM flights WHERE id = 2") == [(common, None)]


def test_key_that_became_wider_still_finds_its_newer_version(flights: LakeBuilder) -> None:
    flights.columns = (ID.model_copy(update={"bits": 32}), *COLUMNS[1:])
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    flights.columns = COLUMNS
    flights.commit([flight(1, date(2013, 1, 6))], JANUARY)

    assert ask(flights.lake, "SELECT typeof(id), day(departed_at) FROM flights") == [("BIGINT", 6)]


def test_derived_keys_are_there_for_generations_that_were_not_partitioned_by_them(flights: LakeBuilder) -> None:
    flights.timezone = "America/New_York"
    flights.partition_by = ("carrier",)
    flights.commit([flight(1, datetime(2013, 1, 1, 3, tzinfo=UTC))], JANUARY)  # still 2012 in New York
    flights.partition_by = ("year", "month", "day", "hour")
    flights.commit([flight(2, datetime(2013, 2, 1, 3, tzinfo=UTC))], FEBRUARY)

    rows = ask(flights.lake, "SELECT id, year, month, day, hour FROM flights ORDER BY id")
    assert rows == [(1, 2012, 12, 31, 22), (2, 2013, 1, 31, 22)]


def test_windows_without_a_time_zone_start_at_a_time_without_one(lake: LocalLake) -> None:
    time = TIME.model_copy(update={"kind": Kind.TIMESTAMP})
    flights = LakeBuilder(lake, columns=(ID, time, CARRIER, FARE))
    window = Window(start=datetime(2013, 1, 1), end=datetime(2013, 2, 1))
    flights.commit([flight(1, datetime(2013, 1, 5))], window)

    assert ask(lake, "SELECT _window_start FROM flights__history") == [(datetime(2013, 1, 1),)]


def test_column_with_the_name_of_ours_is_kept(flights: LakeBuilder) -> None:
    flights.columns = (
        *COLUMNS,
        *(Column(name=n, source_type="text", kind=Kind.TEXT) for n in ("_generation", "filename")),
    )
    flights.commit([flight(1, date(2013, 1, 5), _generation="mine", filename="f")], JANUARY)

    assert ask(flights.lake, "SELECT _generation, __generation, filename FROM flights__history") == [("mine", 1, "f")]


def test_dataset_in_a_folder_is_a_view_in_a_schema(lake: LocalLake) -> None:
    for dataset in ("orders", "crm/orders", "crm/2024 archive/big-orders", "temp/orders"):
        LakeBuilder(lake, dataset=dataset).commit([flight(len(dataset), date(2013, 1, 5))], JANUARY)

    assert ask(lake, "SELECT id FROM orders") == [(6,)]
    assert ask(lake, "SELECT id FROM crm.orders") == [(10,)]
    assert ask(lake, 'SELECT id FROM "crm/2024 archive"."big-orders__history"') == [(27,)]
    assert ask(lake, "SELECT id FROM memory.temp.orders") == [(11,)]
    assert {name for (name,) in ask(lake, "SELECT view_name FROM duckdb_views() WHERE NOT internal")} == {
        "orders", "orders__history", "orders__quarantine",
        "big-orders", "big-orders__history", "big-orders__quarantine",
    }  # fmt: skip


def test_where_nothing_was_put_aside_the_view_of_it_is_empty(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    assert ask(flights.lake, "SELECT id, _reason FROM flights__quarantine") == []


def test_views_that_duckdb_could_not_tell_apart_are_refused(lake: LocalLake) -> None:
    for dataset in ("flights", "flights__History"):
        LakeBuilder(lake, dataset=dataset).commit([flight(1, date(2013, 1, 5))], JANUARY)

    with pytest.raises(ConfigError, match="'flights' and 'flights__History'"):
        ask(lake, "FROM flights")


def test_records_of_datasets_that_a_query_does_not_name_are_not_read(lake: LocalLake) -> None:
    LakeBuilder(lake).commit([flight(1, date(2013, 1, 5))], JANUARY)
    broken = LakeBuilder(lake, dataset="orders").commit([flight(1, date(2013, 1, 5))], JANUARY)
    (Path(lake.url) / broken.path).write_bytes(b"{}")

    assert ask(lake, "SELECT id FROM flights") == [(1,)]
    with pytest.raises(ProofFailed, match="damaged"):
        ask(lake, "SHOW TABLES")


def test_question_about_the_views_themselves_sees_all_of_them(lake: LocalLake) -> None:
    for dataset in ("flights", "flights_2012"):
        LakeBuilder(lake, dataset=dataset).commit([flight(1, date(2013, 1, 5))], JANUARY)

    names = ask(
        lake, "SELECT view_name FROM duckdb_views() WHERE view_name LIKE 'flights%' AND NOT internal ORDER BY 1"
    )
    assert len(names) == 6


def test_unknown_dataset_names_those_that_exist(lake: LocalLake) -> None:
    for dataset in ("flights", "crm/orders"):
        LakeBuilder(lake, dataset=dataset).commit([flight(1, date(2013, 1, 5))], JANUARY)

    with pytest.raises(ConfigError, match=r"no dataset 'flihgts'.*did you mean 'flights'\?.* crm\.orders, flights\."):
        ask(lake, "SELECT * FROM flihgts")
    with pytest.raises(ConfigError, match=r"no dataset 'cmr.orders'.*did you mean 'crm.orders'\?"):
        ask(lake, "SELECT * FROM cmr.orders")


def test_empty_lake_says_so(lake: LocalLake) -> None:
    with pytest.raises(LakeError, match="holds no dataset"):
        ask(lake, "SELECT 1")
    with pytest.raises(LakeError, match="holds no dataset"), open_views(lake, SETTINGS):
        pass
    assert not Path(lake.url).exists()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY flights TO '{}'",
        "EXPLAIN ANALYZE COPY flights TO '{}'",
        "/* a */ EXPLAIN -- b\n ANALYZE COPY flights TO '{}'",
        "EXPLAIN (ANALYZE, FORMAT json) COPY flights TO '{}'",
        "EXPLAIN/**/ANALYZE COPY flights TO '{}'",
        "ATTACH '{}' AS other",
        "EXPORT DATABASE '{}'",
        "CREATE TABLE mine AS FROM flights",
        "INSERT INTO flights VALUES (1)",
        "DELETE FROM flights",
        "SET memory_limit = '1TB'",
        "PRAGMA database_list",
        "FROM flights; COPY flights TO '{}'",
        "WITH a AS (COPY flights TO '{}') SELECT * FROM a",
        "EXPLAIN ANALYZE WITH a AS (COPY flights TO '{}') SELECT * FROM a",
        "WITH é AS (SELECT 1), a AS (/* ( */ COPY flights TO '{}') PIVOT flights ON carrier USING count(*)",
        "FROM json_execute_serialized_sql(json_serialize_sql('WITH a AS (COPY flights TO ''{}'') SELECT * FROM a'))",
        "",
    ],
)
def test_statement_that_does_not_only_read_is_refused(flights: LakeBuilder, tmp_path: Path, sql: str) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    target = tmp_path / "written"

    with pytest.raises(ConfigError):
        ask(flights.lake, sql.format(target))
    assert not target.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "-- a comment\nSELECT id FROM flights",
        "FROM flights SELECT id",
        "WITH f AS (FROM flights) SELECT id FROM f",
        "TABLE flights",
        "VALUES (1)",
        "DESCRIBE flights",
        "SUMMARIZE flights",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM flights",
        "PIVOT flights ON carrier USING count(*) GROUP BY year",
        "SELECT * FROM query('FROM ' || 'fli' || 'ghts')",
        "WITH é AS (SELECT 'COPY (' AS x) PIVOT flights ON carrier USING count(*) GROUP BY year",
    ],
)
def test_statements_that_read_are_answered(flights: LakeBuilder, sql: str) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)

    assert ask(flights.lake, sql)


def test_wrong_query_is_an_error_of_usage(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    for sql in (
        "SELEC 1",
        "SELECT nope FROM flights",
        "SELECT nope(id) FROM flights",
        "SELECT carrier::INT FROM flights",
    ):
        with pytest.raises(ConfigError, match="cannot be answered"):
            ask(flights.lake, sql)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no Parquet PAR1"])
def test_missing_or_damaged_file_is_an_error_of_the_lake(flights: LakeBuilder, content: bytes | None) -> None:
    manifest = flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    file = Path(flights.lake.url) / manifest.files[0].path
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(LakeError, match="could not be read"):
        ask(flights.lake, "FROM flights")


def test_views_cannot_be_written_and_settings_not_changed(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    with open_views(flights.lake, SETTINGS) as connection:
        for sql in ("DELETE FROM flights", "INSERT INTO flights SELECT * FROM flights", "SET memory_limit = '1TB'"):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)


def test_connection_is_closed_also_after_an_error(flights: LakeBuilder) -> None:
    flights.commit([flight(1, date(2013, 1, 5))], JANUARY)
    with open_views(flights.lake, SETTINGS) as connection:
        pass
    with pytest.raises(duckdb.ConnectionException):
        connection.execute("SELECT 1")
    with pytest.raises(ConfigError), query_lake(flights.lake, SETTINGS, "FROM flights") as answer:
        raise duckdb.BinderException("while the answer is read")
    with pytest.raises(duckdb.Error):
        answer.fetchall()


def test_large_generations_are_searched_within_the_memory_limit(flights: LakeBuilder) -> None:
    ids = range(20_000)
    flights.partition_by = ("year",)
    flights.commit([flight(n, date(2013, 1, 5), "A" * 50) for n in ids], JANUARY)
    flights.commit([flight(n, date(2013, 1, 6), "B" * 50) for n in ids if n % 2], JANUARY)

    small = Settings(memory_limit="64MB")
    with query_lake(flights.lake, small, "SELECT carrier[1], count(*) FROM flights GROUP BY 1 ORDER BY 1") as answer:
        assert answer.fetchall() == [("A", 10_000), ("B", 10_000)]


def test_s3_lake_is_read_like_a_folder(s3_lake: Lake) -> None:
    flights = LakeBuilder(s3_lake)
    flights.commit([flight(n, date(2013, 1, 5), c) for n, c in enumerate(["UA", "a/b=c%", None])], JANUARY)
    flights.commit([flight(0, date(2013, 2, 5), "AA")], FEBRUARY)

    rows = ask(s3_lake, "SELECT id, carrier, month FROM flights ORDER BY id")
    assert rows == [(0, "AA", 2), (1, "a/b=c%", 1), (2, None, 1)]
    assert ask(s3_lake, "SELECT id FROM flights WHERE carrier = 'UA'") == []


def test_import_is_light() -> None:
    code = "import sys, tasks.views; print([m for m in ('prefect', 'polars', 'pandera', 's3fs') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_dataset_whose_name_begins_another_ones_folder_sees_its_own_rows_only(lake: LocalLake) -> None:
    LakeBuilder(lake, dataset="crm").commit([flight(1, date(2013, 1, 5))], JANUARY)
    LakeBuilder(lake, dataset="crm/orders").commit([flight(2, date(2013, 1, 5))], JANUARY)

    assert ask(lake, "SELECT id FROM crm") == [(1,)]
    assert len(Ledger(lake, "crm/orders").generations()) == 1
