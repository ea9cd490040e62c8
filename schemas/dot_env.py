"""The file `.env` beside `config/`: values of variables that are not set in the environment, for `${NAME}` only."""

import re
from pathlib import Path

from schemas.errors import ConfigError

DOT_ENV = ".env"

_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
        (?: '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<bare>(?!['"]|(?<=\s)\#).*?) )
        (?:\s+\#.*)?""",
    re.VERBOSE,
)


def read_dot_env(folder: Path) -> dict[str, str]:
    """Return what the lines `NAME=value` of a project's `.env` say; nothing if there is no such file.

    `export` may stand in front, quotes around a value are taken off, and what follows a ` #` is a comment. Nothing in
    a value is expanded. The values go nowhere but into the configuration: no other program finds them in its
    environment.

    Args:
        folder: The project's folder.

    Raises:
        ConfigError: It cannot be read, or has a line of another form. The line is named by its number and never shown.
    """
    path = folder / DOT_ENV
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{DOT_ENV}: cannot be read from {folder}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{DOT_ENV}: must be UTF-8 text (byte {error.start} is not)") from None
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ConfigError(f"{DOT_ENV}: line {number}: must be NAME=value, with a quote at both ends or at none")
        values[found["name"]] = next(value for value in found.group("single", "double", "bare") if value is not None)
    return values
