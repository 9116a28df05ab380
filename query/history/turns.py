"""Whose turn it is: one process may load, and DuckDB lets either it or readers have the file."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import HistoryBusy
from .database import History, open_for_loading, open_for_reading

READ_WAIT_S_MAX = 30.0
"""How long to wait for the file while another process has its turn, which takes 2 to 5 s."""
LOAD_WAIT_S_MAX = 3.0
"""How long to wait while other processes ask; a question that takes longer goes first."""
LOCK_WAIT_S_MAX = 1.0
"""How long to wait for the right to load: most loads are the last few entries."""
RETRY_S = 0.02


@contextmanager
def lock(path: Path) -> Iterator[str | None]:
    """Hold the right to load, or say why it cannot be had."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        yield None  # No such folder: the journal will say so.
        return
    except OSError as error:
        yield f"the history cannot be brought up to date ({error.strerror})"
        return
    try:
        yield None if _locked(handle) else "another process is loading the history"
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    deadline_s = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(RETRY_S)
        else:
            return True


def to_load(path: Path) -> History:
    """Open a history for loading as soon as nobody reads it. Raises HistoryBusy."""
    return _patiently(open_for_loading, path, LOAD_WAIT_S_MAX)


def to_read(path: Path) -> History:
    """Open a history for reading as soon as no batch is written. Raises HistoryBusy."""
    return _patiently(open_for_reading, path, READ_WAIT_S_MAX)


def _patiently(opened: Callable[[Path], History], path: Path, wait_s_max: float) -> History:
    """Open a history, trying again while another process has it. Raises HistoryBusy in the end."""
    deadline_s = time.monotonic() + wait_s_max
    while True:
        try:
            return opened(path)
        except HistoryBusy:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(RETRY_S)
