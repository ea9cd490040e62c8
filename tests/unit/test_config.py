"""What the configuration's models accept, refuse and say, and that they never show a secret."""

import pickle
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from schemas.config import Archive, Connection, Duration, PurgeOptions, Settings, Source, TableName, WindowUnit
from schemas.errors import ConfigError
from schemas.project import Project

SECRET = "hunter2"
ARCHIVE = {"name": "flights", "source": "shop", "table": "public.flights", "time_column": "departed_at"}
SOURCE = {"name": "shop", "type": "postgresql", "connection": {"url": f"postgresql://me:{SECRET}@db/shop"}}


@pytest.fixture
def refusal(tmp_path: Path) -> Any:
    """Return what a project is refused with when an entry is changed by keywords; ... takes a key out."""

    def refused(
        *, settings: dict[str, Any] | None = None, of_source: dict[str, Any] | None = None, **archive: Any
    ) -> str:
        archive = {key.rstrip("_"): value for key, value in archive.items()}
        files = {
            "settings": settings or {"lake": "lake"},
            "sources": {"sources": [changed(SOURCE, of_source or {})]},
            "archives": {"archives": [changed(ARCHIVE, archive)]},
        }
        (tmp_path / "config").mkdir(exist_ok=True)
        for name, content in files.items():
            (tmp_path / "config" / f"{name}.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(ConfigError) as caught:
            Project.load(tmp_path / "config")
        error = caught.value
        said = "".join(
            [str(error), repr(error), *traceback.format_exception(error), str(pickle.loads(pickle.dumps(error)))]
        )
        assert SECRET not in said
        return error.what

    return refused


def changed(entry: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**entry, **by}.items() if value is not ...}


def archive(**values: Any) -> Archive:
    return Archive.model_validate({**ARCHIVE, **values})


# Archives


def test_an_archive_has_sensible_defaults() -> None:
    plain = archive()
    assert plain.table == TableName("public", "flights")
    assert plain.window is WindowUnit.MONTH
    assert plain.partition_by == ("year", "month")
    assert (plain.key, plain.where, plain.folder, plain.older_than, plain.from_, plain.to, plain.gate) == (None,) * 7
    assert (plain.proof, plain.on_gate_failure) == ("rows", "refuse")
    assert (plain.file_max_bytes, plain.file_max_rows) == (1024**3, 10_000_000)
    assert plain.purge == PurgeOptions(
        mode="none",
        batch_rows=5000,
        pause_s=0.0,
        lock_timeout_s=0.5,
        statement_timeout_s=60,
        discard_columns=(),
        stop_file=None,
    )


def test_models_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        archive().proof = "counts"


def test_a_misspelt_key_is_refused_with_the_right_one(refusal: Any) -> None:
    assert "archives.yaml: archives[flights].windw: unknown key; did you mean 'window'?" in refusal(windw="day")


def test_a_misspelt_key_deeper_down_is_refused_with_the_right_one_of_that_place(refusal: Any) -> None:
    told = refusal(purge={"batch_row": 5})
    assert "archives.yaml: archives[flights].purge.batch_row: unknown key; did you mean 'batch_rows'?" in told


def test_an_unlike_key_is_refused_with_those_there_are(refusal: Any) -> None:
    told = refusal(columns={"zzz": 1})
    assert "archives.yaml: archives[flights].columns.zzz: unknown key; known here: exclude, derive, as_text" in told


@pytest.mark.parametrize("key", ["name", "source", "table", "time_column"])
def test_a_required_key_is_asked_for(refusal: Any, key: str) -> None:
    assert f".{key}: is required" in refusal(**{key: ...})


