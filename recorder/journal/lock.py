"""The lock of a journal: one writer at a time, who leaves word of who it is."""

import contextlib
import os
from pathlib import Path

from ..errors import JournalLocked, JournalWriteFailed
from .files import Disk
from .names import LOCK
from .refusal import told

_HOLDER_BYTES_MAX = 200


def take_lock(folder: Path, disk: Disk) -> int:
    """Create `folder` where it is missing, lock it and return the descriptor that holds the lock.

    Raises JournalLocked, which names the holder, or JournalWriteFailed.
    """
    path = folder / LOCK
    try:
        disk.make_folder(folder)
        lock = disk.lock(path)
        if lock is not None:
            _leave_word(lock, disk)
            return lock
        holder = _holder(path, disk)
    except OSError as error:
        raise JournalWriteFailed(f"{folder} cannot be used as a journal: {told(error)}") from error
    raise JournalLocked(
        f"{holder} is writing to the journal in {folder}: stop it, or use another folder"
    )


def _leave_word(lock: int, disk: Disk) -> None:
    # Nothing depends on it, so that a full disk does not keep a recorder from starting.
    with contextlib.suppress(OSError):
        disk.truncate(lock, 0)
        disk.write_all(lock, f"process {os.getpid()} on {os.uname().nodename}\n".encode())


def _holder(path: Path, disk: Disk) -> str:
    with disk.open_read(path) as file:
        word = file.read(_HOLDER_BYTES_MAX).decode(errors="replace").strip()
    return word or "another process"
