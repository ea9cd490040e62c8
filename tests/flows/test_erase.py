"""The right of erasure: rows leave the lake, every version of them, for all readers at once."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandera.polars as pap
import pyarrow.parquet as pq
import pytest
from service_bench import Bench
from service_cli import CommandLine
from service_prefect_server import PrefectServer
from service_seaweedfs import SeaweedFS

from blocks.erasures import Erasures
from blocks.local_lake import LocalLake
from blocks.open_source import open_source
from schemas.erasure import ErasureReport, ErasureRequest, NothingToErase, StillNeeded
from schemas.errors import Busy, ConfigError, ProofFailed, SourceUnavailable
from schemas.restore import RestoreRequest
from tasks.audit import audit
from tasks.erase import erase_rows
from tasks.lake_table import LakeTable
from tasks.matched_rows import MatchedRows
from tasks.remove_orphans import remove_orphans
from tasks.restore import restore_rows
from tasks.rewrite_file import Rewriter
from tasks.sweep_erased import sweep_erased
from tasks.views import open_views

NAME = "Ada Muster"


class Orders(LakeTable):
    dataset = "orders"
    model = pap.DataFrameModel


@pytest.fixture(scope="module")
def people_once(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """200 archived and purged orders; number 17 of one person, in two versions, and number 42 of another."""
    bench = Bench(shared_database, tmp_path_factory.mktemp("people") / "project")
    bench.fill_orders(200)
    bench.sql("UPDATE orders SET note = $1 WHERE id = 17", NAME)
    bench.run()
    bench.sql("INSERT INTO orders SELECT 17, '2024-01-06 02:41+00', 'shop 2', 1, 'somebody', '{}'")
    bench.run()
    return bench


@pytest.fixture
def people(people_once: Bench, tmp_path: Path) -> Bench:
    """The same project again, with a lake of its own; its table is empty, and to be left so."""
    shutil.copytree(people_once.folder / "lake", tmp_path / "project/lake")
    return Bench(people_once.url, tmp_path / "project")


def erase(bench: Bench, *, dry_run: bool = False, without_source: bool = False, **rows: Any) -> ErasureReport:
    return erase_rows(
        bench.project, bench.project.archives[0], ErasureRequest.of(**rows), "run-of-erasure",
        dry_run=dry_run, without_source=without_source,
    )  # fmt: skip


def view(bench: Bench, query: str) -> list[tuple[Any, ...]]:
    with open_views(bench.lake, bench.project.settings) as connection:
        return connection.execute(query).fetchall()


def versions(bench: Bench) -> list[int]:
    """Return the ids of all versions that readers see, in order."""
    return [number for (number,) in view(bench, "SELECT id FROM orders__history ORDER BY id")]


def assert_sound(bench: Bench) -> None:
    report = audit(bench.config_dir, "orders")
    assert (report.findings, report.datasets[0].orphans) == ((), ())


def all_values(bench: Bench) -> set[str]:
    """Return every note in every Parquet file of the lake's folder, whoever sees it."""
    found = set()
    for file in (bench.folder / "lake").rglob("*.parquet"):
        found |= set(pq.read_table(file, columns=["note"], partitioning=None)["note"].to_pylist())
    return found


def sweep(bench: Bench, after: timedelta) -> int:
    return sweep_erased(bench.lake, bench.ledger, Erasures(bench.lake, "orders"), datetime.now(UTC) + after)


def test_erased_rows_are_gone_from_every_reader_and_the_audit_agrees(people: Bench) -> None:
    report = erase(people, keys=["17", "42"], reason="case 4711")
    assert (report.totals["rows"], report.different_keys, report.totals["generations"]) == (3, 2, 2)
    assert view(people, "SELECT count(*) FROM orders WHERE id IN (17, 42)") == [(0,)]
    assert versions(people) == [n for n in range(1, 201) if n not in (17, 42)]
    assert Orders(people.lake).find(17) is None
    people.sql("CREATE TABLE again (LIKE orders INCLUDING ALL)")
    request = RestoreRequest.of(keys=["17", "42", "43"], into="public.again")
    restored = restore_rows(people.project, people.project.archives[0], request)
    assert (restored.rows, restored.missing_keys) == (1, ("17", "42"))
    assert_sound(people)


