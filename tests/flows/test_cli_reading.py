"""The commands that only read: exit codes, the one JSON object, exact values, and who is imported."""

import subprocess
import sys

import yaml
from service_bench import Bench
from service_cli import CommandLine, assert_calm_and_discreet

IMPORTED = (
    "import sys\nfrom tidegate.cli import main\ntry:\n  main()\nfinally:\n  print('\\n', *sys.modules, file=sys.stderr)"
)
HEAVY = {"prefect", "polars", "pandera", "connectorx"}


def test_commands_that_only_read_do_not_import_what_is_slow(archived: Bench, tidegate: CommandLine) -> None:
    for arguments, absent in (
        (["--help"], HEAVY | {"duckdb", "pyarrow", "pydantic", "psycopg"}),
        (["archive", "--help"], HEAVY | {"duckdb", "pyarrow", "pydantic", "psycopg"}),
        (["archive", "nope"], HEAVY | {"duckdb"}),
        (["status"], HEAVY | {"duckdb", "psycopg"}),
        (["status", "orders"], HEAVY | {"duckdb", "psycopg"}),
        (["query", "SELECT count(*) FROM orders"], HEAVY | {"psycopg"}),
        (["verify", "orders"], HEAVY),
    ):
        ran = tidegate(*arguments, program=("-c", IMPORTED))
        assert ran.code == (2 if "nope" in arguments else 0), ran.err
        imported = set(ran.err.splitlines()[-1].split())
        assert "tidegate.cli" in imported
        assert not absent & imported, arguments


def test_bad_usage_exits_with_2_and_says_what_is_wrong(archived: Bench, tidegate: CommandLine) -> None:
    for arguments, word in (
        (["archive"], "Missing argument 'NAME'"),
        (["frobnicate"], "No such command"),
        (["archive", "orders", "--from", "2024-13-01"], "is no date or time"),
        (["archive", "orders", "--older-than", "soon"], "such as 90 days"),
        (["archive", "orders", "--from", "2024-05-01", "--to", "2024-04-01"], "must be after from"),
        (["archive", "orders", "--to", "2024-04-01", "--older-than", "90 days"], "they say the same thing"),
        (["archive", "ordres"], "did you mean 'orders'?"),
        (["restore", "orders"], "Nothing says which rows to restore"),
        (["restore", "orders", "--key", "1", "--on-conflict", "replace"], "'refuse', 'skip'"),
        (["status", "--config", "elsewhere"], "There is no configuration folder"),
        (["verify", "ordres"], "did you mean 'orders'?"),
        (["query", "SELECT nothing FROM orders"], "nothing"),
        (["query", "DROP TABLE orders"], "DROP is not a query"),
    ):
        told, as_json = tidegate(*arguments), tidegate(*arguments, "--json")
        assert (told.code, as_json.code, told.out) == (2, 2, ""), arguments
        assert word in told.err
        assert word in as_json.json["error"]["what"]
        assert as_json.json["error"]["exit_code"] == 2
        assert_calm_and_discreet(told, archived)
        assert_calm_and_discreet(as_json, archived)
    assert tidegate("query", "SELECT 1", "--csv", "--json").code == 2