def test_an_entry_without_a_good_name_is_called_by_its_place(refusal: Any) -> None:
    assert "archives.yaml: archives[0].name: must be lower-case letters" in refusal(name="Flights")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("name", "no spaces", "must be lower-case letters, digits, _ and -"),
        ("name", "", "must be lower-case letters, digits, _ and -"),
        ("name", "a\n", "must be lower-case letters, digits, _ and -"),
        ("name", 2024, "must be text; put it in quotes (got 2024)"),
        ("table", "T;x", "stands in double quotes"),
        ("table", 7, "must be text: a table or schema.table (got 7)"),
        ("time_column", " ", "must not be empty (got ' ')"),
        ("time_column", None, "must be text (got nothing)"),
        ("key", [], "must not be empty"),
        ("key", ["id", "id"], "must not name a column twice: id"),
        ("key", "id", "must be a list, such as [a, b] (got 'id')"),
        ("window", "months", "must be one of hour, day, month, year, partition; did you mean 'month'? (got 'months')"),
        ("window", 5, "must be one of hour, day, month, year, partition (got 5)"),
        ("partition_by", [], "must not be empty"),
        ("partition_by", ["year", "carrier", "year"], "must not name a key twice: year"),
        ("partition_by", ["Year", "year"], "must not name a key twice: year"),
        ("where", "", "must not be empty"),
        ("proof", "row", "must be one of rows, counts; did you mean 'rows'? (got 'row')"),
        ("on_gate_failure", "quarantine", "must be refuse as long as there is no gate"),
        ("gate", "schemas.flights", "must be module:Attribute, such as schemas.flights:Flights"),
        ("gate", "schemas/flights.py:Flights", "must be module:Attribute"),
        ("gate", ":Flights", "must be module:Attribute"),
        ("older_than", 90, "such as 90 days (got 90)"),
        ("older_than", "90 dayz", "such as 90 days (got '90 dayz')"),
        ("file_max_bytes", 0, "must be >= 1 (got 0)"),
        ("file_max_rows", "many", "must be a whole number (got 'many')"),
        ("columns", [], "must be a mapping of keys to values (got a list)"),
        ("purge", True, "must be a mapping of keys to values (got true)"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_right(refusal: Any, key: str, value: Any, told: str) -> None:
    refused = refusal(**{key: value})
    assert f".{key}: " in refused
    assert told in refused


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("mode", "deleet", "must be one of none, delete, drop_partition; did you mean 'delete'? (got 'deleet')"),
        ("batch_rows", 0, "must be >= 1 (got 0)"),
        ("batch_rows", 1_000_001, "must be <= 1000000 (got 1000001)"),
        ("batch_rows", 1.5, "must be a whole number (got 1.5)"),
        ("batch_rows", True, "must be a number (got true)"),
        ("pause_s", -1, "must be >= 0 (got -1)"),
        ("pause_s", float("inf"), "must be a finite number (got inf)"),
        ("pause_s", "slow", "must be a number (got 'slow')"),
        ("lock_timeout_s", 0, "must be >= 0.001 (got 0)"),
        ("statement_timeout_s", 0.0001, "must be >= 0.001 (got 0.0001)"),
        ("stop_file", "", "must not be empty (got '')"),
    ],
)
def test_a_bad_purge_option_is_refused_with_what_would_be_right(refusal: Any, key: str, value: Any, told: str) -> None:
    assert f"archives.yaml: archives[flights].purge.{key}: {told}" in refusal(purge={key: value})


@pytest.mark.parametrize(
    "folder",
    [
        "",
        ".",
        "..",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        "_tidegate",
        "_tidegate/x",
        "a/_b",
        "_a",
        ".a",
        "a/.b",
        "year=2024",
        "a*",
        "a?",
        "[a]",
        "a\\b",
        "a'b",
        "s3://b/a",
        "~/a",
        "a\n",
        "a.",
        "a ",
    ],
)
def test_a_folder_that_leaves_the_lake_or_reads_as_something_else_is_refused(refusal: Any, folder: str) -> None:
    assert "archives.yaml: archives[flights].folder: must be a relative path in the lake" in refusal(folder=folder)


@pytest.mark.parametrize("folder", ["flights", "crm/orders", "a-b_c.d", "2024", "Größen", "odd name"])
def test_a_plain_folder_is_taken(folder: str) -> None:
    assert archive(folder=folder).resolved_folder == folder


