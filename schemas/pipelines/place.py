"""Which table of the lake is meant: `raw.shop.orders`, or `{layer: raw, domain: shop, table: orders}`."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator, model_validator

from schemas.archive_options import safe_folder
from schemas.config_model import ConfigModel
from schemas.config_problems import did_you_mean

Layer = Literal["raw", "staging", "consume"]
LAYERS = ("raw", "staging", "consume")
USE_CASES = ("bi", "ml", "llm", "exports")
# What the lake calls its views beside the tables, in any case of letters.
_OF_THE_LAKE = ("__history", "__quarantine")


def _one_folder(name: str) -> str:
    taken = next((ending for ending in _OF_THE_LAKE if name.casefold().endswith(ending)), None)
    if taken is not None:
        raise ValueError(f"must not end in {taken}, which the lake's own views do")
    return safe_folder(name.replace("/", "?"))


Folder = Annotated[str, AfterValidator(_one_folder)]


class TablePlace(ConfigModel):
    """A table of a layer.

    Attributes:
        layer: `raw`, `staging` or `consume`.
        domain: Of the raw layer the source's name; of the consume layer the use case, which may be called so.
        table: The table's folder.
    """

    layer: Layer
    domain: Folder
    table: Folder

    @model_validator(mode="before")
    @classmethod
    def _use_case_is_a_domain(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "use_case" not in given:
            return given
        if "domain" in given:
            raise ValueError("must have a domain or a use_case, not both")
        if given.get("layer") != "consume":
            raise ValueError("has a use_case, which only tables of the layer consume have; name its domain")
        return {"domain" if key == "use_case" else key: value for key, value in given.items()}

    @field_validator("domain")
    @classmethod
    def _use_cases_are_known(cls, domain: str, info: ValidationInfo) -> str:
        if info.data.get("layer") == "consume" and domain not in USE_CASES:
            hint = did_you_mean(domain, USE_CASES)
            raise ValueError(f"must be one of {', '.join(USE_CASES)} in the layer consume{hint}")
        return domain

    @classmethod
    def parse(cls, text: str, layer: str | None = None) -> Self:
        """Read `layer.domain.table`, or `domain.table` of a given layer. The table's name may hold dots.

        Raises:
            ValueError: It is none of these; it says what would be right.
        """
        parts = text.strip().split(".", 2 if layer is None else 1)
        if len(parts) != (3 if layer is None else 2) or not all(parts):
            example = "layer.domain.table, such as raw.shop.orders" if layer is None else "domain.table: shop.orders"
            raise ValueError(f"must be {example}")
        first, domain, table = parts if layer is None else (layer, *parts)
        if first not in LAYERS:
            raise ValueError(f"must start with a layer: {', '.join(LAYERS)}{did_you_mean(first, LAYERS)}")
        try:
            _one_folder(domain), _one_folder(table)
        except ValueError as error:
            raise ValueError(f"must name folders of the lake: each {error}") from error
        if first == "consume" and domain not in USE_CASES:
            raise ValueError(f"must name a use case after consume: {', '.join(USE_CASES)}")
        return cls.model_validate({"layer": first, "domain": domain, "table": table})

    @property
    def dataset(self) -> str:
        """Where it lies in the lake."""
        return f"{self.layer}/{self.domain}/{self.table}"

    def __str__(self) -> str:
        return f"{self.layer}.{self.domain}.{self.table}"


def _from_text(value: object) -> object:
    return TablePlace.parse(value) if isinstance(value, str) else value


def _is_built(place: TablePlace) -> TablePlace:
    if place.layer == "raw":
        raise ValueError("must be in the layer staging or consume: what is in raw comes from sources")
    return place


AnyTable = Annotated[TablePlace, BeforeValidator(_from_text)]
"""A table that is read."""

BuiltTable = Annotated[AnyTable, AfterValidator(_is_built)]
"""A table that is built."""
