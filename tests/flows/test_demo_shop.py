"""`tidegate demo shop`: from real servers through three layers into PostgreSQL, and the next day only what is new."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from service_demo import PROGRAM, environment, processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RAW = {
    "shop customers": 500, "shop products": 120, "shop orders": 4_000, "shop order_items": 9_889,
    "partners shipments": 1_780, "partners reviews": 300, "partners suppliers": 12, "partners costs": 120,
    "partners stock": 120, "bank rates": 244,
}  # fmt: skip
PUT_ASIDE = {
    "staging/sales/customers": (3, "regex(email"),
    "staging/sales/orders": (4, "foreign_key(customer_id"),
    "staging/sales/order_items": (2, "range(quantity"),
    "staging/catalog/stock": (1, "range(pieces"),
    "staging/service/shipments": (2, "expression(came_after_it_left)"),
    "staging/service/reviews": (2, "range(rating"),
}


def test_the_shop_flows_through_all_layers_and_only_what_is_new_on_the_next_day(place: Path) -> None:
    demo = subprocess.run(
        [PROGRAM, "demo", "shop"],
        cwd=place,
        env={**environment(place), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=840,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert not processes_of(place)
    assert not list(place.glob("tidegate-*/*"))
    said = demo.stdout
    for name, rows in RAW.items():
        source, table = name.split()
        assert re.search(rf"^  {source} +{table} +done .* {rows:,} +{rows:,} ", said, re.MULTILINE), name
    assert len(re.findall(r"^  \w+ +staging\.\S+ +done", said, re.MULTILINE)) == 9
    assert len(re.findall(r"^  \w+ +consume\.\S+ +done", said, re.MULTILINE)) == 7
    for table, (rows, why) in PUT_ASIDE.items():
        assert re.search(rf"^  {table} +{rows} +{re.escape(why)}", said, re.MULTILINE), table
    assert len(re.findall(r"^  warehouse +(raw|staging|consume)/\S+ +\1\.\w+ +done", said, re.MULTILINE)) == 27

    again, _, morning = said.partition("The same again")[2].partition("The next morning")
    assert re.findall(r"^  (ingest|run --all|publish) +nothing new$", again, re.MULTILINE) == [
        "ingest", "run --all", "publish",
    ]  # fmt: skip
    assert re.search(r"^  ingest +shop\.orders 25, shop\.order_items 63$", morning, re.MULTILINE)
    assert re.search(r"^  run --all .*staging/sales/orders 25, staging/sales/order_items 63,", morning, re.MULTILINE)
    assert "raw.orders 4,025" in morning

    suggested = [line for line in said.splitlines() if line.startswith("  ") and "--config" in line]
    tried = suggested[suggested.index(next(line for line in suggested if " catalog" in line)) :]
    assert [shlex.split(line)[1] for line in tried] == ["catalog", "catalog", "lineage", "query"]
    for line in tried:
        done = subprocess.run(
            shlex.split(line), cwd=place, env=environment(place), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, line + done.stdout + done.stderr
    assert "ES" in done.stdout