@pytest.mark.parametrize("table", ['"T;x"', "_log", '"a/b"'])
def test_a_table_whose_name_is_no_folder_needs_one(refusal: Any, table: str) -> None:
    assert "archives[flights].folder: must be given, because the table's name is no folder's name" in refusal(
        table=table
    )
    assert archive(table=table, folder="t").resolved_folder == "t"


def test_a_purge_that_would_lose_excluded_columns_is_refused_until_it_names_them(refusal: Any) -> None:
    columns = {"exclude": ["notes", "photo"]}
    told = refusal(columns=columns, purge={"mode": "delete", "discard_columns": ["notes"]})
    assert "archives[flights].purge: would lose the values of photo" in told
    assert archive(columns=columns, purge={"mode": "none"})
    assert archive(columns=columns, purge={"mode": "delete", "discard_columns": ["photo", "notes"]})


def test_a_column_to_discard_that_is_not_excluded_is_refused(refusal: Any) -> None:
    told = refusal(columns={"exclude": ["notes"]}, purge={"discard_columns": ["notes", "photo"]})
    assert "discard_columns must name columns under columns.exclude only, not photo" in told


@pytest.mark.parametrize("column", ["id", "departed_at", "carrier"])
def test_columns_that_the_archive_needs_cannot_be_excluded(refusal: Any, column: str) -> None:
    told = refusal(key=["id"], partition_by=["carrier", "year"], columns={"exclude": [column]})
    assert (
        f"archives[flights].columns: must not exclude what the key, time_column or partition_by need: {column}" in told
    )


@pytest.mark.parametrize("column", ["id", "departed_at"])
def test_a_derived_column_cannot_stand_in_for_the_key_or_the_time(refusal: Any, column: str) -> None:
    assert f"over the key or time_column: {column}" in refusal(key=["id"], columns={"derive": {column: "1"}})


def test_a_derived_column_may_be_a_partition_key() -> None:
    assert archive(columns={"derive": {"region": "left(zip, 2)"}}, partition_by=["region", "year"])


# The scope in time


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("2024-01-31 06:00", datetime(2024, 1, 31, 6)),
        ("2024-01-31T06:00:00Z", datetime.fromisoformat("2024-01-31T06:00:00+00:00")),
        (datetime(2024, 1, 31).date(), datetime(2024, 1, 31)),
        (datetime(2024, 1, 31, 6), datetime(2024, 1, 31, 6)),
    ],
)
def test_a_date_or_a_time_bounds_the_scope(given: Any, meant: datetime) -> None:
    assert archive(**{"from": given}).from_ == meant
    assert archive(from_=given).from_ == meant
    assert archive(to=given).to == meant


@pytest.mark.parametrize("given", [2024, "2024", "2024-13-45", "yesterday", "", True])
def test_what_is_no_date_is_refused(refusal: Any, given: Any) -> None:
    assert "archives[flights].from: must be a date or a time, such as 2024-01-31" in refusal(from_=given)


@pytest.mark.parametrize("to", ["2023-12-31", "2024-01-01"])
def test_a_scope_that_ends_before_it_begins_is_refused(refusal: Any, to: str) -> None:
    told = refusal(from_="2024-01-01", to=to)
    assert f"archives[flights].to: must be after from (2024-01-01T00:00:00) (got '{to}')" in told


def test_bounds_with_and_without_an_offset_are_refused(refusal: Any) -> None:
    assert "to: must have a UTC offset if from has one" in refusal(from_="2024-01-01", to="2025-01-01T00:00:00Z")


def test_an_age_and_an_end_are_refused_together(refusal: Any) -> None:
    assert "to: must not be given together with older_than" in refusal(older_than="90 days", to="2024-01-01")


