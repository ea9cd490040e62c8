"""Every kind of source that `sources.yaml` can name, told apart by `type`."""

from typing import Annotated

from pydantic import Field

from schemas.config import Source
from schemas.extract_config import ExtractTable
from schemas.sources.api import ApiSource, ApiTable
from schemas.sources.files import FilesSource, FileTable, SftpSource

AnySource = Source | FilesSource | SftpSource | ApiSource
AnyTable = ExtractTable | FileTable | ApiTable
SourceEntry = Annotated[AnySource, Field(discriminator="type")]
