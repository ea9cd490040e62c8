"""How `make` gets its environment on machines that have little more than Python."""

import hashlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci/create_venv.py"


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a package index serves: its page of pip, and the files beside it."""
    folder = tmp_path / "simple/pip"
    folder.mkdir(parents=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        yield folder
        server.shutdown()


def offer(index: Path, name: str, content: bytes) -> None:
    (index / name).write_bytes(content)
    (index / "index.html").write_text(f'<a href="../pip/{name}#sha256=0">{name}</a>')


def test_python_that_is_too_old_is_told_so_before_anything_is_made(tmp_path: Path) -> None:
    old = f"import sys; sys.version_info = (3, 9); sys.argv = ['x', {str(tmp_path / 'venv')!r}]; " \
          f"exec(compile(open({str(SCRIPT)!r}).read(), 'x', 'exec'))"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr
    assert "PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_pip_of_another_content_is_not_run(index: Path, tmp_path: Path, script: dict[str, Any]) -> None:
    offer(index, script["PIP_WHEEL"], b"not pip")
    with pytest.raises(SystemExit, match="SHA-256"):
        script["fetch_pip"](tmp_path)
    assert not (tmp_path / script["PIP_WHEEL"]).exists()


def test_pip_that_is_the_expected_one_is_fetched(index: Path, tmp_path: Path, script: dict[str, Any]) -> None:
    offer(index, script["PIP_WHEEL"], b"pip, as far as this test goes")
    script["fetch_pip"].__globals__["PIP_SHA256"] = hashlib.sha256(b"pip, as far as this test goes").hexdigest()
    assert script["fetch_pip"](tmp_path).read_bytes() == b"pip, as far as this test goes"


def test_index_without_that_pip_is_named(index: Path, tmp_path: Path, script: dict[str, Any]) -> None:
    offer(index, "pip-1.0.tar.gz", b"")
    with pytest.raises(SystemExit, match="does not offer pip-"):
        script["fetch_pip"](tmp_path)