def test_a_run_may_replace_the_scope_and_the_purge() -> None:
    configured = archive(older_than="90 days", purge={"mode": "none", "batch_rows": 7})
    run = configured.with_overrides(from_="2023-01-01", to="2024-01-01", purge=True)
    assert (run.from_, run.to, run.older_than) == (datetime(2023, 1, 1), datetime(2024, 1, 1), None)
    assert (run.purge.mode, run.purge.batch_rows) == ("delete", 7)
    back = run.with_overrides(older_than="1 year", purge=False)
    assert (back.older_than, back.to, back.purge.mode) == (Duration(1, "year"), None, "none")
    assert configured.with_overrides() == configured


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"from_": "2024-01-02", "to": "2024-01-01"}, "archive flights: to: must be after from"),
        ({"to": "2024-01-01", "older_than": "1 day"}, "archive flights: to: must not be given together"),
        ({"older_than": "soon"}, "archive flights: older_than: must be a number of hours"),
        ({"purge": True}, "archive flights: purge: would lose the values of notes"),
    ],
)
def test_a_runs_options_are_checked_like_the_configuration(options: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        archive(columns={"exclude": ["notes"]}).with_overrides(**options)
    assert told in caught.value.what


def test_an_archive_survives_json() -> None:
    one = archive(**{"from": "2024-01-01", "to": "2024-02-01", "table": '"Odd Schema"."x y"', "key": ["id"]})
    assert Archive.model_validate_json(one.model_dump_json()) == one
    assert Archive.model_validate_json(one.model_dump_json(by_alias=True)) == one
    other = archive(older_than="90 days")
    assert Archive.model_validate(other.model_dump()) == other


def test_the_models_have_a_json_schema_of_plain_types() -> None:
    fields = Archive.model_json_schema()["properties"]
    assert fields["table"]["type"] == "string"
    assert {"type": "string"} in fields["older_than"]["anyOf"]
    assert {"type": "string", "format": "date-time"} in fields["from"]["anyOf"]


# Settings


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lake", "", "must not be empty"),
        ("lake", "s3://", "must be s3://bucket or s3://bucket/prefix"),
        ("lake", f"s3://key:{SECRET}@bucket/a", "must be s3://bucket or s3://bucket/prefix, with no login in it"),
        ("lake", "s3://bucket//a", "must be s3://bucket or s3://bucket/prefix"),
        ("lake", "gs://bucket", "must be a folder, s3://bucket/prefix or block:NAME"),
        ("lake", f"ftp://me:{SECRET}@host/a", "must be a folder, s3://bucket/prefix or block:NAME"),
        ("lake", "block:", "must name a block: block:NAME"),
        ("memory_limit", "2", "must be an amount of memory with its unit, such as 500MB or 2GB"),
        ("memory_limit", "2GB; drop", "must be an amount of memory"),
        ("memory_limit", 2, "must be text; put it in quotes (got 2)"),
        ("timezone", "Europe/Berln", "did you mean 'Europe/Berlin'? (got 'Europe/Berln')"),
        ("timezone", "utc+1", "must be a time zone such as UTC or Europe/Berlin"),
        ("timezone", "Europe", "must be a time zone"),
        ("timezone", "/etc/passwd", "must be a time zone"),
        ("timezone", "", "must be a time zone"),
        ("parallel_windows", 0, "must be >= 1 (got 0)"),
        ("temp_dir", "", "must not be empty"),
        ("lakes", "x", "unknown key; did you mean 'lake'?"),
    ],
)
def test_a_bad_setting_is_refused_with_what_would_be_right(refusal: Any, key: str, value: Any, told: str) -> None:
    refused = refusal(settings={key: value})
    assert f"settings.yaml: {key}: " in refused
    assert told in refused


def test_a_zone_is_at_hand() -> None:
    assert Settings(timezone="Europe/Berlin").zone.key == "Europe/Berlin"


# Sources and connections


def test_an_unknown_type_of_source_is_refused_with_the_known_ones(refusal: Any) -> None:
    told = refusal(of_source={"type": "postgres"})
    assert (
        "sources.yaml: sources[shop].type: must be one of postgresql, mysql, sqlite, sqlserver, files, sftp, api; did "
        "you mean 'postgresql'? (got 'postgres')" in told
    )


def test_a_url_of_another_database_is_refused(refusal: Any) -> None:
    told = refusal(of_source={"connection": {"url": f"mysql://me:{SECRET}@db/shop"}})
    assert "sources[shop].connection: url must start with postgresql:// for a source of type postgresql" in told


PARTS = {"host": "db", "database": "shop"}


@pytest.mark.parametrize(
    ("connection", "given"),
    [
        ({}, "none of them"),
        ({"url": f"postgresql://x:{SECRET}@y/z", "block": "shop"}, "url, block"),
        ({"url": f"postgresql://x:{SECRET}@y/z", "host": "db"}, "url, host"),
        ({"block": "shop", "password": SECRET}, "block, password"),
        ({"url": f"postgresql://x:{SECRET}@y/z", "sslmode": "require"}, "url, sslmode"),
    ],
)
def test_a_connection_has_exactly_one_form(refusal: Any, connection: Any, given: str) -> None:
    told = refusal(of_source={"connection": connection})
    assert "sources.yaml: sources[shop].connection: must be one of three: url alone" in told
    assert f"given: {given}" in told


@pytest.mark.parametrize(
    ("connection", "told"),
    [
        ({"host": "db"}, "connection: needs database as well"),
        ({"password": SECRET}, "connection: needs host and database as well"),
        (
            {**PARTS, "password": SECRET, "password_file": "f"},
            "connection: must have password or password_file, not both",
        ),
        ({**PARTS, "port": 99999}, "connection.port: must be <= 65535 (got 99999)"),
        ({**PARTS, "sslmode": "on"}, "connection.sslmode: must be one of disable, allow, prefer, require"),
        ({**PARTS, "pasword": SECRET}, "connection.pasword: unknown key; did you mean 'password'?"),
        ({**PARTS, "password": [SECRET]}, "connection.password: must be text (got ***)"),
        ({**PARTS, "password": 12345678}, "connection.password: must be text; put it in quotes (got ***)"),
        ({**PARTS, "password_file": ""}, "connection.password_file: must not be empty (got ***)"),
        ({"url": ""}, "connection.url: must not be empty (got ***)"),
        ({"url": f"host=db password={SECRET}"}, "connection.url: must be a URL such as postgresql://"),
        ({"url": f"postgresql://me:a {SECRET}@db/shop"}, "connection.url: must be a URL such as postgresql://"),
        ({"url": SECRET}, "connection.url: must be a URL such as postgresql://"),
        ({"url": {"a": SECRET}}, "connection.url: must be text (got ***)"),
        (f"postgresql://me:{SECRET}@db/shop", "connection: must be a mapping of keys to values (got ***)"),
        ([SECRET], "connection: must be a mapping of keys to values (got ***)"),
    ],
)
def test_a_bad_connection_is_refused_without_showing_its_secret(refusal: Any, connection: Any, told: str) -> None:
    refused = refusal(of_source={"connection": connection})
    assert f"sources.yaml: sources[shop].{told}" in refused
    assert "12345678" not in refused


def test_a_secret_in_the_wrong_place_is_not_shown(refusal: Any) -> None:
    assert "sources[shop].password: unknown key" in refusal(of_source={"password": SECRET})
    assert "sources[shop].conection: unknown key" in refusal(of_source={"conection": {"url": SECRET}})
    url = f"postgresql://me:{SECRET}@db/p@th"
    assert "sources[0].name: must be lower-case letters" in refusal(of_source={"name": url})
    assert "(got 'postgresql://***@th')" in refusal(of_source={"type": url})


def test_a_list_or_a_mapping_in_the_wrong_place_is_not_spelt_out(refusal: Any) -> None:
    assert ".where: must be text (got a mapping)" in refusal(where={"a": SECRET})
    assert ".where: must be text (got a list)" in refusal(where=[SECRET])
    assert refusal(columns={"exclude": ["a"]}, purge={"mode": "delete"}).endswith("if that is meant")


def test_a_long_value_is_shown_by_its_beginning(refusal: Any) -> None:
    assert refusal(name="x" * 60 + " ").endswith("(got '" + "x" * 60 + " ')")
    assert refusal(name="x " * 200).endswith("x x x…)")


