"""Which folder a command works in."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import Config

DEFAULT_DATA = Path("xentrail-data")
"""Where a recorder writes, and a question looks, unless another folder is named."""

DATA_VARIABLE = "XENTRAIL_DATA"

DEMO_MARKER = ".xentrail-demo"
"""Marks a folder that a demo left behind: the next demo sweeps it away, a recorder refuses it."""


def data_folder(option: Path | None, config: "Config | None" = None) -> Path:
    """Return the folder of the option or its variable, else that of the configuration."""
    if option is not None:
        return option
    return config.data if config is not None and config.data is not None else DEFAULT_DATA
