"""A password is in no error, log record, output, manifest, report or process list, however hard it is to write."""

import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from service_bench import Bench

from blocks.dialects.postgresql.source_errors import redact
from schemas.errors import ConfigError, TidegateError

PASSWORD = "p@ss/w%rd:x#y?ü&z"
FORMS = (PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), "ss/w%rd", "w%rd", "ss%2Fw%25rd")


@pytest.fixture
def guarded(bench: Bench) -> Iterator[Bench]:
    """Rows, and a project that reaches them as a role with that password, percent-encoded in its URL."""
    bench.fill_orders(60)
    name = f"role_{secrets.token_hex(4)}"
    literal = psycopg.sql.Literal(PASSWORD).as_string()
    bench.sql(f"CREATE ROLE {name} LOGIN PASSWORD {literal}; GRANT SELECT, DELETE ON orders TO {name}")
    place = bench.url.split("@")[1]
    yield replace(bench, url=f"postgresql://{name}:{quote(PASSWORD, safe='')}@{place}")
    bench.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def silent(
    guarded: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Iterator[list[object]]:
    """Collects what a test wants looked through; log records, output and the lake are looked through anyway."""
    caplog.set_level(logging.DEBUG)
    told: list[object] = []
    yield told
    output = capfd.readouterr()
    told += [caplog.text, output.out, output.err, *guarded.records().values()]
    for text in told:
        assert not [form for form in FORMS if form in str(text)], text


def told_by(error: BaseException) -> list[object]:
    """Return all texts of an error and of those behind it, as loggers and tracebacks would print them."""
    texts: list[object] = []
    while error is not None:
        texts += [str(error), repr(error), error.args]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)  # type: ignore[assignment]
    return texts


def test_a_run_with_a_hard_password_works_and_tells_nobody(guarded: Bench, silent: list[object]) -> None:
    silent += [guarded.job(), repr(guarded.project), guarded.job().model_dump_json()]
    report = guarded.run()
    assert report.totals["deleted"] == 60
    silent += [report, report.as_json(), guarded.generations()]


def test_the_parts_of_a_connection_may_hold_a_hard_password_as_it_is(guarded: Bench, silent: list[object]) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(guarded.url)
    (guarded.folder / "password").write_text(PASSWORD)
    (guarded.config_dir / "sources.yaml").write_text(
        f"sources: [{{name: shop, type: postgresql, connection: {{host: {parts['host']}, port: {parts['port']}, "
        f"database: {parts['dbname']}, user: {parts['user']}, password_file: password}}}}]"
    )
    assert guarded.run().totals["deleted"] == 60
    silent.append(repr(guarded.project))


@pytest.mark.parametrize(
    ("old", "new"),
    [("/test_", "/no_such_"), (":{port}/", ":9/"), ("@127.0.0.1", "@no-such-host.invalid"), ("//role_", "//rule_")],
    ids=["database", "port", "host", "user"],
)
def test_errors_of_the_connection_do_not_show_it(guarded: Bench, silent: list[object], old: str, new: str) -> None:
    port = psycopg.conninfo.conninfo_to_dict(guarded.url)["port"]
    guarded.url = guarded.url.replace(old.format(port=port), new)
    guarded.configure()
    with pytest.raises(TidegateError) as caught:
        guarded.run()
    silent += told_by(caught.value)
    assert ":***@" in str(caught.value)


@pytest.mark.parametrize("written", [PASSWORD, "p@ss", "pa/ss@w", "pa%ss", "pa?ss", "pa#ss", "a@b@c"])
def test_a_url_whose_password_is_not_encoded_is_refused_without_showing_it(guarded: Bench, written: str) -> None:
    guarded.url = guarded.url.replace(quote(PASSWORD, safe=""), written)
    guarded.configure()
    with pytest.raises(ConfigError, match="malformed") as caught:
        guarded.run()
    assert "%40" in caught.value.next_step
    for text in told_by(caught.value):
        assert written not in str(text)
        assert not any(part in str(text) for part in ("p@ss", "pa/ss", "pa%ss", "pa?ss", "pa#ss", "b@c", "w%rd"))


def test_a_password_among_the_parameters_of_a_url_is_not_shown(guarded: Bench, silent: list[object]) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(guarded.url)
    guarded.url = (
        f"postgresql://127.0.0.1:{parts['port']}/no_such_db?user={parts['user']}&password={quote(PASSWORD, safe='')}"
    )
    guarded.configure()
    with pytest.raises(ConfigError) as caught:
        guarded.run()
    silent += told_by(caught.value)
    assert "password=***" in str(caught.value)


@pytest.mark.parametrize("password", [PASSWORD, "x", "plain-secret"])
def test_a_password_is_taken_out_of_any_text_that_a_driver_prints(password: str) -> None:
    encoded = quote(password, safe="")
    url = f"postgresql://shop:{encoded}@db.example:5432/shop"
    texts = [url, f"cannot reach {url}: refused", f"host=db.example password={encoded} user=shop"]
    if len(password) > 2:
        texts += [f"the password {password!r} is wrong", f"token {encoded}"]
    for text in texts:
        shown = redact(text, url)
        assert "***" in shown and f":{encoded}@" not in shown and f"={encoded}" not in shown
        assert len(password) < 3 or (password not in shown and encoded not in shown)


def test_errors_of_the_reader_do_not_show_it(guarded: Bench, silent: list[object]) -> None:
    guarded.configure(columns={"derive": {"odd": "1 / (id - 30)"}})
    report = guarded.failed_run()
    assert "division by zero" in str(report.windows[0].error)
    silent += [report, report.as_json()]


def test_errors_of_a_purge_do_not_show_it(guarded: Bench, silent: list[object], bench: Bench) -> None:
    bench.sql("CREATE TABLE parcel (id bigint REFERENCES orders); INSERT INTO parcel VALUES (7)")
    guarded.configure(purge={"mode": "delete", "references": "check"})
    report = guarded.failed_run()
    assert "parcel" in str(report.windows[0].error)
    silent += [report, report.as_json()]


RUN = """
import os, sys
from pathlib import Path
from service_bench import Bench
bench = Bench(os.environ["SHOP_URL"], Path(sys.argv[1]))
bench.configure(columns={"derive": {"slow": "pg_sleep(0.01)::text"}})
bench.run()
"""


def test_no_process_shows_it_among_its_arguments(guarded: Bench) -> None:
    path = os.pathsep.join([str(Path(__file__).parents[1] / "services"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "SHOP_URL": guarded.url}
    run = subprocess.Popen([sys.executable, "-c", RUN, str(guarded.folder)], env=environment)
    seen: set[str] = set()
    while run.poll() is None:
        for arguments in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # that process has ended
                seen.add(arguments.read_bytes().decode(errors="replace"))
        time.sleep(0.02)
    assert run.returncode == 0
    assert any("SELECT" in text or "COPY" in text or "idle" in text for text in seen), "no session of it was seen"
    assert not [text for text in seen for form in FORMS if form in text]
