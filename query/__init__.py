"""The history: loads the journal into DuckDB and answers questions. It never talks to a pool.

`history` is the file, `load` brings the journal into it, `questions` are what it can be asked, and
`audit` judges runs by it; `commands`, `render` and `report` show the answers. `open_history` opens
it for notebooks and scripts.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .open import OpenHistory, notes_of, open_history

__all__ = ["OpenHistory", "notes_of", "open_history"]


def __getattr__(name: str) -> object:
    """Import late, so that `xentrail --help` stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import open as opening

    return getattr(opening, name)
