"""The key of the digests that stand in a journal for secrets, and the file it is kept in.

It is 32 random bytes, in hex, in `redaction.key` beside the key that signs. Whoever has it can try
out which secret a digest stands for; without it the journal cannot say which digests are equal to
new ones. Nothing else in a journal depends on it.
"""

from pathlib import Path

from ..errors import JournalError, JournalWriteFailed
from .files import Disk

NAME = "redaction.key"
KEY_BYTES = 32
_NEXT_NAME = "redaction.key.new"
_REMEDY = (
    "put it back from a backup, or move it away: the recorder then makes a new one, whose digests"
    " are not comparable with those before"
)


def load_or_create(folder: Path, disk: Disk) -> bytes:
    """Return the key in `folder`, made there if there is none, durable and for its owner only.

    The caller holds the lock of the journal. Raises JournalError if there is one that cannot be
    used, JournalWriteFailed.
    """
    key = load(folder, disk)
    if key is not None:
        return key
    path = folder / NAME
    try:
        return _create(path, disk)
    except OSError as error:
        raise JournalWriteFailed(f"{path} could not be created: {error}") from error


def load(folder: Path, disk: Disk) -> bytes | None:
    """Return the key in `folder`, None if there is none. Raises JournalError if it is no use."""
    path = folder / NAME
    try:
        return _read(path, disk) if NAME in disk.names(folder) else None
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error


def _read(path: Path, disk: Disk) -> bytes:
    if (mode := disk.mode(path)) & 0o077:
        raise JournalError(
            f"{path} can be read by others (its mode is {mode:04o}): run chmod 600 {path}"
        )
    with disk.open_read(path) as file:
        text = file.read(2 * KEY_BYTES + 2)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""  # not chained: the text of the error may hold the key
    if len(key) != KEY_BYTES:
        raise JournalError(f"{path} is damaged: it is not {KEY_BYTES} bytes in hex: {_REMEDY}")
    return key


def _create(path: Path, disk: Disk) -> bytes:
    """Write a key under another name first: no crash leaves half a key."""
    folder, new = path.parent, path.parent / _NEXT_NAME
    disk.make_folder(folder, 0o700)
    key = disk.fresh_seed()
    disk.write_file(new, [f"{key.hex()}\n".encode()], 0o600)
    disk.rename(new, path)
    disk.sync_folder(folder)
    return key
