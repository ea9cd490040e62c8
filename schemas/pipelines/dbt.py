"""A dbt project that is built beside the pipelines, or in their place."""

from pydantic import Field, JsonValue

from schemas.config_model import ConfigModel, Name, ProjectPath, Text

PIPELINE = "dbt"
"""Names the whole project where pipelines are named."""

PREFIX = f"{PIPELINE}."
"""What the names of models start with where pipelines are named; no pipeline's own name holds a dot."""


class DbtProject(ConfigModel):
    """A dbt project that reads the lake's tables as views. Its models of the staging and consume layers are stored.

    Attributes:
        project: Its folder, where its `dbt_project.yml` is.
        target: What `target.name` is in its Jinja; it changes nothing else.
        vars: dbt's variables, which stand before those of `dbt_project.yml`.
    """

    project: ProjectPath
    target: Name = "tidegate"
    vars: dict[Text, JsonValue] = Field(default_factory=dict)
