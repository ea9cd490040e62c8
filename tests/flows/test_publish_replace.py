"""Tables that are replaced in PostgreSQL: whole or not at all, with everything that hung on the old one."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from publish_bench import PublishBench

from schemas.errors import Busy, ConfigError, ProofFailed, SourceUnavailable, TidegateError
from schemas.publish_report import PublishState


def numbers(rows: int, plus: int = 0) -> str:
    return f"SELECT i::INTEGER AS id, 'n' || (i + {plus}) AS name FROM range({rows}) t(i)"


def test_a_table_is_made_replaced_and_then_left_alone(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    report = publishing.one()
    assert (report.target, report.state, report.action, report.rows) == ("consume.top", "done", "create", 3)
    assert publishing.sql("SELECT * FROM consume.top ORDER BY id") == [(0, "n0"), (1, "n1"), (2, "n2")]
    first = publishing.tables()
    assert publishing.one().state is PublishState.UNCHANGED
    assert publishing.tables() == first
    publishing.put(numbers(2, plus=5))
    report = publishing.one()
    assert (report.state, report.action, report.rows) == ("done", "replace", 2)
    assert publishing.sql("SELECT name FROM consume.top ORDER BY id") == [("n5",), ("n6",)]
    assert list(publishing.tables()) == ["consume.top"], "nothing of the old one is left"


def test_full_publishes_also_what_is_unchanged(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    before = publishing.tables()
    assert publishing.one(full=True).action == "replace"
    assert publishing.tables() != before


@pytest.mark.parametrize("harm", ["DELETE FROM consume.top WHERE id = 1", "DROP TABLE consume.top"])
def test_a_table_that_lost_rows_is_published_again(publishing: PublishBench, harm: str) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.sql(harm)
    assert publishing.one().state is PublishState.DONE
    assert publishing.sql("SELECT count(*) FROM consume.top") == [(3,)]


def test_another_configuration_publishes_it_again(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.configure({"dataset": "consume/*", "indexes": [["name"]], "key": ["id"]})
    assert publishing.one().state is PublishState.DONE
    names = publishing.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'consume' ORDER BY 1")
    assert names == [("top_name_idx",), ("top_pkey",)]
    publishing.put(numbers(4))
    publishing.one()
    assert publishing.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'consume' ORDER BY 1") == names


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    before = list((publishing.folder / "lake").rglob("*"))
    report = publishing.one(dry_run=True)
    assert (report.state, report.action, report.rows) == ("planned", "create", 3)
    assert publishing.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'consume'") == []
    assert list((publishing.folder / "lake").rglob("*")) == before


def test_an_empty_table_and_one_of_a_single_column_arrive(publishing: PublishBench) -> None:
    publishing.put("SELECT 1::INTEGER AS id WHERE false", "consume/bi/nothing")
    publishing.put("SELECT unnest(['a', NULL, '', '\\.', '\"']) AS single", "consume/bi/single")
    publishing.publish()
    assert publishing.sql("SELECT count(*) FROM consume.nothing") == [(0,)]
    found = publishing.sql("SELECT single FROM consume.single")
    assert sorted(found, key=str) == sorted([("a",), (None,), ("",), ("\\.",), ('"',)], key=str)


EVERYTHING = """
CREATE ROLE "{r}_Reader"; CREATE ROLE {r}_writer; CREATE ROLE {r}_owner;
GRANT SELECT ON consume.top TO "{r}_Reader" WITH GRANT OPTION;
GRANT INSERT, UPDATE (name) ON consume.top TO {r}_writer;
GRANT SELECT (id) ON consume.top TO PUBLIC;
ALTER TABLE consume.top ADD PRIMARY KEY (id);
ALTER TABLE consume.top ADD CONSTRAINT "One Name" UNIQUE NULLS NOT DISTINCT (name) DEFERRABLE;
ALTER TABLE consume.top ADD CONSTRAINT positive CHECK (id >= 0);
ALTER TABLE consume.top ALTER name SET NOT NULL, ALTER name SET DEFAULT 'none';
ALTER TABLE consume.top SET (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE consume.top REPLICA IDENTITY FULL;
CREATE INDEX "Odd ON consume.top" ON consume.top USING btree (lower(name) text_pattern_ops DESC)
    INCLUDE (id) WHERE id > 0;
CREATE UNIQUE INDEX unique_too ON consume.top (id, name);
COMMENT ON INDEX consume.unique_too IS 'it''s';
COMMENT ON TABLE consume.top IS E'Top\\n[customers]';
COMMENT ON COLUMN consume.top.name IS 'as they say';
GRANT CREATE, USAGE ON SCHEMA consume TO {r}_owner;
ALTER TABLE consume.top OWNER TO {r}_owner;
"""
ABOUT_IT = """
SELECT (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a), c.reloptions, c.relowner::regrole::text,
  c.relreplident,
  (SELECT array_agg((pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class'))::text
   ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid),
  (SELECT array_agg(conname || ' ' || pg_get_constraintdef(oid) ORDER BY conname) FROM pg_constraint
   WHERE conrelid = c.oid AND contype <> 'n'),
  (SELECT array_agg(
     (attname, attacl::text, attnotnull, pg_get_expr(adbin, adrelid), col_description(c.oid, attnum))::text
     ORDER BY attnum)
   FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
   WHERE attrelid = c.oid AND attnum > 0)
FROM pg_class c WHERE oid = 'consume.top'::regclass
"""


@pytest.fixture
def role(publishing: PublishBench) -> Iterator[str]:
    """What the names of this test's roles begin with; roles are the whole server's."""
    name = "r" + publishing.url.rsplit("_", 1)[1]
    yield name
    for (one,) in publishing.sql(f"SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE '{name}%'"):
        publishing.sql(f"DROP OWNED BY {one} CASCADE")
        publishing.sql(f"DROP ROLE {one}")


def test_everything_about_a_table_is_kept(publishing: PublishBench, role: str) -> None:
    publishing.put(numbers(3))
    publishing.one()
    # So that rights are not kept because new tables have them anyhow.
    publishing.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA consume GRANT DELETE ON TABLES TO PUBLIC")
    for statement in EVERYTHING.replace("{r}", role).split(";"):
        if statement.strip():
            publishing.sql(statement)
    before = publishing.sql(ABOUT_IT)
    publishing.put(numbers(4, plus=7))
    assert publishing.one().rows == 4
    assert publishing.sql(ABOUT_IT) == before
    [(comment,)] = publishing.sql("SELECT obj_description('consume.top'::regclass, 'pg_class')")
    assert comment.startswith("Top\n[customers]\n[tidegate consume/bi/top ")
    assert publishing.sql("SELECT count(*) FROM consume.top") == [(4,)]
    assert publishing.one().state is PublishState.UNCHANGED


def test_grants_of_the_configuration_are_given_with_the_schema(publishing: PublishBench, role: str) -> None:
    publishing.sql(f'CREATE ROLE "{role} bi"')
    publishing.configure("consume/*", grants={f"{role} bi": ["select"]})
    publishing.put(numbers(3))
    for _ in range(2):
        publishing.one(full=True)
        with psycopg.connect(publishing.url) as connection:
            connection.execute(f'SET ROLE "{role} bi"')
            assert connection.execute("SELECT count(*) FROM consume.top").fetchone() == (3,)


def test_views_read_the_new_table_and_keep_their_rights(publishing: PublishBench, role: str) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.sql(f"CREATE ROLE {role}")
    publishing.sql(
        "CREATE VIEW public.named WITH (security_barrier = true) AS SELECT name FROM consume.top WHERE id > 0"
    )
    publishing.sql("CREATE VIEW public.upper AS SELECT upper(name) AS name FROM public.named")
    publishing.sql(f"GRANT SELECT ON public.named TO {role}")
    publishing.sql("COMMENT ON VIEW public.named IS 'mine'")
    about = (
        "SELECT relacl::text, reloptions, obj_description(oid, 'pg_class'), oid, pg_get_viewdef(oid) FROM pg_class "
        "WHERE oid = 'public.named'::regclass"
    )
    before = publishing.sql(about)
    publishing.put(numbers(3, plus=10))
    publishing.one()
    assert publishing.sql("SELECT name FROM public.upper ORDER BY 1") == [("N11",), ("N12",)]
    assert publishing.sql(about) == before


def test_a_view_that_does_not_fit_the_new_table_is_named_and_nothing_changes(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.sql("CREATE VIEW public.named AS SELECT name FROM consume.top")
    publishing.put("SELECT 1::INTEGER AS id, 5::INTEGER AS name")
    assert "The view public.named does not fit the new consume.top" in publishing.refusal().what
    publishing.put("SELECT 1::INTEGER AS id")
    assert "The view public.named does not fit the new consume.top" in publishing.refusal().what
    assert publishing.sql("SELECT count(*) FROM public.named") == [(3,)]


LOST = {
    "CREATE TABLE child (id int REFERENCES consume.top)": "the foreign key child_id_fkey of public.child refers to it",
    "CREATE MATERIALIZED VIEW m AS SELECT id FROM consume.top": "the materialized view public.m reads it",
    "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM consume.top; END": "function public.f()",
    "CREATE FUNCTION g(consume.top) RETURNS int LANGUAGE sql RETURN 1": "function public.g(consume.top) has its",
    "ALTER TABLE consume.top ENABLE ROW LEVEL SECURITY": "it has row level security",
    "CREATE POLICY mine ON consume.top USING (true)": "it has the policy mine",
    "CREATE RULE quiet AS ON DELETE TO consume.top DO INSTEAD NOTHING": "it has the rule quiet",
    "CREATE STATISTICS stats ON id, name FROM consume.top": "it has the extended statistics stats",
    "CREATE PUBLICATION feed FOR TABLE consume.top": "the logical replication publication feed names it",
    "CREATE TRIGGER t BEFORE UPDATE ON consume.top EXECUTE FUNCTION suppress_redundant_updates_trigger()":
        "it has the trigger t",
    "ALTER TABLE consume.top ADD COLUMN n int GENERATED BY DEFAULT AS IDENTITY": "its column n counts by itself",
    "ALTER TABLE consume.top ADD COLUMN twice int GENERATED ALWAYS AS (id * 2) STORED": "its column twice is computed",
    "ALTER TABLE consume.top REPLICA IDENTITY USING INDEX top_pkey": "its replica identity is an index",
    "ALTER TABLE consume.top ADD FOREIGN KEY (id) REFERENCES consume.top": "it has the foreign key top_id_fkey",
    "CREATE TABLE part () INHERITS (consume.top)": "public.part inherits from it",
}  # fmt: skip


def test_what_would_be_lost_with_the_old_table_is_named_before_anything_is_written(publishing: PublishBench) -> None:
    publishing.configure({"dataset": "consume/*", "key": ["id"]})
    publishing.put(numbers(3))
    publishing.one()
    for statement in LOST:
        publishing.sql(statement)
    publishing.put(numbers(4))
    for dry_run in (True, False):
        error = publishing.refusal(dry_run=dry_run)
        assert isinstance(error, ConfigError)
        assert [told for told in LOST.values() if told not in error.what] == [], error.what


def test_an_index_of_a_column_that_is_gone_is_named(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.sql("CREATE INDEX by_name ON consume.top (name)")
    publishing.put("SELECT 1::INTEGER AS id")
    assert "The index by_name of consume.top cannot be kept" in publishing.refusal().what
    publishing.sql("DROP INDEX consume.by_name")
    publishing.one()
    assert publishing.sql("SELECT * FROM consume.top") == [(1,)]


def test_rows_that_a_constraint_forbids_leave_the_old_table(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.sql("ALTER TABLE consume.top ADD CONSTRAINT few CHECK (id < 3)")
    publishing.put(numbers(4))
    assert 'check constraint "few"' in publishing.refusal().what


def test_somebody_elses_rows_are_not_replaced(publishing: PublishBench) -> None:
    publishing.sql("CREATE SCHEMA consume")
    publishing.sql("CREATE TABLE consume.top (id int, name text)")
    publishing.sql("INSERT INTO consume.top VALUES (7, 'mine')")
    publishing.put(numbers(3))
    assert "it has rows that Tidegate did not publish" in publishing.refusal().what
    publishing.sql("TRUNCATE consume.top")
    assert publishing.one().state is PublishState.DONE
    publishing.sql("COMMENT ON TABLE consume.top IS 'somebody wrote over our mark'")
    publishing.put(numbers(4))
    assert publishing.one().rows == 4, "the run log knows that it is ours"


def test_what_is_no_table_is_not_replaced(publishing: PublishBench) -> None:
    publishing.sql("CREATE SCHEMA consume")
    publishing.sql("CREATE VIEW consume.top AS SELECT 1 AS id")
    publishing.put(numbers(3))
    assert "it is a view" in publishing.refusal().what


class Readers:
    """Threads that read a table over and over, each in its own way, and note what they see."""

    def __init__(self, publishing: PublishBench, queries: list[str]) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.errors: list[Exception] = []
        self._publishing, self._stop = publishing, threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(query,)) for query in queries]

    def _read(self, query: str) -> None:
        try:
            with psycopg.connect(self._publishing.url, autocommit=True) as connection:
                while not self._stop.is_set():
                    self.seen += connection.execute(query).fetchall()
                    self._stop.wait(0.005)  # leave a core to the one who publishes
        except Exception as error:  # noqa: BLE001 (it is looked at below)
            self.errors.append(error)

    def __enter__(self) -> "Readers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_readers_see_the_old_rows_or_the_new_ones_and_nothing_between(publishing: PublishBench) -> None:
    publishing.put(numbers(500))
    publishing.one()
    publishing.sql("CREATE VIEW public.v AS SELECT name FROM consume.top")
    count = "SELECT count(*), count(DISTINCT substr(name, 2)::int - {}) FROM {}"
    both = "SELECT a.n, b.n FROM (SELECT count(*) n FROM consume.top) a, (SELECT count(*) n FROM public.v) b"
    queries = [count.format("id", "consume.top"), "SELECT count(*), 1 FROM public.v", both]
    with Readers(publishing, queries) as readers:
        for turn in range(1, 6):
            publishing.put(numbers(500 + turn, plus=turn))
            assert publishing.one().rows == 500 + turn
            time.sleep(0.05)
    assert readers.errors == []
    seen = {row[0] for row in readers.seen}
    assert seen <= set(range(500, 506)) and len(seen) > 2, seen
    assert {row[1] for row in readers.seen} <= {1, *range(500, 506)}


def test_a_transaction_that_began_before_sees_a_whole_table_as_well(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(5))
    with psycopg.connect(publishing.url) as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT txid_current_if_assigned()")  # its snapshot is from now
        publishing.one()
        assert old.execute("SELECT count(*) FROM consume.top").fetchone() == (5,)


@contextmanager
def reading(publishing: PublishBench) -> Iterator[None]:
    with psycopg.connect(publishing.url, application_name="slow report") as connection:
        connection.execute("SELECT count(*) FROM consume.top")
        yield


def test_a_long_reader_is_waited_for_without_stopping_others(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))
    done: list[Any] = []
    with reading(publishing):
        thread = threading.Thread(target=lambda: done.append(publishing.one()))
        thread.start()
        slowest = 0.0
        until = time.monotonic() + 3
        while time.monotonic() < until:
            began = time.monotonic()
            assert publishing.sql("SELECT count(*) FROM consume.top") == [(3,)]
            slowest = max(slowest, time.monotonic() - began)
        assert not done and slowest < 1.5, slowest
    thread.join(30)
    assert done[0].rows == 4
    assert publishing.sql("SELECT count(*) FROM consume.top") == [(4,)]


def test_a_table_that_is_never_free_is_left_and_who_uses_it_is_named(publishing: PublishBench) -> None:
    publishing.configure("consume/*", give_up_after_s=0.5, lock_timeout_s=0.1)
    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))
    with reading(publishing):
        error = publishing.refusal()
    assert isinstance(error, SourceUnavailable) and "slow report, idle in transaction" in error.what
    assert publishing.one().rows == 4


def test_two_runs_do_not_publish_a_table_at_once(publishing: PublishBench) -> None:
    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))
    with reading(publishing):
        thread = threading.Thread(target=publishing.one)
        thread.start()
        until = time.monotonic() + 20
        while not publishing.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") and time.monotonic() < until:
            time.sleep(0.02)
        assert isinstance(publishing.refusal(), Busy)
    thread.join(30)
    assert publishing.sql("SELECT count(*) FROM consume.top") == [(4,)]


def test_a_change_of_the_table_meanwhile_is_not_lost(publishing: PublishBench, monkeypatch: pytest.MonkeyPatch) -> None:
    from blocks.warehouse import load, replace

    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))
    copy = load.copy_rows

    def and_then_an_index(*arguments: Any, **options: Any) -> None:
        copy(*arguments, **options)
        publishing.sql("CREATE INDEX IF NOT EXISTS late ON consume.top (name)")

    monkeypatch.setattr(replace, "copy_rows", and_then_an_index)
    error = publishing.refusal()
    assert isinstance(error, SourceUnavailable) and "changed by somebody else" in error.what
    publishing.one()
    assert publishing.sql("SELECT indexname FROM pg_indexes WHERE schemaname = 'consume'") == [("late",)]


def test_rows_that_do_not_arrive_are_noticed(publishing: PublishBench, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.publish.lake_rows import LakeRows

    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))
    monkeypatch.setattr(LakeRows, "count", lambda self: 5)
    error = publishing.refusal()
    assert isinstance(error, ProofFailed)
    assert "The lake counts 5 rows, 4 were read from it, and 4 are in the database" in error.what


@pytest.mark.parametrize("moment", ["COPY", "COMMENT ON TABLE"])
def test_a_killed_run_leaves_the_old_table_and_nothing_else(publishing: PublishBench, moment: str) -> None:
    publishing.put(numbers(3))
    publishing.one()
    before = publishing.tables()
    publishing.put(numbers(40_000))
    killed = publishing.in_another_process(
        "import psycopg\n"
        "from blocks.warehouse import load, replace\n"
        "run = replace.run\n"
        "def dying(connection, text, *parameters):\n"
        f"    if text.startswith({moment!r}): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return run(connection, text, *parameters)\n"
        "replace.run = dying\n"
        "write = psycopg.Copy.write\n"
        "def half(copy, data):\n"
        f"    if {moment!r} == 'COPY' and copy.written: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    copy.written = True\n"
        "    return write(copy, data)\n"
        "psycopg.Copy.written = False\n"
        "psycopg.Copy.write = half\n"
        "bench.one()\n"
    )
    assert killed.wait(60) == -signal.SIGKILL
    until = time.monotonic() + 10
    while publishing.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") and time.monotonic() < until:
        time.sleep(0.05)  # the server has not noticed yet
    assert publishing.tables() == before
    assert publishing.one().rows == 40_000
    assert list(publishing.tables()) == ["consume.top"]


def test_a_lost_connection_is_told_as_one_that_can_be_tried_again(
    publishing: PublishBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from blocks.warehouse import replace

    publishing.put(numbers(3))
    publishing.one()
    publishing.put(numbers(4))

    def cut(connection: Any, *arguments: Any) -> None:
        publishing.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidegate'")

    monkeypatch.setattr(replace, "grant", cut)
    assert isinstance(publishing.refusal(), SourceUnavailable)
    monkeypatch.undo()
    assert publishing.one().rows == 4


def as_role(publishing: PublishBench, role: str, password: str = "pw") -> str:
    publishing.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    return publishing.url.replace(publishing.url.split("://")[1].split("@")[0], f"{role}:{password}")


def test_a_wrong_password_is_told_without_it(publishing: PublishBench, role: str) -> None:
    publishing.put(numbers(3))
    url = as_role(publishing, role, "right").replace(":right@", ":hunter2@")
    publishing.configure("consume/*", connection={"url": url})
    error = publishing.refusal()
    assert isinstance(error, ConfigError) and "authentication failed" in error.what
    assert "hunter2" not in str(error) and "publish.yaml" in error.next_step


def test_missing_rights_are_named_before_anything_is_written(publishing: PublishBench, role: str) -> None:
    publishing.put(numbers(3))
    url = as_role(publishing, role)
    publishing.configure("consume/*", connection={"url": url}, grants={f"{role}_nobody": ["select"]})
    error = publishing.refusal(dry_run=True)
    assert isinstance(error, ConfigError)
    assert f"there is no schema consume, and {role} may not make one" in error.what
    assert f"there is no role {role}_nobody" in error.what
    publishing.sql("CREATE SCHEMA consume")
    publishing.configure("consume/*", connection={"url": url})
    assert f"GRANT CREATE ON SCHEMA consume TO {role}" in publishing.refusal().what
    publishing.sql(f"GRANT CREATE, USAGE ON SCHEMA consume TO {role}")
    publishing.sql("CREATE TABLE consume.top (id int)")
    assert f"{role} may not replace it, as it belongs to postgres" in publishing.refusal().what
    publishing.sql("DROP TABLE consume.top")
    assert publishing.one().rows == 3


def test_one_table_that_fails_does_not_keep_the_others_back(publishing: PublishBench) -> None:
    from tasks.publish.collect_publish import collect_publish
    from tasks.publish.publish_one import plan_publishing, publish_one

    publishing.put(numbers(3))
    publishing.put("SELECT 'a' || chr(0) AS bad, 'x' AS fine", "consume/bi/broken")
    publishing.configure("consume/*", "staging/nowhere/*")
    placements = plan_publishing(publishing.project, None)

    class Later:
        def __init__(self, placement: Any) -> None:
            self.placement = placement

        def result(self) -> Any:
            return publish_one(publishing.config_dir, self.placement, "run")

    report = collect_publish(placements, map(Later, placements), "run", dry_run=False)
    assert report.state == "failed" and report.exit_code == 2
    broken, top, nowhere = report.tables
    assert "PostgreSQL cannot store the NUL character in text, and there is one in: bad (1 rows)" in str(broken.error)
    assert top.state is PublishState.DONE
    assert "there is no dataset 'staging/nowhere/*' in the lake" in str(nowhere.error)
    assert publishing.sql("SELECT count(*) FROM consume.top") == [(3,)]
    assert "consume.broken" not in publishing.tables()


def test_every_run_is_in_the_run_log(publishing: PublishBench) -> None:
    from blocks.run_records import read_run_records

    publishing.put(numbers(3))
    publishing.one()
    publishing.one()
    publishing.put("SELECT chr(0) AS bad")
    with pytest.raises(TidegateError):
        publishing.one()
    done, unchanged, failed = read_run_records(publishing.lake, ["warehouse.consume.top"])
    assert [one.state for one in (done, unchanged, failed)] == ["done", "unchanged", "failed"]
    assert (done.rows, done.inputs, done.job) == (3, ("consume/bi/top",), "publish")
    assert "NUL" in str(failed.error)
