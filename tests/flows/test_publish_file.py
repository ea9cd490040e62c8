"""The DuckDB file of views: what any tool sees of the lake, and how it is replaced."""

from pathlib import Path

import duckdb
import pytest
from publish_bench import PublishBench

from blocks.table_log import TableLog
from schemas.errors import ConfigError, LakeError
from schemas.publish_report import PublishState


@pytest.fixture
def shown(publishing: PublishBench) -> Path:
    """The file of a lake with tables in several folders."""
    file = publishing.configure_file()
    publishing.put("SELECT 1 AS id, 'one' AS name", "consume/bi/top")
    publishing.put("SELECT DATE '2024-01-01' AS day", "staging/sales/orders")
    publishing.put("SELECT 7 AS n", "flights")
    publishing.put("SELECT 8 AS n", "crm/orders")
    report = publishing.one()
    assert (report.state, report.action, report.rows) == ("done", "create", 4)
    return file


def ask(file: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_table_is_a_view_under_its_own_name(shown: Path) -> None:
    views = ask(shown, "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1")
    assert [name for (name,) in views] == [
        "_tidegate.published", "consume.bi_top", "crm.orders", "main.flights", "staging.sales_orders"
    ]  # fmt: skip
    assert ask(shown, "SELECT * FROM consume.bi_top") == [(1, "one")]
    assert ask(shown, "SELECT * FROM flights, crm.orders") == [(7, 8)]


def test_a_second_run_leaves_the_file_as_it_is(shown: Path, publishing: PublishBench) -> None:
    before = shown.stat()
    assert publishing.one().state is PublishState.UNCHANGED
    after = shown.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert publishing.one(full=True).state is PublishState.DONE
    assert shown.stat().st_ino != before.st_ino


def test_whoever_has_it_open_keeps_the_old_one_and_the_next_sees_the_new(shown: Path, publishing: PublishBench) -> None:
    with duckdb.connect(str(shown), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM consume.bi_top").fetchone() == (1,)
        publishing.put("SELECT unnest([1, 2, 3]) AS id")
        assert publishing.one().action == "replace"
        assert reader.execute("SELECT count(*) FROM consume.bi_top").fetchone() == (1,)
    assert ask(shown, "SELECT * FROM consume.bi_top ORDER BY 1") == [(1,), (2,), (3,)]
    assert [path.name for path in shown.parent.iterdir() if "duckdb" in path.name] == ["lake.duckdb"]


def test_files_that_are_not_committed_are_not_seen(shown: Path, publishing: PublishBench) -> None:
    [path] = [file.path for g in TableLog(publishing.lake, "flights").generations for file in g.manifest.files]
    written = publishing.folder / "lake" / path
    written.with_name("zzz.parquet").write_bytes(written.read_bytes())
    assert ask(shown, "SELECT count(*) FROM flights") == [(1,)]


def test_older_duckdbs_can_read_the_format(shown: Path) -> None:
    # 64 is what DuckDB 1.0 and 1.1 write; 1.x refuses what 2.0 writes by itself (999).
    assert int.from_bytes(shown.read_bytes()[12:20], "little") == 64


def test_patterns_choose_what_is_shown(publishing: PublishBench) -> None:
    file = publishing.configure_file("consume/*", "crm/orders", path="out/deep/bi.duckdb")
    publishing.put("SELECT 1 AS id", "consume/bi/top")
    publishing.put("SELECT 1 AS id", "crm/orders")
    publishing.put("SELECT 1 AS id", "staging/x/y")
    publishing.publish()
    assert ask(file, "SELECT count(*) FROM duckdb_views() WHERE NOT internal") == [(3,)]


def test_two_tables_that_would_be_the_same_view_are_named(publishing: PublishBench) -> None:
    file = publishing.configure_file()
    publishing.put("SELECT 1 AS id", "consume/bi/top_ten")
    publishing.put("SELECT 1 AS id", "consume/BI_top/ten")
    error = publishing.refusal()
    assert "consume/BI_top/ten and consume/bi/top_ten would both be the view consume.bi_top_ten" in error.what
    assert not file.exists()


@pytest.mark.parametrize("content", [b"not a database", b"", None])
def test_a_file_of_somebody_else_is_never_overwritten(publishing: PublishBench, content: bytes | None) -> None:
    file = publishing.configure_file()
    publishing.put("SELECT 1 AS id")
    if content is None:
        with duckdb.connect(str(file)) as connection:
            connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    error = publishing.refusal()
    assert isinstance(error, ConfigError) and "no file of views that Tidegate has published" in error.what
    assert file.read_bytes() == before


def test_a_file_into_which_somebody_has_put_a_table_is_left(shown: Path, publishing: PublishBench) -> None:
    with duckdb.connect(str(shown)) as connection:
        connection.execute("CREATE TABLE precious AS SELECT 42 AS answer")
    publishing.put("SELECT 2 AS id")
    publishing.refusal()
    assert ask(shown, "SELECT * FROM precious") == [(42,)]


def test_a_file_that_somebody_is_writing_into_is_left(shown: Path, publishing: PublishBench) -> None:
    shown.with_name("lake.duckdb.wal").write_bytes(b"wal")
    publishing.put("SELECT 2 AS id")
    assert "Somebody is writing into" in publishing.refusal().what


def test_a_place_that_cannot_be_written_is_named(publishing: PublishBench) -> None:
    publishing.configure_file(path="lake/_tidegate/runs.duckdb/x/lake.duckdb")
    publishing.put("SELECT 1 AS id")
    (publishing.folder / "lake/_tidegate/runs.duckdb").write_text("a file where a folder should be")
    error = publishing.refusal()
    assert isinstance(error, LakeError) and "cannot be written" in error.what


def test_a_dry_run_writes_no_file(publishing: PublishBench) -> None:
    file = publishing.configure_file()
    publishing.put("SELECT 1 AS id")
    report = publishing.one(dry_run=True)
    assert (report.state, report.action, report.rows, file.exists()) == ("planned", "create", 1, False)


def test_a_lake_on_s3_is_named_in_the_views(publishing: PublishBench, s3_lake: object) -> None:
    from blocks.duck import duck
    from blocks.s3_lake import S3Lake
    from schemas.config import Settings
    from tasks.publish.plan_publications import Placement
    from tasks.publish.request import PublishRequest
    from tasks.publish.to_duckdb import publish_to_duckdb

    assert isinstance(s3_lake, S3Lake)
    file = publishing.configure_file()
    project = publishing.project
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PublishBench, "lake", s3_lake)
        publishing.put("SELECT 5 AS id")
    request = PublishRequest(
        project=project, lake=s3_lake, publication=project.publications[0], run_id="run",
        placement=Placement(publication="bi", target=str(file), datasets=("consume/bi/top",)),
    )  # fmt: skip
    assert "credentials for S3" in publish_to_duckdb(request).note
    with duck(Settings()) as connection:
        s3_lake.attach(connection)
        connection.execute(f"ATTACH '{file}' AS f (READ_ONLY)")
        assert connection.execute("SELECT id FROM f.consume.bi_top").fetchall() == [(5,)]
