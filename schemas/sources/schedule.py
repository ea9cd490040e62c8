"""When a source is read by itself: a cron expression."""

from typing import Annotated

from pydantic import AfterValidator

Schedule = Annotated[str, AfterValidator(lambda text: text)]
