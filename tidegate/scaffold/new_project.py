"""Writes a new project: a configuration that explains itself, and sample data that it runs on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError
from tidegate.scaffold.sample_data import write_sample_data

_TEMPLATES = Path(__file__).parent / "templates" / "project"
# What is called so in the templates would be taken at its word by other programs there.
_DOT = "dot_"


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project that was made just now: its folder, and its files, relative to it."""

    folder: Path
    files: tuple[Path, ...]


def new_project(folder: Path) -> NewProject:
    """Write a project into a folder, which is made if it is not there.

    Raises:
        ConfigError: There is something in the folder, or it cannot be written.
    """
    folder = folder.expanduser()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            kind = "is not empty" if folder.is_dir() else "is a file"
            raise ConfigError(
                f"{folder} {kind}; a new project needs a folder of its own.",
                state="Nothing was written.",
                next_step="Choose another name, or empty the folder.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        files = [*_from_templates(folder), *write_sample_data(folder / "data")]
    except OSError as error:
        raise ConfigError(
            f"The project cannot be written to {folder}: {error.strerror or error}.",
            state="It may be there in part.",
            next_step=f"See to the disk and the rights, remove {folder}, and run it again.",
        ) from error
    return NewProject(folder, tuple(sorted(file.relative_to(folder) for file in files)))


def _from_templates(folder: Path) -> Iterator[Path]:
    for template in sorted(_TEMPLATES.rglob("*")):
        if not template.is_file() or "__pycache__" in template.parts:
            continue
        place = template.relative_to(_TEMPLATES)
        name = f".{place.name.removeprefix(_DOT)}" if place.name.startswith(_DOT) else place.name
        file = folder / place.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            template.read_text(encoding="utf-8").replace("%name%", folder.absolute().name), encoding="utf-8"
        )
        yield file
