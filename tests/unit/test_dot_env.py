"""`.env`: what it gives to the configuration, and that it gives away nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.dot_env import read_dot_env
from schemas.errors import ConfigError
from schemas.project import Project

SOURCES = "sources: [{name: s, type: mysql, connection: {host: h, database: d, password: '${PW}'}, tables: [t]}]\n"


def project(folder: Path, dot_env: str) -> Path:
    (folder / "config").mkdir()
    (folder / "config/sources.yaml").write_text(SOURCES)
    (folder / ".env").write_bytes(dot_env.encode())
    return folder / "config"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("PW=hunter2", "hunter2"),
        ("export PW=hunter2", "hunter2"),
        ("  PW = hunter2  ", "hunter2"),
        ("PW='a b # c'  # why", "a b # c"),
        ('PW="a\'$b\\n"', "a'$b\\n"),
        ("PW=a#b # c", "a#b"),
        ("PW=#a", "#a"),
        ("PW= # none", ""),
        ("PW=", ""),
        ("PW=it's=so", "it's=so"),
        ("PW=${OTHER}", "${OTHER}"),
        ("\ufeff# a comment\r\n\r\nPW=hunter2\r\n", "hunter2"),
        ("PW=one\nPW=two", "two"),
    ],
)
def test_a_line_gives_a_variable_its_value_as_it_stands(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_bytes(line.encode())
    assert read_dot_env(tmp_path) == {"PW": value}


def test_variables_come_from_dot_env_and_the_environment_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_dir = project(tmp_path, "PW=from-the-file\n")
    monkeypatch.delenv("PW", raising=False)

    def password() -> str:
        secret = Project.load(config_dir).database("s").connection.password
        assert secret is not None
        return secret.get_secret_value()

    assert password() == "from-the-file"
    assert "PW" not in os.environ
    monkeypatch.setenv("PW", "from-the-environment")
    assert password() == "from-the-environment"


@pytest.mark.parametrize("line", ["PW", "PW='hunter2", "PW 'hunter2'", "1PW=hunter2", "PW='hunter2'x", "hunter2?=a"])
def test_a_line_of_another_form_is_named_once_by_its_number_and_not_shown(tmp_path: Path, line: str) -> None:
    config_dir = project(tmp_path, f"# first\n{line}\n")
    (config_dir / "settings.yaml").write_text("timezone: UTC\n")
    with pytest.raises(ConfigError) as caught:
        Project.load(config_dir)
    assert caught.value.what.count(".env: line 2: must be NAME=value") == 1
    assert "hunter2" not in str(caught.value)


def test_a_dot_env_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"\.env: cannot be read from .*: Is a directory"):
        read_dot_env(tmp_path)
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").write_bytes(b"PW=\xff")
    with pytest.raises(ConfigError, match=r"\.env: must be UTF-8 text \(byte 3 is not\)"):
        read_dot_env(tmp_path)


def test_modules_in_the_projects_folder_can_be_imported_and_hide_none(tmp_path: Path) -> None:
    config_dir = project(tmp_path, "PW=x\n")
    (tmp_path / "gate_of_its_own.py").write_text("MODEL = 1\n")
    for taken in ("wave", "openpyxl"):  # of the standard library, and installed; imported by nothing so far
        (tmp_path / f"{taken}.py").write_text("raise RuntimeError('the wrong one')\n")
    code = (
        f"from schemas.project import Project; Project.load({str(config_dir)!r})\n"
        "import gate_of_its_own, wave, openpyxl; print(gate_of_its_own.MODEL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path.parent)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr
