"""What `sources.yaml` may say of an API: told by key where it is wrong, and never with its secrets."""

import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import ConfigError
from schemas.project import Project
from schemas.sources.api import ApiSource, CursorPagination


def load(folder: Path, **source: Any) -> ApiSource:
    (folder / "config").mkdir(exist_ok=True)
    entry = {"name": "shop", "type": "api", "url": "https://x/v1", "tables": [{"name": "t", "path": "/t"}], **source}
    (folder / "config/sources.yaml").write_text(yaml.safe_dump({"sources": [entry]}))
    (found,) = Project.load(folder / "config").sources
    assert isinstance(found, ApiSource)
    return found


def _is_shown(line: str) -> bool:
    return re.match("  #   |  # - name: rates", line) is not None


def test_the_shipped_example_of_an_api_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATES_TOKEN", "abc")
    shipped = (Path(__file__).parents[2] / "config/sources.yaml").read_text()
    lines = shipped.partition("  # An HTTP API that answers in JSON:\n")[2].splitlines()
    example = "\n".join(re.sub(r"^  # ", "  ", line) for line in takewhile(_is_shown, lines))
    (tmp_path / "config").mkdir()
    (tmp_path / "config/sources.yaml").write_text(f"sources:\n{example}\n")
    (source,) = Project.load(tmp_path / "config").sources
    assert isinstance(source, ApiSource)
    assert isinstance(source.tables[0].pagination, CursorPagination)
    assert (source.tables[0].extract.start, source.schedule) == ("2026-01-01", "0 2 * * *")


TABLE = {"name": "t", "path": "/t"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"url": "https://me:hunter2@x"}, "sources[shop].url: must start with https://"),
        ({"url": "ftp://x"}, "sources[shop].url: must start with https://"),
        ({"url": "https://x?key=hunter2"}, "sources[shop].url: must have no parameters in it"),
        ({"auth": {"type": "bearer", "token": "hunter2\n"}}, "sources[shop].auth.token: must be printable ASCII"),
        ({"auth": {"type": "bearer", "token": "hunter2é"}}, "sources[shop].auth.token: must be printable ASCII"),
        ({"auth": {"type": "api_key", "value": "hunter2"}}, "sources[shop].auth: needs header or query"),
        ({"auth": {"type": "api_key", "value": "hunter2", "header": "X Key"}}, "auth.header: must be the name of a"),
        ({"auth": {"type": "digest", "password": "hunter2"}}, "auth.type: must be one of bearer, basic, api_key"),
        ({"headers": {"X-Key": "hunter2\r\nX: y"}}, "sources[shop].headers.X-Key: must be printable ASCII"),
        ({"rate_limit": 0}, "sources[shop].rate_limit: "),
        ({"tables": [{**TABLE, "path": "https://y/t"}]}, "tables[t].path: must be a path below the source's url"),
        ({"tables": [{**TABLE, "path": "/t?key=hunter2"}]}, "tables[t].path: must be a path below the source's url"),
        ({"tables": [TABLE, {**TABLE, "name": "T"}]}, "sources[shop].tables: must not have the same name: t"),
        ({"tables": [{**TABLE, "extract": {"mode": "incremental"}}]}, "needs key_column and param for mode"),
        ({"tables": [{**TABLE, "pagination": {"type": "pages"}}]}, "pagination.type: must be one of page, offset,"),
        ({"schedule": "0 25 * * *"}, "sources[shop].schedule: must be a cron expression of five fields"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_key_and_without_secrets(tmp_path: Path, source: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, **source)
    assert told in refused.value.what
    assert "hunter2" not in str(refused.value) + repr(refused.value)