def test_commands_that_only_read_need_neither_the_source_nor_its_variables(
    archived: Bench, tidegate: CommandLine
) -> None:
    source = {"name": "shop", "type": "postgresql", "connection": {"url": "${NOT_SET_ANYWHERE}"}}
    (archived.config_dir / "sources.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    assert tidegate("archive", "orders").code == 2
    status = tidegate("status", "orders", "--json").json
    assert (status["dataset"], status["rows"], status["deleted"], status["unpurged"]) == ("orders", 400, 400, 0)
    assert [w["rows"] for w in status["windows"]] == [103, 96, 103, 98]
    assert tidegate("status", "--json").json["datasets"] == [
        {key: value for key, value in {**status, "windows": 4}.items() if key != "lake"}
    ]
    assert tidegate("verify", "orders").code == 0
    assert tidegate("query", "SELECT count(*) FROM orders", "--json").json["rows"] == [[400]]
    # Nor the archive's entry, once its rows are in the lake.
    (archived.config_dir / "archives.yaml").unlink()
    assert tidegate("verify", "orders", "--json").json["totals"]["rows"] == 400


def test_an_archive_is_known_by_its_name_whatever_its_folder(bench: Bench, tidegate: CommandLine) -> None:
    bench.configure(name="sales", folder="crm/orders")
    bench.fill_orders(50)
    bench.run()
    for name in ("sales", "crm/orders"):
        assert tidegate("status", name, "--json").json["dataset"] == "crm/orders"
        assert tidegate("verify", name).code == 0
    (bench.config_dir / "archives.yaml").unlink()
    assert tidegate("status", "sales", "--json").json["rows"] == 50


def test_status_tells_rows_that_no_purge_has_finished_and_rows_that_changed(
    bench: Bench, tidegate: CommandLine
) -> None:
    bench.fill_orders(200)
    bench.run(purging=False)
    assert tidegate("status", "orders", "--json").json["unpurged"] == 200
    bench.sql("UPDATE orders SET note = 'corrected' WHERE id IN (1, 2)")
    for generation in bench.generations():
        bench.purge(generation.manifest.path)
    status = tidegate("status", "orders", "--json").json
    assert (status["unpurged"], status["deleted"], status["changed_since"]) == (0, 198, 2)
    assert "changed since" in tidegate("status", "orders").out


def test_verify_exits_with_3_and_names_the_damaged_file(archived: Bench, tidegate: CommandLine) -> None:
    damaged = archived.lake_files()[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    told, as_json = tidegate("verify", "orders"), tidegate("verify", "orders", "--json")
    assert (told.code, as_json.code) == (3, 3)
    assert damaged.name in told.err
    [finding] = as_json.json["datasets"][0]["findings"]
    assert finding["check"] == "size"
    assert as_json.json["state"] == "failed"
    assert as_json.json["error"]["exit_code"] == 3
    assert_calm_and_discreet(told, archived)


def test_query_as_json_gives_exact_values(archived: Bench, tidegate: CommandLine) -> None:
    sql = (
        "SELECT id, amount, placed_at, note, true AS yes, 9007199254740993 AS big, 0.1::DOUBLE AS f, "
        "'nan'::DOUBLE AS n, 2 AS id FROM orders WHERE id = 5"
    )
    assert tidegate("query", sql, "--json").json == {
        "columns": ["id", "amount", "placed_at", "note", "yes", "big", "f", "n", "id"],
        "rows": [[5, "6.8500", "2024-01-02 12:05:00+00", None, True, "9007199254740993", 0.1, "nan", 2]],
    }


def test_query_as_csv_tells_null_from_empty_text(archived: Bench, tidegate: CommandLine) -> None:
    sql = """SELECT NULL AS a, '' AS b, 'x,"y"' AS c, 1.50 AS d, 'é' AS e, false AS f"""
    ran = tidegate("query", sql, "--csv")
    assert ran.out.splitlines() == ["a,b,c,d,e,f", ',"","x,""y""",1.50,é,false']


def test_query_shows_a_table_and_says_when_it_is_not_all(archived: Bench, tidegate: CommandLine) -> None:
    ran = tidegate("query", "SELECT id, note, 'a' || chr(27) || '[31mb' || chr(10) AS odd FROM orders ORDER BY id")
    lines = ran.out.splitlines()
    assert len([line for line in lines if r"a\x1b[31mb\n" in line]) == 100
    assert "The first 100 rows" in ran.err
    assert "\x1b" not in ran.out
    assert "NULL" in ran.out
    limited = tidegate("query", "SELECT id FROM orders", "--limit", "7", "--csv")
    assert len(limited.out.splitlines()) == 8


def test_the_reader_of_the_output_may_go_away(archived: Bench, tidegate: CommandLine) -> None:
    command = [sys.executable, "-m", "tidegate", "query", "SELECT * FROM range(1000000)", "--csv"]
    with subprocess.Popen(
        command, cwd=archived.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=tidegate.all_variables
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"range\r\n"
        process.stdout.close()
        assert process.stderr.read() == b""


def test_colours_are_for_terminals(archived: Bench, tidegate: CommandLine) -> None:
    assert "\x1b[" in tidegate.on_a_terminal("status")
    assert "\x1b" not in tidegate("status").out