def test_manifest_says_how_many_rows_were_erased_when_by_whom_and_why(people: Bench) -> None:
    before = {g.manifest.path: g.manifest for g in people.generations()}
    report = erase(people, keys=["17"], reason="case 4711")
    for told in report.generations:
        old, new = before[told.manifest], people.ledger.generation(str(told.by)).manifest
        (note,) = new.erasures
        assert (note.rows, note.run_id, note.reason) == (1, "run-of-erasure", "case 4711")
        assert (new.supersedes, new.version) == ((old.path,), 2)
        assert (new.window, new.attestation.snapshot) == (old.window, old.attestation.snapshot)
        assert new.attestation.rows == old.attestation.rows - 1
    assert all(g.purged for g in people.generations()), "receipts are those of what is left, too"
    untouched = [g.manifest for g in people.generations() if not g.manifest.erasures]
    assert untouched and all(before[manifest.path] == manifest for manifest in untouched)


def test_no_record_repeats_what_was_erased(people: Bench) -> None:
    erase(people, where=f"note = '{NAME}' AND id < 100000017", reason="case 4711")
    for path, content in people.records().items():
        if not path.endswith(".parquet"):
            assert NAME.encode() not in content and b"100000017" not in content, path


def test_every_version_of_a_key_goes_when_the_predicate_holds_for_one_of_them(people: Bench) -> None:
    report = erase(people, where=f"note = '{NAME}'")
    assert (report.totals["rows"], report.different_keys) == (2, 1)
    assert versions(people) == [n for n in range(1, 201) if n != 17]


def test_only_the_files_that_hold_the_rows_are_written_again(bench: Bench) -> None:
    bench.configure(file_max_rows=20)
    bench.fill_orders(100)
    bench.run()
    before = {str(path): path.read_bytes() for path in bench.lake_files()}
    report = erase(bench, keys=["17"])
    after = {str(path): path.read_bytes() for path in bench.lake_files()}
    assert report.totals["files"] == 1
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1
    assert all(before[path] == after[path] for path in before.keys() & after.keys())
    assert_sound(bench)


def test_dry_run_counts_by_file_and_writes_nothing(people: Bench) -> None:
    before = people.records()
    report = erase(people, keys=["17", "4711"], dry_run=True)
    assert (report.state, report.totals["rows"], report.missing_keys, report.in_source) == ("planned", 2, (2,), 0)
    assert [(file.rows, file.of) for one in report.generations for file in one.files] == [(1, 103), (1, 1)]
    assert people.records() == before


def test_old_copies_stay_unseen_until_the_grace_is_over_and_then_leave_with_their_manifests(people: Bench) -> None:
    erase(people, keys=["17"])
    assert NAME in all_values(people)
    assert sweep(people, timedelta(days=6)) == 0
    assert sweep(people, timedelta(days=8)) == 2
    assert NAME not in all_values(people)
    paths = [path for path in people.records() if "/manifests/" in path]
    assert sorted(paths) == sorted(g.manifest.path for g in people.generations())
    assert_sound(people)
    people.run()
    assert versions(people) == [n for n in range(1, 201) if n != 17]


def test_without_a_grace_the_old_copies_leave_at_once(people: Bench) -> None:
    people.settings = {"erase_grace": 0}
    people.configure()
    report = erase(people, keys=["17"])
    assert report.swept_files == 2
    assert NAME not in all_values(people)
    assert_sound(people)


def test_a_run_of_the_archive_removes_the_old_copies_when_their_time_has_come(people: Bench) -> None:
    people.settings = {"erase_grace": "1 hour"}
    people.configure()
    erase(people, keys=["17"])
    people.run()
    assert NAME in all_values(people)
    assert remove_orphans(people.lake, people.ledger, datetime.now(UTC) + timedelta(minutes=61)) == 2
    assert NAME not in all_values(people)


