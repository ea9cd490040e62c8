"""A restore that cannot be proven, or does not come to its end, changes nothing."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from service_bench import Bench

from schemas.errors import ConfigError, ProofFailed, SourceError, SourceUnavailable
from schemas.manifest import Removal
from schemas.restore import RestoreConflict, RestoreReport, RestoreRequest, RestoreUnknown
from tasks.restore import restore_rows


@pytest.fixture
def archived(bench: Bench) -> Bench:
    """Rows of three months that are in the lake, and no longer in `orders`; `original` is a copy of them."""
    bench.fill_orders(200)
    bench.sql("CREATE TABLE original AS SELECT * FROM orders")
    bench.run()
    return bench


def restore(bench: Bench, from_: str = "2000-01-01", **options: Any) -> RestoreReport:
    project = bench.project
    return restore_rows(project, project.archives[0], RestoreRequest.of(from_=from_, **options))


def wait_for(condition: Callable[[], Any], what: str) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def flip_a_bit(path: Path, column: int = 0) -> None:
    """Flip a bit of a column's values, in the middle of its compressed data."""
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + (chunk.total_compressed_size // 2)] ^= 1
    path.write_bytes(content)


def flip_a_bit_of_a_note(path: Path) -> None:
    flip_a_bit(path, 4)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (flip_a_bit, "checksum"),
        (flip_a_bit_of_a_note, "checksum"),
        (cut, "size"),
        (Path.unlink, "missing"),
    ],
)
def test_damaged_file_is_refused_before_anything_is_written(
    archived: Bench, damage: Callable[[Path], None], check: str
) -> None:
    path = archived.lake_files()[1]
    damage(path)
    with pytest.raises(ProofFailed) as failure:
        restore(archived)
    assert f"{check}: {path.relative_to(archived.folder / 'lake')}" in failure.value.what
    assert "Nothing was changed" in failure.value.state
    assert archived.count() == 0


def test_damage_that_hides_all_rows_of_a_file_is_noticed(archived: Bench) -> None:
    """A file of the right size that can be read, and of which no row is in the range as far as it says."""
    path = archived.lake_files()[0]
    rows = pq.read_table(path).slice(0, 10)
    years_later = pa.array([datetime(2033, 1, 1, tzinfo=UTC)] * len(rows), rows.schema.field("placed_at").type)
    later = rows.set_column(1, "placed_at", years_later)
    pq.write_table(later, path, compression="zstd", compression_level=22)
    padding = archived.generations()[0].manifest.size_bytes - path.stat().st_size
    assert padding > 0
    # Parquet is read from its end, by offsets from its beginning: what is put before the footer is never looked at.
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[:footer] + bytes(padding) + content[footer:])
    with pytest.raises(ProofFailed, match="checksum"):
        restore(archived, to="2024-02-01")


def test_damage_in_an_older_window_does_not_keep_a_younger_one_in_the_lake(archived: Bench) -> None:
    flip_a_bit(archived.lake_files()[0])
    assert restore(archived, from_="2024-02-01").rows > 90


def test_damaged_manifest_is_refused(archived: Bench) -> None:
    path = archived.folder / "lake" / archived.generations()[0].manifest.path
    path.write_bytes(path.read_bytes().replace(b'"rows":', b'"rows": ', 1))
    with pytest.raises(ProofFailed, match="damaged"):
        restore(archived)


def test_files_that_were_removed_on_purpose_are_left_out(archived: Bench) -> None:
    path = archived.generations()[0].files[0]
    removal = Removal(dataset="orders", paths=(path,), rows=0, reason="test", removed_at=datetime.now(UTC))
    archived.ledger.record_removal(removal, "run")
    (archived.folder / "lake" / path).unlink()
    report = restore(archived)
    assert report.rows == archived.count() < 200
    assert archived.sql("SELECT min(placed_at) >= '2024-02-01Z' FROM orders") == [(True,)]


