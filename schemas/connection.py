"""How a source database is reached, and where its secret lies."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator

from schemas.config_model import ConfigModel, ProjectPath, Text, WholeNumber
from schemas.errors import ConfigError

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_PARTS = ("host", "port", "database", "user", "password", "password_file", "sslmode")


class Connection(ConfigModel):
    """One of three forms: a `url`; or `host`, `database` and the other parts; or the `block` that knows.

    No form of this model's text (`str`, `repr`, JSON, errors) shows a password or a URL.
    """

    url: SecretStr | None = None
    host: Text | None = None
    port: Annotated[WholeNumber, Field(ge=1, le=65535)] | None = None
    database: Text | None = None
    user: Text | None = None
    password: SecretStr | None = None
    password_file: ProjectPath | None = None
    sslmode: SslMode | None = None
    block: Text | None = None

    @field_validator("url")
    @classmethod
    def _url_has_a_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None:
            return None
        text = url.get_secret_value().strip()
        if not text:
            raise ValueError("must not be empty")
        if "://" not in text or any(c.isspace() for c in text):
            raise ValueError("must be a URL such as postgresql://user:password@host:5432/database")
        return SecretStr(text)

    @model_validator(mode="after")
    def _exactly_one_form(self) -> Self:
        parts = [part for part in _PARTS if getattr(self, part) is not None]
        forms = [form for form in ("url", "block") if getattr(self, form) is not None]
        if len(forms) + bool(parts) != 1:
            given = ", ".join(forms + parts) or "none of them"
            raise ValueError(
                f"must be one of three: url alone, block alone, or host, database and the other parts; given: {given}"
            )
        if parts:
            missing = [part for part in ("host", "database") if part not in parts]
            if missing:
                raise ValueError(f"needs {' and '.join(missing)} as well")
            if self.password is not None and self.password_file is not None:
                raise ValueError("must have password or password_file, not both")
        return self

    def secret_url(self, scheme: str = "postgresql") -> SecretStr:
        """Return the URL to connect with, every part percent-encoded; `password_file` is read now.

        Args:
            scheme: The URL's scheme when it is built from parts.

        Raises:
            ConfigError: The connection is a block, which only `blocks` can open, or the password file is unreadable.
        """
        if self.url is not None:
            return self.url
        if self.block is not None:
            raise ConfigError(f"The connection is the block {self.block!r}, which has to be loaded to know its URL.")
        password = self.password.get_secret_value() if self.password else self._password_from_file()
        login = quote(self.user or "", safe="")
        if password is not None:
            login += ":" + quote(password, safe="")
        host = self.host or ""
        # An IPv6 address stands in brackets; a socket's folder is percent-encoded like any other name.
        place = f"[{host}]" if ":" in host and not host.startswith("/") else quote(host, safe="")
        port = f":{self.port}" if self.port is not None else ""
        query = f"?sslmode={self.sslmode}" if self.sslmode else ""
        at = "@" if login else ""
        return SecretStr(f"{scheme}://{login}{at}{place}{port}/{quote(self.database or '', safe='')}{query}")

    def _password_from_file(self) -> str | None:
        if self.password_file is None:
            return None
        password = _first_line(self.password_file)
        if not password:
            raise ConfigError(
                f"The password file {self.password_file} is empty.", next_step="Write the password on its first line."
            )
        return password


def _first_line(path: Path) -> str:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        # Its message quotes bytes of the password.
        reason = "it is not UTF-8 text"
    else:
        return text.splitlines()[0] if text else ""
    raise ConfigError(
        f"The password file {path} cannot be read: {reason}.",
        next_step="Put the password there, readable by this user, or correct password_file in sources.yaml.",
    )
