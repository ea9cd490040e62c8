"""A pipeline: what a table of the staging or consume layer is built of, how, and what has to be true of it."""

from schemas.config_model import ConfigModel, Name


class Pipeline(ConfigModel):
    """A table that is built of others."""

    name: Name
