"""The lake of a project, for commands that know no source: they need settings.yaml only, and no Prefect."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.lake import Lake
from blocks.ledger import Ledger, datasets
from blocks.open_lake import open_lake
from schemas.config import Archive, Settings
from schemas.config_file import read_config_file
from schemas.config_model import PROJECT_FOLDER
from schemas.config_problems import did_you_mean
from schemas.errors import ConfigError
from schemas.project import ARCHIVES_FILE, Project
from tidegate.show.log_lines import show_log_lines
from tidegate.show.output import Output


@dataclass(frozen=True, slots=True)
class ProjectLake:
    """A lake, and the settings that it comes from."""

    lake: Lake
    settings: Settings
    config_dir: Path

    def dataset(self, name: str) -> str:
        """Return the dataset that `name` means: that of the archive called so, or else the dataset itself.

        The archive need not be in archives.yaml any more: the lake remembers it. Nothing is asked of sources.yaml,
        whose variables may not be set where the lake is only read.

        Raises:
            ConfigError: The lake holds nothing of that name.
        """
        known = datasets(self.lake)
        configured = self._configured(name)
        for candidate in (configured, name):
            if candidate in known:
                return candidate
        for dataset in known:
            if Ledger(self.lake, dataset).generations()[-1].manifest.archive == name:
                return dataset
        if configured is not None:
            raise ConfigError(
                f"Nothing of {name} is in the lake {self.lake.url} (folder {configured}).",
                state="No source and no lake was touched.",
                next_step=f"tidegate archive {name} puts it there.",
            )
        raise ConfigError(
            f"There is no archive and no dataset {name!r} in the lake {self.lake.url}"
            f"{did_you_mean(name, known) or '.'} Datasets: {', '.join(known) or 'none'}.",
            state="No source and no lake was touched.",
            next_step="Name one of them; tidegate status lists them.",
        )

    def _configured(self, name: str) -> str | None:
        try:
            entries = read_config_file(self.config_dir / ARCHIVES_FILE, "archives").get("archives")
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and entry.get("name") == name:
                    context = {PROJECT_FOLDER: self.config_dir.parent}
                    return Archive.model_validate(entry, context=context).resolved_folder
        except (ConfigError, ValueError):
            return None  # it is the archive command's business to say what is wrong with it
        return None


@contextmanager
def project_lake(output: Output, config_dir: Path, *, must_exist: bool = True) -> Iterator[ProjectLake]:
    """Open the lake of a project for as long as the block runs.

    Args:
        output: Where log lines go.
        config_dir: The project's configuration.
        must_exist: Whether a lake that is not there is an error, and not one in which there is nothing yet.

    Raises:
        ConfigError: settings.yaml is wrong, or the lake is not where it says.
        LakeError: The lake cannot be read.
    """
    settings = Project.load_settings(config_dir)
    with ExitStack() as stack:
        if settings.lake.startswith("block:"):
            from tidegate.local_prefect import prefect

            # The one case in which a command that only reads needs Prefect.
            stack.enter_context(prefect(on_import=lambda: show_log_lines(output)))()
        else:
            show_log_lines(output)
        lake = open_lake(settings.lake, settings.temp_dir)
        if must_exist:
            lake.check(write=False)
        yield ProjectLake(lake, settings, config_dir)