def test_files_that_two_generations_share_stay_until_none_needs_them(bench: Bench) -> None:
    bench.configure(file_max_rows=20)
    bench.fill_orders(100)
    bench.run()
    erase(bench, keys=["17"])
    erase(bench, keys=["77"])
    (january,) = bench.generations()
    assert [note.rows for note in january.manifest.erasures] == [1, 1]
    assert len(january.manifest.supersedes) == 2
    assert sweep(bench, timedelta(days=8)) == 2
    assert_sound(bench)
    assert versions(bench) == [n for n in range(1, 101) if n not in (17, 77)]


def test_an_erasure_with_a_shorter_grace_takes_the_old_copies_of_earlier_ones_along(people: Bench) -> None:
    """They hold its rows as well."""
    people.configure(folder="orders")
    erase(people, keys=["42"])
    people.settings = {"erase_grace": 0}
    people.configure()
    assert erase(people, keys=["17"]).swept_files == 3
    assert NAME not in all_values(people)
    assert_sound(people)


def test_quarantined_copies_go_as_well(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "erase_gate.py").write_text(
        "import pandera.polars as pa\n\nclass Orders(pa.DataFrameModel):\n    id: int = pa.Field(ge=20)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    bench.configure(gate="erase_gate:Orders", on_gate_failure="quarantine")
    bench.fill_orders(100)
    bench.sql("UPDATE orders SET note = $1 WHERE id IN (17, 42)", NAME)
    bench.run()
    with pytest.raises(StillNeeded, match="still holds 1 of the rows"):
        erase(bench, where=f"note = '{NAME}'")  # what is quarantined is still in the source
    bench.sql("DELETE FROM orders WHERE id = 17")
    bench.settings = {"erase_grace": 0}
    bench.configure()
    report = erase(bench, where=f"note = '{NAME}'")
    assert (report.totals["rows"], report.totals["quarantined"]) == (1, 1)
    assert NAME not in all_values(bench)
    assert_sound(bench)
    (january, *_) = bench.generations()
    assert [file.rows for file in january.quarantine] == [18]
    bench.run()
    assert_sound(bench)


def test_rows_that_the_source_still_holds_are_not_erased(bench: Bench) -> None:
    bench.configure(purge=None)
    bench.fill_orders(100)
    bench.run(purging=False)
    before = bench.records()
    with pytest.raises(StillNeeded, match="still holds 2 of the rows") as refused:
        erase(bench, keys=["17", "42"])
    assert refused.value.exit_code == 2
    assert bench.records() == before
    assert erase(bench, keys=["17"], dry_run=True).in_source == 1


def test_a_row_that_comes_back_into_the_source_is_archived_again_and_never_deleted_unarchived(people: Bench) -> None:
    """The fence of a generation from which rows were erased vouches for none of its window any more."""
    people.run(purging=False)
    people.sql("INSERT INTO orders SELECT g, '2024-01-20', 'new', 1, 'n', '{}' FROM generate_series(1001, 1010) g")
    people.run(purging=False)
    # A source that is not asked may hold the row: it is older than the snapshot of the generation that had it.
    erase(people, keys=["1005"], without_source=True)
    assert 1005 not in versions(people)
    people.run()
    assert people.count() == 0
    assert versions(people).count(1005) == 1
    assert_sound(people)


def test_what_is_left_of_an_unpurged_generation_is_purged_by_the_new_one(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.run(purging=False)
    bench.sql("DELETE FROM orders WHERE id = 17")
    bench.sql("UPDATE orders SET note = 'changed' WHERE id = 18")
    erase(bench, keys=["17"])
    (january,) = bench.generations()
    receipt = bench.purge(january.manifest.path)
    assert (receipt.archived, receipt.deleted, receipt.changed_since, receipt.by_fence) == (99, 98, 1, 98)
    assert bench.count() == 1
    bench.run()
    assert bench.count() == 0
    assert_sound(bench)


def test_a_generation_that_was_superseded_since_its_proof_deletes_nothing(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.run(purging=False)
    (old,) = bench.generations()
    verified = bench.prove(old.manifest.path)
    bench.sql("DELETE FROM orders WHERE id = 17")
    erase(bench, keys=["17"])
    from tasks.purge import purge

    with pytest.raises(ProofFailed, match="stands in its place"):
        purge(verified, bench.job(), "run")
    with pytest.raises(ProofFailed, match="stands in its place"):
        bench.prove(old.manifest.path)
    assert bench.count() == 99


def test_a_purge_that_was_stopped_before_an_erasure_is_counted_after_it(bench: Bench) -> None:
    bench.fill_orders(100)
    bench.run(purging=False)
    stop = bench.folder / "stop"
    bench.configure(purge={"mode": "delete", "batch_rows": 10, "stop_file": str(stop)})
    (old,) = bench.generations()
    bench.sql("DELETE FROM orders WHERE id = 17")
    stop.touch()
    with pytest.raises(Exception, match="Stopped"):
        bench.purge(old.manifest.path)
    stop.unlink()
    erase(bench, keys=["17"])
    (new,) = bench.generations()
    assert len(bench.ledger.open_attempts(new.manifest)) == 2
    assert bench.purge(new.manifest.path).interrupted_before == 0


def test_an_erasure_waits_for_no_archiver(people: Bench) -> None:
    source = open_source(people.project.sources[0])
    with source.locked(people.job().table), pytest.raises(Busy):
        erase(people, keys=["17"])
    assert 17 in versions(people)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"keys": ["99999"]}, "No row of orders"),
        ({"where": "note = 'nobody'"}, "No row of orders"),
        ({"keys": ["Ada"]}, "--key: number 1 cannot be read as a key; the key is id"),
        ({"where": "id"}, "no condition"),
        ({"where": "shoe = 'x'"}, '"shoe" not found'),
        ({"where": "id = 'Ada'"}, "cannot be evaluated"),
        ({"where": "id = 1; DROP TABLE orders"}, "not one SQL expression"),
        ({"where": "id = 1) OR (true"}, "not one SQL expression"),
        ({"where": "id IN (SELECT id FROM orders)"}, "asks another table"),
        ({"where": "count(*) > 1"}, "cannot be evaluated"),
        ({}, "Nothing says which rows"),
        ({"keys": ["1"], "where": "id = 1"}, "both given"),
    ],
)
def test_what_names_no_rows_is_refused_and_not_repeated(people: Bench, rows: Any, said: str) -> None:
    before = people.records()
    with pytest.raises(ConfigError, match=said) as refused:
        erase(people, **rows)
    assert "Ada" not in str(refused.value)
    assert refused.value.state and refused.value.next_step
    assert people.records() == before


