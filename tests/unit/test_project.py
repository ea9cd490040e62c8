"""How a project's files are read: YAML, variables, paths, and what the files say about each other."""

import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from schemas.config import Duration, TableName
from schemas.config_file import read_config_file
from schemas.errors import ConfigError
from schemas.project import Project

SOURCES = "sources: [{name: shop, type: postgresql, connection: {url: 'postgresql://me:hunter2@db/shop'}}]"
ARCHIVES = """
archives:
  - {name: flights, source: shop, table: public.flights, time_column: departed_at, older_than: 90 days}
  - {name: orders, source: shop, table: crm.orders, time_column: made_at, older_than: 1 year}
"""


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "config"
    folder.mkdir(parents=True)
    (folder / "sources.yaml").write_text(SOURCES)
    (folder / "archives.yaml").write_text(ARCHIVES)
    return folder


def refusal(config_dir: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Project.load(config_dir)
    assert "hunter2" not in str(caught.value) + repr(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.state
    assert caught.value.next_step
    return caught.value.what


def test_the_shipped_example_is_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_DEMO_URL", raising=False)
    root = Path(__file__).parents[2]
    project = Project.load(root / "config")
    flights = project.archive("flights")
    assert project.settings.lake == str(root / "lake")
    assert flights.table == TableName("public", "flights")
    assert flights.partition_by == ("carrier", "year", "month")
    assert flights.purge.mode == "delete"
    assert flights.older_than == Duration(90, "day")
    url = project.source("demo").connection.secret_url().get_secret_value()
    assert url == "postgresql://postgres@127.0.0.1:5432/postgres"


def test_the_examples_comments_that_show_an_option_are_true(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config"
    folder = tmp_path / "config"
    folder.mkdir()
    options = "where|columns|exclude|derive|folder|gate|on_gate_failure|stop_file"
    for file in shipped.glob("*.yaml"):
        text = file.read_text()
        if file.name == "sources.yaml":
            before, tables, after = text.partition("    # enabled: true")
            text = before + re.sub("^    # ", "    ", tables + after, flags=re.MULTILINE)
        else:
            text = re.sub(rf"^( *)# ( *(?:{options}):)", r"\1\2", text, flags=re.MULTILINE)
        (folder / file.name).write_text(text.replace("mode: delete", "mode: none"))
    (source,) = Project.load(folder).sources
    assert [source.raw_dataset(table) for table in source.tables] == [
        "raw/demo/customers",
        "raw/demo/sales_orders",
        "raw/demo/big_spenders",
    ]
    assert source.tables[-1].key == ("id",)
    assert source.extract is not None and str(source.extract.overlap) == "2 hours"
    flights = Project.load(folder).archive("flights")
    assert flights.where == "carrier <> 'XX'"
    assert flights.columns.derive == {"gain": "dep_delay - arr_delay"}
    assert flights.gate == "schemas.flights:Flights"
    assert flights.purge.stop_file == tmp_path / "stop"


def test_settings_can_be_left_out(config_dir: Path) -> None:
    settings = Project.load(config_dir).settings
    assert settings.lake == str(config_dir.parent / "lake")
    assert (settings.memory_limit, settings.temp_dir, settings.timezone, settings.parallel_windows) == (
        "2GB",
        None,
        "UTC",
        2,
    )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"There is no configuration folder {tmp_path / 'nowhere'}." in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("file", ["sources.yaml", "archives.yaml"])
def test_a_missing_file_is_named_with_its_folder(config_dir: Path, file: str) -> None:
    (config_dir / file).unlink()
    assert f"{file}: cannot be read from {config_dir}: No such file" in refusal(config_dir)


# Names


def test_an_unknown_archive_is_refused_with_the_closest_and_all_names(config_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"no archive 'flihgts'; did you mean 'flights'\? Known: flights, orders\."):
        Project.load(config_dir).archive("flihgts")


def test_an_unknown_source_is_refused_with_all_names(config_dir: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no source 'xyz'\. Known: shop\."):
        Project.load(config_dir).source("xyz")


def test_an_archive_of_an_unknown_source_is_refused_with_the_closest(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("flights, source: shop", "flights, source: shpo"))
    assert "archives.yaml: archives[flights].source: there is no source 'shpo'; did you mean 'shop'?" in refusal(
        config_dir
    )


def test_a_name_given_to_two_archives_or_two_sources_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("name: orders", "name: flights"))
    source = SOURCES.removeprefix("sources: [").removesuffix("]")
    (config_dir / "sources.yaml").write_text(f"sources: [{source}, {source}]")
    told = refusal(config_dir)
    assert "archives.yaml: archives[1].name: 'flights' is taken by archives[0]" in told
    assert "sources.yaml: sources[1].name: 'shop' is taken by sources[0]" in told


@pytest.mark.parametrize("folder", ["flights", "Flights", "flights/old"])
def test_two_archives_in_one_folder_or_one_within_the_other_are_refused(config_dir: Path, folder: str) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("name: orders", f"name: orders, folder: {folder}"))
    assert f"archives.yaml: archives[orders].folder: '{folder}' lies in the folder of archives[flights]" in refusal(
        config_dir
    )


def test_folders_that_only_begin_alike_are_two_folders(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("name: orders", "name: orders, folder: flights2"))
    assert Project.load(config_dir).archive("orders").resolved_folder == "flights2"


def test_the_folder_is_the_tables_name_without_its_schema(config_dir: Path) -> None:
    assert Project.load(config_dir).archive("orders").resolved_folder == "orders"


# YAML


def test_a_syntax_error_names_file_line_and_column(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archives:\n  - name: [a\n")
    assert "archives.yaml: line 3, column 1: expected ',' or ']', but got '<stream end>'" in refusal(config_dir)


@pytest.mark.parametrize(
    "password",
    ["*hunter2", "!hunter2", "!h!hunter2 x", "&hunter2 {x", "%hunter2", "@hunter2", '"\\hunter2', "a: hunter2"],
)
def test_a_syntax_error_in_a_password_does_not_show_it(config_dir: Path, password: str) -> None:
    text = f"sources:\n- name: shop\n  type: postgresql\n  connection:\n    password: {password}\n"
    (config_dir / "sources.yaml").write_text(text)
    told = refusal(config_dir)
    assert "sources.yaml: line 5, column" in told or "sources.yaml: line 6, column" in told
    assert "needs quotes" in told


def test_a_key_given_twice_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archives:\n- name: a\n  table: b\n  name: c\n")
    assert "archives.yaml: line 4, column 3: the key name is given twice, here and in line 2" in refusal(config_dir)


def test_a_merge_may_bring_in_a_key_that_is_given_again(config_dir: Path) -> None:
    merged = """
archives:
  - {name: a, source: shop, table: a, time_column: t, purge: &one {mode: delete, batch_rows: 10}}
  - {name: b, source: shop, table: b, time_column: t, purge: &two {<<: *one, batch_rows: 20}}
  - {name: c, source: shop, table: c, time_column: t, purge: {<<: *two, batch_rows: 30}}
"""
    (config_dir / "archives.yaml").write_text(merged)
    assert [archive.purge.batch_rows for archive in Project.load(config_dir).archives] == [10, 20, 30]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
@pytest.mark.parametrize("file", ["sources.yaml", "archives.yaml", "settings.yaml"])
def test_an_empty_file_is_refused(config_dir: Path, file: str, text: str) -> None:
    (config_dir / file).write_text(text)
    assert f"{file}: is empty; it must be a mapping" in refusal(config_dir)


def test_a_file_that_is_a_list_is_refused_with_the_key_it_should_start_with(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("- name: a\n")
    assert "archives.yaml: must be a mapping that starts with `archives:` (got a list)" in refusal(config_dir)


def test_a_file_that_is_a_text_is_refused_without_showing_it(config_dir: Path) -> None:
    (config_dir / "sources.yaml").write_text("postgresql://me:hunter2@db/shop")
    assert "sources.yaml: must be a mapping that starts with `sources:` (got a single value)" in refusal(config_dir)


def test_a_file_whose_top_key_holds_nothing_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archives:\n")
    assert "archives.yaml: archives: must be a list, such as [a, b] (got nothing)" in refusal(config_dir)


def test_a_file_with_another_top_key_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archive: []\n")
    told = refusal(config_dir)
    assert "archives.yaml: archives: is required" in told
    assert "archives.yaml: archive: unknown key; did you mean 'archives'?" in told


def test_a_file_that_is_not_utf_8_is_refused(config_dir: Path) -> None:
    (config_dir / "sources.yaml").write_bytes("# Größe\n".encode("latin-1"))
    assert "sources.yaml: must be UTF-8 text (byte 4 is not)" in refusal(config_dir)


def test_a_byte_order_mark_is_no_error(config_dir: Path) -> None:
    (config_dir / "sources.yaml").write_text(SOURCES, encoding="utf-8-sig")
    assert Project.load(config_dir).source("shop")


def test_a_control_character_is_refused_with_its_line(config_dir: Path) -> None:
    (config_dir / "sources.yaml").write_text("sources:\n- \x07hunter2\n")
    assert "sources.yaml: line 2: a control character is not allowed" in refusal(config_dir)


def test_a_file_that_holds_itself_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archives: &all\n  - *all\n")
    assert "archives.yaml: is nested too deeply, or an alias refers to itself" in refusal(config_dir)


def test_a_file_nested_without_end_is_refused(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text("archives: " + "[" * 5000)
    assert "archives.yaml: YAML: is nested too deeply" in refusal(config_dir)


def test_a_number_that_is_none_is_refused_with_its_place(config_dir: Path) -> None:
    (config_dir / "settings.yaml").write_text("parallel_windows: 0x_\n")
    assert "settings.yaml: line 1, column 19: cannot read the value" in refusal(config_dir)


def test_a_date_that_is_none_is_refused_with_its_key(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("older_than: 1 year", "to: 2024-02-30"))
    assert "archives.yaml: archives[orders].to: must be a date or a time" in refusal(config_dir)


def test_a_bare_date_in_yaml_is_its_midnight(config_dir: Path) -> None:
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("older_than: 1 year", "to: 2024-02-29"))
    assert Project.load(config_dir).archive("orders").to == datetime(2024, 2, 29)


def test_all_problems_of_all_files_are_told_at_once(config_dir: Path) -> None:
    (config_dir / "settings.yaml").write_text("parallel_windows: 0\ntimezone: Europe/Berln\n")
    (config_dir / "sources.yaml").write_text("a: [\n")
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("name: orders", "name: orders, window: week"))
    told = refusal(config_dir)
    assert told.startswith(f"The configuration in {config_dir} is wrong (4 problems):\n")
    assert [line.split(":")[0].strip() for line in told.splitlines()[1:]] == [
        "settings.yaml",
        "settings.yaml",
        "sources.yaml",
        "archives.yaml",
    ]


# Variables


def settings_with(config_dir: Path, text: str) -> Project:
    (config_dir / "settings.yaml").write_text(text)
    return Project.load(config_dir)


def test_a_variable_is_filled_in(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "tide")
    assert settings_with(config_dir, "lake: s3://${BUCKET}/a${BUCKET}").settings.lake == "s3://tide/atide"


@pytest.mark.parametrize(
    "written",
    ["{url: ${SHOP_URL}}", "{ url: ${SHOP_URL} , host: ${NONE:-}}", "{url: ${NONE:-postgresql://a@b/c}}"],
)
def test_a_variable_needs_no_quotes_within_braces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """As YAML has it, its braces would begin a mapping."""
    monkeypatch.setenv("SHOP_URL", "postgresql://a@b/c")
    file = tmp_path / "sources.yaml"
    file.write_text(f"sources: [{{name: shop, connection: {written}, tables: [a, b]}}]")
    (source,) = read_config_file(file)["sources"]  # type: ignore[misc, attr-defined]
    assert source["connection"]["url"] == "postgresql://a@b/c"


@pytest.mark.parametrize("value", [None, ""])
def test_a_default_stands_in_for_a_variable_that_is_unset_or_empty(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("BUCKET", raising=False)
    if value is not None:
        monkeypatch.setenv("BUCKET", value)
    assert settings_with(config_dir, "lake: 's3://${BUCKET:-fallback}'").settings.lake == "s3://fallback"


def test_a_variable_goes_before_its_default(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "tide")
    assert settings_with(config_dir, "lake: 's3://${BUCKET:-fallback}'").settings.lake == "s3://tide"


def test_a_variable_may_hold_a_number(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL", "4")
    assert settings_with(config_dir, "parallel_windows: ${PARALLEL}").settings.parallel_windows == 4


def test_a_variables_text_is_never_read_as_yaml_or_for_variables(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "p: {x}, # [${HOME} \n- a"
    monkeypatch.setenv("WHERE", hostile)
    (config_dir / "archives.yaml").write_text(ARCHIVES.replace("name: orders", "name: orders, where: '${WHERE}'"))
    assert Project.load(config_dir).archive("orders").where == hostile


def test_a_doubled_dollar_keeps_the_text_as_it_is(config_dir: Path) -> None:
    text = ARCHIVES.replace("name: orders", "name: orders, where: 'note = \"$${HOME} $$ $1 {}\"'")
    (config_dir / "archives.yaml").write_text(text)
    assert Project.load(config_dir).archive("orders").where == 'note = "${HOME} $$ $1 {}"'


def test_a_missing_variable_names_itself_file_and_key(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    (config_dir / "sources.yaml").write_text(
        "sources: [{name: shop, type: postgresql, connection: {url: '${SHOP_URL}'}}]"
    )
    assert "sources.yaml: sources[shop].connection.url: the environment variable SHOP_URL is not set" in refusal(
        config_dir
    )


def test_a_misspelt_variable_is_refused_with_the_right_one(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDE_BUCKET_NAME", "hunter2")
    (config_dir / "settings.yaml").write_text("lake: 's3://${TIDE_BUKCET_NAME}'")
    assert "did you mean 'TIDE_BUCKET_NAME'?" in refusal(config_dir)


@pytest.mark.parametrize("text", ["${", "${}", "${a b}", "${X", "${X:?hunter2}", "${X-hunter2}", "${1X}"])
def test_a_malformed_variable_is_refused_without_showing_its_text(config_dir: Path, text: str) -> None:
    (config_dir / "settings.yaml").write_text(f"lake: '{text}'")
    assert "settings.yaml: lake: must write a variable as ${NAME} or ${NAME:-default}" in refusal(config_dir)


# Paths


def test_paths_start_from_the_folder_that_config_is_in(
    config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (config_dir / "settings.yaml").write_text("lake: ../lake\ntemp_dir: tmp")
    (config_dir / "sources.yaml").write_text(
        "sources: [{name: shop, type: postgresql, connection: {host: h, database: d, password_file: secrets/shop}}]"
    )
    (config_dir / "archives.yaml").write_text(
        ARCHIVES.replace("name: flights", "name: flights, purge: {stop_file: ./stop}")
    )
    project = Project.load("project/config")
    assert project.folder == config_dir.parent
    assert project.settings.lake == str(tmp_path / "lake")
    assert project.settings.temp_dir == config_dir.parent / "tmp"
    assert project.source("shop").connection.password_file == config_dir.parent / "secrets" / "shop"
    assert project.archive("flights").purge.stop_file == config_dir.parent / "stop"


def test_a_config_folder_named_by_dots_has_the_right_parent(config_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config_dir / "deeper").mkdir()
    monkeypatch.chdir(config_dir / "deeper")
    assert Project.load("..").folder == config_dir.parent


def test_a_link_to_a_config_folder_has_the_parent_it_is_named_with(config_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(config_dir)
    assert Project.load(tmp_path / "config").settings.lake == str(tmp_path / "lake")


def test_the_home_folder_and_absolute_paths_stay_where_they_are(
    config_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    settings = settings_with(config_dir, "lake: ~/lake\ntemp_dir: /var/tmp/tide").settings
    assert settings.lake == "/home/me/lake"
    assert settings.temp_dir == Path("/var/tmp/tide")


@pytest.mark.parametrize("lake", ["s3://bucket/a/b", "s3://bucket", "block:my-lake"])
def test_a_bucket_and_a_block_are_left_as_they_are(config_dir: Path, lake: str) -> None:
    assert settings_with(config_dir, f"lake: {lake}").settings.lake == lake


# Start-up


def test_loading_a_project_imports_none_of_the_heavy_libraries(config_dir: Path) -> None:
    script = (
        "import sys; from schemas.project import Project; Project.load(sys.argv[1]);"
        "print([m for m in ('prefect', 'polars', 'duckdb', 'pandera', 'pyarrow', 'psycopg') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(config_dir)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_only_true_and_false_are_truth_values_and_other_words_are_text(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("on: [NO, yes, off, y]\nvalues: [true, False]\ntrueish: nope\n")
    assert read_config_file(file) == {"on": ["NO", "yes", "off", "y"], "values": [True, False], "trueish": "nope"}


def test_yes_and_off_still_switch_things_on_and_off(config_dir: Path) -> None:
    (config_dir / "sources.yaml").write_text(SOURCES.replace("type: postgresql", "type: postgresql, enabled: off"))
    assert not Project.load(config_dir).source("shop").enabled
