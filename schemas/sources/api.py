"""Sources that are HTTP APIs: how one logs in, how pages follow each other, and where the records are in an answer."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from schemas.config_model import ConfigModel, Name, Seconds, Text, Timeout, WholeNumber
from schemas.extract_config import RAW, ExtractMode
from schemas.sources.raw_table import RawTable
from schemas.sources.schedule import Schedule

Params = dict[Text, str | int | float | bool]


def _url(url: str) -> str:
    if not url.startswith(("http://", "https://")) or any(c in "@#" or c.isspace() for c in url):
        raise ValueError("must start with https:// (or http://), with no login in it")
    return url.rstrip("/")


def _sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text or text != text.strip() or not text.isascii() or not text.isprintable():
        raise ValueError("must be printable ASCII that neither begins nor ends with a space or a line break")
    return secret


def _header(name: str) -> str:
    if not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name):
        raise ValueError("must be the name of a header, such as X-Api-Key")
    return name


Url = Annotated[Text, AfterValidator(_url)]
HeaderName = Annotated[Text, AfterValidator(_header)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_sendable)]
"""A secret that is sent in a header: what cannot be in one is found when the configuration is read."""


class BearerAuth(ConfigModel):
    """`Authorization: Bearer TOKEN`."""

    type: Literal["bearer"]
    token: HeaderSecret


class BasicAuth(ConfigModel):
    """A user and a password."""

    type: Literal["basic"]
    user: Text
    password: SecretStr


class ApiKeyAuth(ConfigModel):
    """A key in a header, or in the query."""

    type: Literal["api_key"]
    value: HeaderSecret
    header: HeaderName | None = None
    query: Text | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.query is None):
            raise ValueError("needs header or query, the name under which the key is sent, and not both")
        return self


class OAuthAuth(ConfigModel):
    """OAuth 2 client credentials; `send` says where they are sent: as a basic login, or in the body."""

    type: Literal["oauth"]
    token_url: Url
    client_id: Text
    client_secret: SecretStr
    scope: Text | None = None
    send: Literal["basic", "body"] = "basic"


Auth = Annotated[BearerAuth | BasicAuth | ApiKeyAuth | OAuthAuth, Field(discriminator="type")]


class PagePagination(ConfigModel):
    """Numbered pages; the first one without records is the last."""

    type: Literal["page"]
    param: Text = "page"
    first: WholeNumber = 1
    size_param: Text | None = None
    size: Annotated[WholeNumber, Field(ge=1)] | None = None


class OffsetPagination(ConfigModel):
    """So many records to be passed over: as many as came so far. The first page without records is the last.

    A page that is not full need not be the last one: servers give less than `limit` where they please.
    """

    type: Literal["offset"]
    param: Text = "offset"
    limit_param: Text = "limit"
    limit: Annotated[WholeNumber, Field(ge=1)] = 100


class CursorPagination(ConfigModel):
    """An answer says where the next page begins; without that, it is the last.

    `path` is where the cursor is in the answer (`meta.next_cursor`). Without a `param` (`param: null`), what is there
    is the URL of the next page.
    """

    type: Literal["cursor"]
    param: Text | None = "cursor"
    path: Text


class LinkPagination(ConfigModel):
    """The Link header names the next page (RFC 8288)."""

    type: Literal["link"]


Pagination = Annotated[
    PagePagination | OffsetPagination | CursorPagination | LinkPagination, Field(discriminator="type")
]


class ApiExtract(ConfigModel):
    """What is read each time.

    `full` stores what is there whenever it has changed; `incremental` asks, by the parameter `param`, for what is newer
    than the highest value of `key_column` so far, or than `start` the first time.
    """

    mode: ExtractMode = "full"
    key_column: Text | None = None
    param: Text | None = None
    start: str | int | None = None

    @model_validator(mode="after")
    def _incremental_needs_both(self) -> Self:
        if self.mode == "incremental" and (self.key_column is None or self.param is None):
            raise ValueError("needs key_column and param for mode incremental")
        return self


def _resource(path: str) -> str:
    if "://" in path or path.startswith("//") or any(c in "?#" or c.isspace() for c in path):
        raise ValueError("must be a path below the source's url, such as /orders; parameters go under params")
    return path


class ApiTable(RawTable):
    """A resource of an API.

    `records` is where the records are in an answer (`data.items`); by default the answer is the list, or the record.
    `key` are the columns that tell records apart: of records with the same key, readers see the newest one.
    """

    path: Annotated[Text, AfterValidator(_resource)]
    params: Params = Field(default_factory=dict)
    records: Text | None = None
    key: tuple[Text, ...] = ()
    pagination: Pagination | None = None
    extract: ApiExtract = ApiExtract()
    max_pages: Annotated[WholeNumber, Field(ge=1)] = 10_000


class ApiSource(ConfigModel):
    """An HTTP API that answers in JSON.

    Attributes:
        headers: Sent with every request; their values are taken for secrets.
        rate_limit: Requests a second, at most, for all tables of the source together.
        timeout_s: How long the server may be silent.
        retries: How often a request is made again, when that can help.
        max_answer_mb: How large one answer may be, unpacked; it is held in memory.
    """

    name: Name
    type: Literal["api"]
    enabled: bool = True
    schedule: Schedule | None = None
    url: Url
    auth: Auth | None = None
    headers: dict[HeaderName, HeaderSecret] = Field(default_factory=dict)
    rate_limit: Annotated[Seconds, Field(gt=0)] | None = None
    timeout_s: Timeout = 30.0
    retries: Annotated[WholeNumber, Field(ge=0)] = 5
    max_answer_mb: Annotated[WholeNumber, Field(ge=1)] = 64
    tables: Annotated[tuple[ApiTable, ...], Field(min_length=1)]

    @field_validator("url")
    @classmethod
    def _url_has_no_query(cls, url: str) -> str:
        if "?" in url:
            raise ValueError("must have no parameters in it; those of a table go under its params")
        return url

    @field_validator("tables")
    @classmethod
    def _tables_have_folders_of_their_own(cls, tables: tuple[ApiTable, ...]) -> tuple[ApiTable, ...]:
        twice = [name for name, n in Counter(table.name.casefold() for table in tables).items() if n > 1]
        if twice:
            raise ValueError(f"must not have the same name: {', '.join(twice)}")
        return tables

    def raw_dataset(self, table: RawTable) -> str:
        """Return where a table of this source lies in the lake."""
        return f"{RAW}/{self.name}/{table.folder}"
