"""The folder that a demo works in and leaves behind: a project with its configuration, lake and Prefect records."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import ConfigError

_MARK = "made-by-tidegate-demo"
_EXAMPLE = Path(__file__).parents[2] / "config"
_SHOP = Path(__file__).parent / "shop" / "project"

# Everything but the time zone is as in the example: months of flights begin at midnight in New York.
_SETTINGS = """\
lake: ./lake
timezone: America/New_York
"""


def flights_workplace(folder: Path) -> bool:
    """Make `folder` anew, with a copy of the example configuration in `folder/config`; see `_fresh`."""
    if not _EXAMPLE.is_dir():
        raise ConfigError(
            f"There is no example configuration {_EXAMPLE} to run the demo with.",
            next_step="Run the demo in a clone of the repository: make demo",
        )
    files = {f"config/{name}": (_EXAMPLE / name).read_text() for name in ("sources.yaml", "archives.yaml")}
    return _fresh(folder, {**files, "config/settings.yaml": _SETTINGS})


def shop_workplace(folder: Path) -> bool:
    """Make `folder` anew, with a copy of the shop's project in it; see `_fresh`."""
    found = sorted(path for path in _SHOP.rglob("*") if path.suffix in {".yaml", ".sql"})
    return _fresh(folder, {str(path.relative_to(_SHOP)): path.read_text() for path in found})


def _fresh(folder: Path, files: Mapping[str, str]) -> bool:
    """Make `folder` anew, with these files in it.

    Returns:
        Whether an earlier demo was there, which is gone now.

    Raises:
        ConfigError: There is something in the folder that no demo put there.
    """
    earlier = (folder / _MARK).exists()
    if earlier:
        shutil.rmtree(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is there already, and no demo made it.",
            state="Nothing in it was touched.",
            next_step="Name a folder that is new: tidegate demo --folder DIR",
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("The next demo removes this folder.\n")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return earlier
