"""A publication: tables of the lake that are copied to where others read them."""

from schemas.config_model import ConfigModel, Name


class Publication(ConfigModel):
    """Tables that are published to one place."""

    name: Name
