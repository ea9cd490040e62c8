"""What tells one way of building a table from another: if it changes, the table is built again."""

import hashlib
import json

from schemas.pipelines.checks import FitsModel
from schemas.pipelines.pipeline import Pipeline
from tasks.build.sql_text import SqlText
from tasks.build.user_code import source_of

# To be raised when the same configuration comes to mean other rows.
BUILD_VERSION = 1


def definition_digest(pipeline: Pipeline, sql: SqlText | None) -> str:
    """Return the SHA-256 of all that decides what a pipeline makes of the same inputs.

    Raises:
        ConfigError: A function or a model that it names cannot be imported.
    """
    models = [check.model for check in pipeline.quality_checks if isinstance(check, FitsModel)]
    named = {*pipeline.functions, *models, *([pipeline.model] if pipeline.model else [])}
    definition = {
        "version": BUILD_VERSION,
        "pipeline": pipeline.model_dump(mode="json", exclude={"description", "enabled"}),
        "sql": sql.sql if sql else None,
        "modules": {name: source_of(name, pipeline.label) for name in sorted(named)},
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
