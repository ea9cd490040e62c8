"""Adds a source to a project: tried out beside the configuration first, and written only if the whole is right."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas.config_model import Name
from schemas.config_problems import config_error
from schemas.dot_env import DOT_ENV, read_dot_env
from schemas.errors import Busy, ConfigError
from schemas.project import SOURCES_FILE, Project
from tidegate.scaffold.append_source import append_source
from tidegate.scaffold.source_block import SourceBlock, source_block

EXAMPLE = ".env.example"

_UNCHANGED = f"{SOURCES_FILE} is as it was."
_NOT_SET = re.compile(r"the environment variable (\w+) is not set")


@dataclass(frozen=True, slots=True)
class AddedSource:
    """A source that is in `sources.yaml` now.

    Attributes:
        file: Where.
        line: In which line its entry begins.
        variables: What has to be set for it, in the environment or in `.env`.
        missing: Those of them that are not.
        unchecked: Variables that are not set of entries that were there before: these were not checked again.
    """

    kind: str
    name: str
    file: Path
    line: int
    variables: tuple[str, ...]
    missing: tuple[str, ...]
    unchecked: tuple[str, ...]


def add_source(config_dir: Path, kind: str, name: str) -> AddedSource:
    """Append an entry to `sources.yaml`, and its variables to `.env.example` where they are not in there yet.

    Args:
        config_dir: The project's configuration.
        kind: One of `tidegate.scaffold.source_block.SOURCE_TYPES`.
        name: What the source is called.

    Raises:
        ConfigError: The name is taken or no name; or the configuration would be wrong with the entry, or is so
            without it. `sources.yaml` is as it was.
        Busy: Somebody changed `sources.yaml` at this moment.
    """
    _check_name(name)
    if not config_dir.is_dir():
        raise ConfigError(
            f"There is no configuration folder {config_dir.absolute()}.",
            state="Nothing was written.",
            next_step="Run it in the project's folder, or name the configuration with --config DIR; "
            "tidegate init NAME makes a project.",
        )
    file = Path(os.path.realpath(config_dir / SOURCES_FILE))  # of a link, what it leads to
    block = source_block(kind, name)
    before = _read(file)
    appended = append_source(before, block)
    folder = Path(os.path.abspath(config_dir)).parent  # noqa: PTH100 - as Project has it: a link's own parent
    missing = tuple(v for v in block.variables if v not in os.environ and v not in read_dot_env(folder))
    unchecked = _check(config_dir, folder, appended.text, block)
    _add_to_example(folder / EXAMPLE, block)
    _replace(file, before, appended.text)
    return AddedSource(kind, name, config_dir / SOURCES_FILE, appended.line, block.variables, missing, unchecked)


def _check_name(name: str) -> None:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        reason = error.errors()[0]["ctx"]["error"]
        raise ConfigError(
            f"{name!r} is no name for a source: it {reason}.", state=_UNCHANGED, next_step="Choose another name."
        ) from None


def _check(config_dir: Path, folder: Path, text: str, block: SourceBlock) -> tuple[str, ...]:
    """Refuse a configuration that would be wrong; return variables that kept parts of it from being checked."""
    problems = _problems(config_dir, folder, text, block)
    unset = dict.fromkeys(found[1] for line in problems if (found := _NOT_SET.search(line)))
    wrong = [line for line in problems if not _NOT_SET.search(line)]
    if unset and not wrong:  # then no entry was looked at: look at the new one at least
        wrong = _problems(config_dir, folder, f"sources:\n{block.text}", block, with_the_rest=False)
    if wrong:
        error = config_error(
            f"The configuration in {config_dir} is wrong, or would be with the new source",
            wrong,
            next_step="Correct what is named above, then run the same command again.",
        )
        error.state = _UNCHANGED
        raise error
    return tuple(unset)


def _problems(
    config_dir: Path, folder: Path, text: str, block: SourceBlock, *, with_the_rest: bool = True
) -> list[str]:
    """Return what is wrong with the configuration with this `sources.yaml`; the block's variables count as set."""
    for variable in block.variables:
        text = text.replace(f"${{{variable}}}", f"${{{variable}:-x}}")
    # In the project's folder: relative paths and .env are looked for from there.
    with _trial_folder(folder) as trial:
        for other in config_dir.glob("*.yaml") if with_the_rest else ():
            if other.is_file():
                shutil.copyfile(other, trial / other.name)
        (trial / SOURCES_FILE).write_bytes(text.encode())
        try:
            Project.load(trial)
        except ConfigError as error:
            lines = error.what.replace(str(trial), str(config_dir)).splitlines()
            return [line.strip() for line in lines[1:]] or lines
    return []


@contextmanager
def _trial_folder(folder: Path) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix=".tidegate-", dir=folder) as trial:
            yield Path(trial)
    except OSError as error:
        raise _cannot("work in", folder, error) from error


def _add_to_example(path: Path, block: SourceBlock) -> None:
    text = _read(path)
    lines = [
        f"{variable}=\n"
        for variable in block.variables
        if not re.search(rf"^\s*(export\s+)?{variable}\s*=", text, re.MULTILINE)
    ]
    if not lines:
        return
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{gap}# {block.name}, in config/{SOURCES_FILE}\n{''.join(lines)}")
    except OSError as error:
        raise _cannot("write", path, error) from error


def _replace(file: Path, before: str, after: str) -> None:
    """Put a text in the place of another, whole or not at all."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        new.write_bytes(after.encode())
        if file.exists():
            shutil.copymode(file, new)
        if _read(file) != before:
            raise Busy(
                f"{file} was changed by somebody else at this moment.",
                state=f"{file.name} is as they left it.",
                next_step="Run the same command again.",
            )
        new.replace(file)
    except OSError as error:
        raise _cannot("write", file, error) from error
    finally:
        new.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except OSError as error:
        raise _cannot("read", path, error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name}: must be UTF-8 text (byte {error.start} is not).",
            state=_UNCHANGED,
            next_step="Save it as UTF-8.",
        ) from None


def _cannot(do: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"Cannot {do} {path}: {error.strerror or error}.",
        state=_UNCHANGED,
        next_step="See to the rights of the file and its folder.",
    )


def dot_env_of(added: AddedSource) -> Path:
    """Return where the variables of a source may be set."""
    return added.file.absolute().parent.parent / DOT_ENV