def test_an_erasure_that_is_done_is_told_to_who_repeats_it(people: Bench) -> None:
    erase(people, keys=["17"])
    with pytest.raises(NothingToErase, match=r"The last erasure was at .* 2 rows, by run run-of-erasure"):
        erase(people, keys=["17"])


def test_rows_are_erased_from_a_lake_on_s3(
    bench: Bench, s3_server: SeaweedFS, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_ENDPOINT_URL": s3_server.endpoint_url, "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    bench.settings = {"lake": f"s3://{s3_bucket}/{uuid.uuid4().hex}", "erase_grace": 0}
    bench.configure(partition_by=["shop", "year"])
    bench.fill_orders(60)
    bench.run()
    report = erase(bench, where="note = 'note 17' OR id = 42")
    assert (report.totals["rows"], report.swept_files) == (2, 2)
    assert versions(bench) == [n for n in range(1, 61) if n not in (17, 42)]
    assert_sound(bench)


def test_table_without_a_key_loses_the_rows_that_fit(bench: Bench) -> None:
    bench.sql("CREATE TABLE visits (at timestamp, who text, page int)")
    bench.sql("INSERT INTO visits SELECT '2024-01-05'::timestamp + g * interval '1 min', 'p' || g % 3, g % 2"
              " FROM generate_series(1, 90) g")  # fmt: skip
    bench.configure(table="public.visits", time_column="at", purge=None, folder="orders")
    bench.run(purging=False)
    with pytest.raises(ConfigError, match="without a key"):
        erase(bench, keys=["1"])
    with pytest.raises(StillNeeded, match="has no key to tell rows by, and still holds 90 rows"):
        erase(bench, where="who = 'p1' AND page = 0")
    bench.sql("TRUNCATE visits")
    report = erase(bench, where="who = 'p1' AND page = 0")
    assert (report.totals["rows"], report.different_keys) == (15, None)
    assert view(bench, "SELECT count(*), count(*) FILTER (WHERE who = 'p1') FROM orders") == [(75, 15)]
    assert_sound(bench)


def test_hostile_names_and_values_at_the_edge_survive_in_the_rows_that_stay(bench: Bench) -> None:
    bench.sql(
        'CREATE TABLE odd ("file_row_number" uuid, "Shop no" int, "file_index" date, at timestamptz,'
        ' f float8, n numeric(20,5), b bytea, t text, PRIMARY KEY (file_row_number, "Shop no"))'
    )
    bench.sql(
        "INSERT INTO odd SELECT md5(g::text)::uuid, g % 7, CASE g % 3 WHEN 0 THEN 'infinity'::date WHEN 1 THEN"
        " '0044-03-15 BC'::date END, '2024-01-01'::timestamptz + g * interval '1 hour', CASE g % 4 WHEN 0 THEN '-0'"
        " WHEN 1 THEN 'NaN' WHEN 2 THEN '-infinity' ELSE 0.1 END::float8, g / 7.0, decode(md5(g::text), 'hex'),"
        " CASE g % 2 WHEN 0 THEN '' ELSE E'a\\'b\"\\n😀' END FROM generate_series(1, 300) g"
    )
    bench.configure(table="public.odd", time_column="at", folder="orders", partition_by=["Shop no", "year"],
                    file_max_rows=30)  # fmt: skip
    bench.run()
    [(key,)] = bench.sql("SELECT upper(md5('17'))::text")
    bench.sql("CREATE TABLE back (LIKE odd INCLUDING ALL)")
    total = "SELECT count(*), sum(('x' || left(md5(t::text), 8))::bit(32)::bigint) FROM back t"
    archive = bench.project.archives[0]
    restore_rows(bench.project, archive, RestoreRequest.of(from_=datetime(2000, 1, 1), into="public.back"))
    bench.sql("DELETE FROM back WHERE file_row_number = $1::uuid OR t = '' AND n < 10", key)
    expected = bench.sql(total)
    assert erase(bench, keys=[f"{key},3"]).totals["rows"] == 1
    erase(bench, where="t = '' AND n < 10 -- and no more")
    bench.sql("TRUNCATE back")
    restore_rows(bench.project, archive, RestoreRequest.of(from_=datetime(2000, 1, 1), into="public.back"))
    assert bench.sql(total) == expected
    assert_sound(bench)


def test_generation_proven_by_counts_only_can_be_erased_from(bench: Bench) -> None:
    bench.configure(proof="counts")
    bench.fill_orders(100)
    bench.run()
    erase(bench, keys=["17"])
    (january,) = bench.generations()
    assert (january.manifest.attestation.rows, january.manifest.attestation.digest) == (99, None)
    assert_sound(bench)


def test_whole_window_can_be_erased(people: Bench) -> None:
    report = erase(people, where="placed_at < TIMESTAMPTZ '2024-02-01 00:00+00'")
    assert report.totals["rows"] == 104
    assert min(versions(people)) == 104
    assert_sound(people)
    people.run()
    assert_sound(people)


def test_damaged_file_is_found_and_nothing_is_erased(people: Bench) -> None:
    file = people.lake_files()[0]
    content = bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(content)
    before = people.records()
    with pytest.raises(ProofFailed) as refused:
        erase(people, keys=["42"])
    assert refused.value.state == "Nothing was erased; the lake is as it was."
    remove_orphans(people.lake, people.ledger)
    after = people.records()
    assert {path: content for path, content in after.items() if "/erasures/" not in path} == before


def test_rows_under_legal_hold_are_not_erased(people: Bench) -> None:
    people.configure(holds=[{"name": "case-9", "keys": ["17"]}, {"name": "tax", "where": "id = 42"}])
    for rows in ({"keys": ["17", "50"]}, {"where": "note = 'somebody'"}):
        with pytest.raises(StillNeeded, match=r"legal hold: case-9\."):
            erase(people, **rows)
    with pytest.raises(StillNeeded, match="legal hold: case-9, tax"):
        erase(people, keys=["17", "42"])
    assert erase(people, keys=["42"], dry_run=True).held_by == ("tax",)
    assert erase(people, keys=["50"]).totals["rows"] == 1


class Killed(BaseException):
    """The process died."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], list[str]]]:
    """Let the process die at an effect on the lake, from 0; a delete dies when it is half done."""
    originals = {name: getattr(LocalLake, name) for name in ("store", "put_if_absent", "delete")}

    def die_at(number: int | None) -> list[str]:
        seen: list[str] = []

        def wrap(name: str) -> Callable[..., Any]:
            def effect(lake: LocalLake, *arguments: Any) -> Any:
                if name == "delete":
                    paths = list(arguments[0])
                    if not paths:
                        return None
                    arguments = (paths,)
                seen.append(name)
                if number == len(seen) - 1:
                    if name == "delete":
                        originals[name](lake, arguments[0][: len(arguments[0]) // 2])
                    raise Killed
                return originals[name](lake, *arguments)

            return effect

        for name in originals:
            monkeypatch.setattr(LocalLake, name, wrap(name))
        return seen

    yield die_at


def test_killed_at_any_effect_readers_see_all_or_nothing_and_a_new_run_converges(
    people: Bench, dying: Callable[[int | None], list[str]]
) -> None:
    people.settings = {"erase_grace": 0}
    people.configure()
    saved = people.folder / "saved"
    lake = people.folder / "lake"
    shutil.copytree(lake, saved)
    before, after = versions(people), [n for n in range(1, 201) if n not in (17, 42)]
    states = []
    number = 0
    while True:
        shutil.rmtree(lake)
        shutil.copytree(saved, lake)
        dying(number)
        try:
            erase(people, keys=["17", "42"])
        except Killed:
            dying(None)
        else:
            break
        states.append(versions(people))
        assert states[-1] in (before, after)
        if number % 2:
            remove_orphans(people.lake, people.ledger)  # as the next run of the archive does
            assert versions(people) == states[-1]
        elif states[-1] == before:
            erase(people, keys=["17", "42"])
            assert versions(people) == after
        else:
            with pytest.raises(NothingToErase):
                erase(people, keys=["17", "42"])
        assert (NAME in all_values(people)) == (17 in versions(people))
        assert_sound(people)
        assert [path for path in people.records() if "/intents/" in path] == []
        number += 1
    assert number > 8
    assert states == sorted(states), "once it is done, it is done"


def test_what_a_killed_erasure_left_is_removed_by_the_next_run_of_the_archive(
    people: Bench, dying: Callable[[int | None], list[str]]
) -> None:
    paths = set(people.records())
    dying(7)  # the new files and both drafts are there, the record is not
    with pytest.raises(Killed):
        erase(people, keys=["17"])
    dying(None)
    assert len(set(people.records()) - paths) == 4
    assert_audit_has_no_findings(people)
    people.run()
    left = set(people.records()) - paths
    assert left == {"_tidegate/erasures/orders/000001.json"}, "void: nobody can commit it any more"
    assert_sound(people)


def assert_audit_has_no_findings(bench: Bench) -> None:
    assert audit(bench.config_dir, "orders").findings == ()


@pytest.mark.parametrize("moment", ["before its last look", "after its last look"])
def test_an_erasure_that_was_taken_for_dead_cannot_commit(
    people: Bench, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    commit, put = Erasures.commit, LocalLake.put_if_absent

    def take_over() -> None:
        with monkeypatch.context() as original:
            original.setattr(LocalLake, "put_if_absent", put)
            remove_orphans(people.lake, people.ledger)

    def committing(erasures: Erasures, erasure: Any) -> None:
        take_over()
        commit(erasures, erasure)

    def putting(lake: LocalLake, path: str, data: bytes) -> bool:
        if path.startswith("_tidegate/erasures/"):
            take_over()
        return put(lake, path, data)

    if moment == "before its last look":
        monkeypatch.setattr(Erasures, "commit", committing)
    else:
        monkeypatch.setattr(LocalLake, "put_if_absent", putting)
    before = versions(people)
    with pytest.raises(Busy, match="took this erasure for dead"):
        erase(people, keys=["17"])
    assert versions(people) == before
    assert_sound(people)


def test_an_erasure_that_lost_its_connection_and_so_its_lock_does_not_commit(
    people: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = Erasures.draft

    def cut_off(erasures: Erasures, manifest: Any) -> None:
        people.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'tidegate'"
            " AND datname = current_database()"
        )
        draft(erasures, manifest)

    monkeypatch.setattr(Erasures, "draft", cut_off)
    with pytest.raises(SourceUnavailable):
        erase(people, keys=["17"])
    assert 17 in versions(people)


@pytest.mark.parametrize("fault", ["a row too many is left out", "other rows are left out"])
def test_a_file_that_is_not_written_again_as_it_should_be_is_not_committed(
    people: Bench, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    split, places = Rewriter._split, MatchedRows.rows_of

    def too_many(rewriter: Rewriter, old: Path, gone: Any, new: Path) -> tuple[int, int]:
        told = split(rewriter, old, gone, new)
        new.unlink(missing_ok=True)
        split(rewriter, old, np.union1d(gone, [0, 1]), new)
        return told

    def others(rows: MatchedRows, path: str) -> Any:
        return places(rows, path) + 1 if len(places(rows, path)) else places(rows, path)

    if fault == "other rows are left out":
        monkeypatch.setattr(MatchedRows, "rows_of", others)
    else:
        monkeypatch.setattr(Rewriter, "_split", too_many)
    before = versions(people)
    with pytest.raises(ProofFailed):
        erase(people, keys=["42"])
    assert versions(people) == before


def test_audit_finds_a_lost_or_damaged_record_of_an_erasure_and_a_lost_new_manifest(people: Bench) -> None:
    report = erase(people, keys=["17"])
    record = people.folder / "lake/_tidegate/erasures/orders/000001.json"
    content = record.read_bytes()
    record.unlink()
    assert {f.where for f in audit(people.config_dir, "orders").findings} == {"_tidegate/erasures/orders"}
    record.write_bytes(content.replace(b"false", b"true "))
    assert [f.where for f in audit(people.config_dir, "orders").findings] == ["_tidegate/erasures/orders/000001.json"]
    record.write_bytes(content)
    sweep(people, timedelta(days=8))
    lost = people.folder / "lake" / str(report.generations[0].by)
    lost.unlink()
    assert str(report.generations[0].by) in {f.where for f in audit(people.config_dir, "orders").findings}


@pytest.mark.slow
def test_neither_prefects_server_nor_the_output_learns_what_was_erased(
    people: Bench, prefect_server: PrefectServer
) -> None:
    command = CommandLine(people.folder, prefect_server.environment)
    where = f"note = '{NAME}' AND id < 100000017"
    refused = command("erase", "orders", "--where", where, "--json")
    assert (refused.code, "--yes" in refused.json["error"]["what"]) == (2, True)
    planned = command("erase", "orders", "--where", where, "--dry-run")
    assert planned.code == 0 and "Different keys: 1." in planned.out
    done = command("erase", "orders", "--where", where, "--reason", "case 4711", "--yes", "--json")
    assert done.code == 0, done.err
    assert (done.json["totals"]["rows"], done.json["reason"]) == (2, "case 4711")
    kept = [ran.out + ran.err for ran in (planned, done)]
    for question in ("flow_runs", "task_runs", "logs", "artifacts"):
        answer = httpx.post(f"{prefect_server.api_url}/{question}/filter", json={}, timeout=30)
        assert answer.status_code == 200
        kept.append(answer.text)
    assert "erase-orders" in kept[2], "this is the server that has the run"
    for text in kept:
        assert NAME not in text and "100000017" not in text