def test_no_text_of_a_connection_shows_its_secret(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text(SECRET)
    for connection in (
        Connection(url=f"postgresql://me:{SECRET}@db/shop"),
        Connection(host="db", database="shop", user="me", password=SECRET),
        Connection(host="db", database="shop", user="me", password_file=password_file),
    ):
        assert SECRET in connection.secret_url().get_secret_value()
        source = Source(name="shop", type="postgresql", connection=connection)
        for shown in (connection, source, connection.secret_url(), connection.model_dump(), source.model_dump_json()):
            assert SECRET not in f"{shown} {shown!r}"


def test_an_error_of_a_model_does_not_show_its_secret() -> None:
    for bad in ({"url": SECRET}, {"password": SECRET}, {"pasword": SECRET}, {"block": "b", "url": f"a://{SECRET}"}):
        with pytest.raises(ValidationError) as caught:
            Connection.model_validate(bad)
        assert SECRET not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({}, "postgresql://db/shop"),
        ({"user": "me"}, "postgresql://me@db/shop"),
        ({"user": "me", "password": "p@ss:/?#%"}, "postgresql://me:p%40ss%3A%2F%3F%23%25@db/shop"),
        ({"user": "größe", "port": 5433}, "postgresql://gr%C3%B6%C3%9Fe@db:5433/shop"),
        ({"database": "a/b?c"}, "postgresql://db/a%2Fb%3Fc"),
        ({"sslmode": "verify-full"}, "postgresql://db/shop?sslmode=verify-full"),
        ({"host": "::1", "port": 5432}, "postgresql://[::1]:5432/shop"),
        ({"host": "/var/run/pg", "user": "me"}, "postgresql://me@%2Fvar%2Frun%2Fpg/shop"),
    ],
)
def test_the_url_of_parts_is_percent_encoded(parts: Any, url: str) -> None:
    assert Connection(**{**PARTS, **parts}).secret_url().get_secret_value() == url


def test_the_url_of_parts_is_read_by_libpq_as_it_was_meant() -> None:
    psycopg = pytest.importorskip("psycopg")
    connection = Connection(
        host="db", port=5433, database="a/b ü", user="m e@x", password="p@:/?#%&=+ ß", sslmode="require"
    )
    assert psycopg.conninfo.conninfo_to_dict(connection.secret_url().get_secret_value()) == {
        "host": "db",
        "port": "5433",
        "dbname": "a/b ü",
        "user": "m e@x",
        "password": "p@:/?#%&=+ ß",
        "sslmode": "require",
    }


def test_a_given_url_is_kept_but_for_the_space_around_it() -> None:
    assert Connection(url=" postgres://a:b@c/d\n").secret_url().get_secret_value() == "postgres://a:b@c/d"


def test_a_block_has_no_url_of_its_own() -> None:
    with pytest.raises(ConfigError, match="block 'shop'"):
        Connection(block="shop").secret_url()


def test_a_password_file_is_read_when_the_url_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "password"
    connection = Connection(**PARTS, user="me", password_file=file)
    with pytest.raises(ConfigError, match=f"{file} cannot be read: No such file"):
        connection.secret_url()
    file.write_text("  one two \r\nsecond line\n")
    assert connection.secret_url().get_secret_value() == "postgresql://me:%20%20one%20two%20@db/shop"


@pytest.mark.parametrize("content", [b"", b"\n", b"\nhunter2\n"])
def test_an_empty_password_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigError, match="is empty") as caught:
        Connection(**PARTS, password_file=tmp_path / "password").secret_url()
    assert SECRET not in str(caught.value)


def test_a_password_file_that_is_no_text_is_refused_without_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        Connection(**PARTS, password_file=tmp_path / "password").secret_url()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_replica_is_as_secret_as_the_connection(refusal: Any) -> None:
    told = refusal(of_source={"replica": {"url": f"me:{SECRET}@db"}})
    assert "sources[shop].replica.url: must be a URL such as" in told and "(got ***)" in told
    told = refusal(of_source={"replica": {"url": f"mysql://me:{SECRET}@db/shop"}})
    assert "sources[shop].replica: url must start with postgresql://" in told
    told = refusal(of_source={"type": "sqlite", "connection": {"url": "sqlite:///shop.db"}, "replica": {"block": "b"}})
    assert "sources[shop].replica: must be left out" in told