TRIGGERS = {
    "changes rows": ("BEFORE INSERT", "NEW.note := 'mine'; RETURN NEW", "They differ in: note"),
    "drops rows": ("BEFORE INSERT", "RETURN NULL", "0 were inserted"),
    "changes rows afterwards": (
        "AFTER INSERT", "UPDATE orders SET shop = 'mine' WHERE id = NEW.id; RETURN NULL", "They differ in: shop"
    ),
    "deletes rows afterwards": ("AFTER INSERT", "DELETE FROM orders WHERE id = 7; RETURN NULL", "99 rows"),
    "changes rows at the commit": (
        "AFTER INSERT", "UPDATE orders SET note = 'mine' WHERE id = NEW.id; RETURN NULL", "They differ in: note"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TRIGGERS)
def test_trigger_that_interferes_fails_the_proof(archived: Bench, what: str) -> None:
    when, body, message = TRIGGERS[what]
    archived.sql(f"CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; END $$")
    late = what.endswith("at the commit")
    kind, deferred = ("CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED") if late else ("TRIGGER", "")
    archived.sql(f"CREATE {kind} meddle {when} ON orders {deferred} FOR EACH ROW EXECUTE FUNCTION meddle()")
    with pytest.raises(ProofFailed) as failure:
        restore(archived, to="2024-01-31T02:00:00")
    assert message in failure.value.what
    assert "Nothing was changed" in failure.value.state
    assert archived.count() == 0


def test_violated_constraint_changes_nothing(archived: Bench) -> None:
    archived.sql("CREATE TABLE shops (name text PRIMARY KEY)")
    archived.sql("ALTER TABLE orders ADD FOREIGN KEY (shop) REFERENCES shops DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(SourceError, match="foreign key") as failure:
        restore(archived)
    assert "Nothing was changed" in failure.value.state
    assert archived.count() == 0


def test_missing_rights_are_found_before_anything_is_read(archived: Bench) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(archived.url)
    archived.sql("CREATE ROLE keeper LOGIN PASSWORD 'pw'")
    keeper = Bench(f"postgresql://keeper:pw@{parts['host']}:{parts['port']}/{parts['dbname']}", archived.folder)
    try:
        with pytest.raises(ConfigError, match="may not read"):
            restore(keeper)
        archived.sql("GRANT SELECT, INSERT (placed_at, shop, amount, note, payload) ON orders TO keeper")
        with pytest.raises(ConfigError, match="id may not be written"):
            restore(keeper)
        archived.sql("GRANT INSERT ON orders TO keeper")
        assert restore(keeper).rows == 200
    finally:
        archived.sql("DROP OWNED BY keeper")
        archived.sql("DROP ROLE keeper")


KILLED = """
import sys, time
from blocks.progress import listening
from schemas.project import Project
from schemas.restore import RestoreRequest
from tasks.restore import restore_rows

def pause(progress):
    print("copying", flush=True)
    time.sleep(float(sys.argv[2]))

project = Project.load(sys.argv[1])
with listening(pause):
    restore_rows(project, project.archives[0], RestoreRequest.of(from_="2000-01-01"))
"""


@pytest.mark.parametrize("moment", ["COPY", "INSERT"])
def test_kill_in_mid_restore_leaves_the_table_as_it_was(archived: Bench, moment: str) -> None:
    archived.sql("INSERT INTO orders SELECT 0, placed_at FROM original WHERE id = 1")
    if moment == "INSERT":
        body = "BEGIN PERFORM pg_sleep(1); RETURN NEW; END"
        archived.sql(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
        archived.sql("CREATE TRIGGER slow BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION slow()")
    pause_s = "60" if moment == "COPY" else "0"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(archived.config_dir), pause_s], stdout=subprocess.PIPE, text=True
    )
    sessions = "SELECT query FROM pg_stat_activity WHERE application_name = 'tidegate' AND datname = current_database()"
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "copying\n"
        wait_for(lambda: any(q.startswith(moment) for (q,) in archived.sql(sessions)), f"never came to {moment}")
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    archived.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO %OVERRIDING%'")
    wait_for(lambda: not archived.sql(sessions), "the session of the killed process never ended")
    assert archived.sql("SELECT id FROM orders") == [(0,)]
    archived.sql("DROP TRIGGER IF EXISTS slow ON orders")
    assert restore(archived).rows == 200


def test_connection_that_is_lost_before_the_commit_can_be_tried_again(archived: Bench) -> None:
    archived.sql(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    archived.sql("CREATE TRIGGER die BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION die()")
    with pytest.raises(SourceUnavailable) as failure:
        restore(archived)
    assert not isinstance(failure.value, RestoreUnknown)
    assert "Nothing was changed" in failure.value.state
    assert archived.count() == 0


def test_connection_that_is_lost_in_the_commit_leaves_the_outcome_unknown(archived: Bench) -> None:
    """A commit that waits for a replica that never comes is ended from outside: it has happened nevertheless."""
    caught: list[BaseException] = []

    def work() -> None:
        try:
            restore(archived)
        except SourceError as error:
            caught.append(error)

    waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()"
    archived.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    archived.sql("SELECT pg_reload_conf()")
    try:
        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: archived.sql(f"SELECT pg_terminate_backend(pid) {waiting}"), "the commit did not wait")
        thread.join(30)
    finally:
        archived.sql("ALTER SYSTEM RESET synchronous_standby_names")
        archived.sql("SELECT pg_reload_conf()")
    assert [type(error) for error in caught] == [RestoreUnknown]
    with pytest.raises(RestoreConflict, match="200 of 200"):
        restore(archived)
