"""Tables of databases go into the raw layer: as a whole or what is new, once, attested, and never changed."""

from ingest_bench import IngestBench

from schemas.ingest_report import TableState

ADA, BOB, EVE = (1, "Ada", "2026-01-01 10:00:00"), (2, "Bob", "2026-01-01 11:00:00"), (3, "Eve", "2026-01-01 12:00:00")


def test_a_table_is_read_as_a_whole_and_again_only_when_it_has_changed(crm: IngestBench) -> None:
    crm.put(ADA, BOB)
    first = crm.ingest()
    assert (first.state, first.mode, first.read, first.rows) == (TableState.DONE, "full", 2, 2)
    assert first.dataset == "raw/crm/customers"
    again = crm.ingest()
    assert (again.state, again.read, again.rows) == (TableState.UNCHANGED, 2, 0)
    crm.put((2, "Bob", "2026-01-02 11:00:00"), EVE)
    crm.bench.sql("DELETE FROM customers WHERE id = 1")
    assert crm.ingest().rows == 2
    assert crm.now() == [(2, "Bob"), (3, "Eve")]
    assert crm.history() == [(1, "Ada"), (2, "Bob"), (2, "Bob"), (3, "Eve")]
    crm.assert_sound()


def test_only_what_is_new_is_read_and_stored_once(crm: IngestBench) -> None:
    crm.configure(mode="incremental", key_column="changed_at", overlap="2 hours")
    crm.put(ADA, EVE)
    first = crm.ingest()
    assert (first.rows, first.since, first.watermark) == (2, None, first.watermark)
    assert first.watermark is not None and first.watermark.startswith("2026-01-01T12:00:00")
    crm.put(BOB, (4, "late", "2026-01-01 09:59:59"), (1, "Ada!", "2026-01-03 10:00:00"))
    second = crm.ingest()
    # Bob came late and within the overlap, Eve was read again; number 4 came too late.
    assert (second.read, second.rows) == (3, 2)
    assert crm.now() == [(1, "Ada!"), (2, "Bob"), (3, "Eve")]
    assert crm.ingest().state is TableState.UNCHANGED
    crm.assert_sound()
