"""The folder that a demo works in and leaves behind: a project with its configuration, lake and Prefect records."""

import shutil
from pathlib import Path

from schemas.errors import ConfigError

_MARK = "made-by-tidegate-demo"
_EXAMPLE = Path(__file__).parents[2] / "config"

# Everything but the time zone is as in the example: months of flights begin at midnight in New York.
_SETTINGS = """\
lake: ./lake
timezone: America/New_York
"""


def fresh_workplace(folder: Path) -> bool:
    """Make `folder` anew, with a copy of the example configuration in `folder/config`.

    Returns:
        Whether an earlier demo was there, which is gone now.

    Raises:
        ConfigError: There is something in the folder that no demo put there, or no example configuration to copy.
    """
    if not _EXAMPLE.is_dir():
        raise ConfigError(
            f"There is no example configuration {_EXAMPLE} to run the demo with.",
            next_step="Run the demo in a clone of the repository: make demo",
        )
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
    config = folder / "config"
    config.mkdir()
    for name in ("sources.yaml", "archives.yaml"):
        shutil.copyfile(_EXAMPLE / name, config / name)
    (config / "settings.yaml").write_text(_SETTINGS)
    return earlier
