"""The ground that every configuration model stands on: frozen, strict about keys, silent about secrets."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

PROJECT_FOLDER = "project_folder"
"""Key of the validation context that holds the folder which relative paths start from."""


class ConfigModel(BaseModel):
    """A frozen model that refuses unknown keys and never repeats its input in an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
        # "nan" and "inf" are floats to pydantic, and no limit or pause can be either.
        allow_inf_nan=False,
    )


def in_project(text: str, info: ValidationInfo) -> Path:
    """Return `text` as a path: `~` expanded, and counted from the project folder if one is in the context.

    Raises:
        ValueError: The text is empty, or the home folder is not known.
    """
    if not text.strip():
        raise ValueError("must not be empty")
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError("starts with ~, but the home folder cannot be found") from error
    if info.context and PROJECT_FOLDER in info.context:
        path = Path(os.path.normpath(Path(info.context[PROJECT_FOLDER]) / path))
    return path


def _named(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ValueError("must be lower-case letters, digits, _ and -, starting with a letter or a digit")
    return name


def _not_a_bool(value: object) -> object:
    # YAML reads `yes` and `on` as true, and pydantic would take true for the number 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


def _path_text(value: object) -> object:
    # Path("") is the current folder: the empty text has to be seen before it becomes a path.
    if value == "":
        raise ValueError("must not be empty")
    return value


def _resolved(path: Path, info: ValidationInfo) -> Path:
    return in_project(str(path), info)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Name = Annotated[str, AfterValidator(_named)]
"""The name of a source or an archive, fit for a command line, a file name and a metric label."""

Text = Annotated[str, AfterValidator(_not_blank)]
"""Text that says something."""

WholeNumber = Annotated[int, BeforeValidator(_not_a_bool)]
Seconds = Annotated[float, BeforeValidator(_not_a_bool)]
Timeout = Annotated[Seconds, Field(ge=0.001)]
"""Seconds, at least the one millisecond below which databases read "no timeout"."""

ProjectPath = Annotated[Path, BeforeValidator(_path_text), AfterValidator(_resolved)]
"""A path: `~` expanded, and counted from the project folder when a project is loaded."""
