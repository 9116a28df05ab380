"""What `xentrail record` does, without what parses a command line."""

from functools import partial
from pathlib import Path

import msgspec

from .. import logs
from ..config import Config, Reading, load, read
from ..errors import ConfigError
from ..folders import DEMO_MARKER, data_folder
from . import daemon, process


def record_until_stopped(config: Path, data: Path | None) -> None:
    """Record what the file says until a signal comes. Raises XentrailError.

    `data` is the folder that was named, if one was.
    """
    loaded = load(config)
    folder = data_folder(data, loaded)
    if (folder / DEMO_MARKER).exists():
        raise ConfigError(
            f"{folder} holds what a demo left behind;"
            " delete it, or choose another folder with --data"
        )
    logs.to_stderr()

    def reread() -> Reading:
        again = read(config)
        mistakes = tuple(f"{config}: {text}" for text in again.mistakes)
        return Reading(_in(again.config, data_folder(data, again.config)), mistakes)

    process.run(partial(daemon.serve, _in(loaded, folder), folder, reread=reread))


def _in(config: Config, folder: Path) -> Config:
    """Return a configuration with the folder that is really used, whichever way it was named."""
    return msgspec.structs.replace(config, data=folder)
