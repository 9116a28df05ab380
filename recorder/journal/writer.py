"""Appending to one segment: a frame is on disk before anything else happens."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from ..errors import JournalWriteFailed
from .chain import CHAIN_RULES, header_chain, leaf_hash
from .files import Disk
from .frame import Flag, build
from .header import Header, pack_header
from .refusal import told
from .segment import Cursor, Seal

Pack = Callable[[object], bytes]

# What the system says when there is no room: the disk, the quota, or the largest file it allows.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFull(JournalWriteFailed):
    """The disk has no room; what did not fit was cut off again and the journal stays usable.

    `written` says how many drafts of the refused batch, counted from its start, are durable.
    """

    retryable = True

    def __init__(self, message: str, *, written: int = 0) -> None:
        super().__init__(message)
        self.written = written


class SegmentWriter:
    """The segment that is being written. Every OSError leaves as DiskFull or JournalWriteFailed.

    `tree` is that over all entries of the journal; `begun_ns` is when the first entry came here.
    """

    def __init__(
        self, path: Path, disk: Disk, fd: int, header: Header, *, size: int, chain: bytes
    ) -> None:
        self.path = path
        self.header = header
        self.size = size
        self.chain = chain
        self.next_seq = header.first_seq
        self.frames = 0
        self.tree = header.tree()
        self.begun_ns: int | None = None
        self._rule = CHAIN_RULES[header.format]
        self._disk = disk
        self._fd = fd

    @classmethod
    def create(cls, path: Path, disk: Disk, header: Header) -> "SegmentWriter":
        """Create the file with its header, durable under its name."""
        raw = pack_header(header)
        try:
            fd = disk.create(path)
        except OSError as error:
            raise _refused(path, error) from error
        writer = cls(path, disk, fd, header, size=0, chain=header_chain(raw))
        try:
            writer._put(raw)
            disk.sync_folder(path.parent)
        except BaseException as error:
            writer.close()
            if isinstance(error, DiskFull):
                writer._remove()
            if isinstance(error, OSError):
                raise JournalWriteFailed(
                    f"{path} could not be made durable: {told(error)}"
                ) from error
            raise
        return writer

    @classmethod
    def resume(cls, cursor: Cursor, disk: Disk) -> "SegmentWriter":
        """Go on writing where a rooted cursor ended."""
        assert cursor.tree is not None
        try:
            fd = disk.open_append(cursor.path)
        except OSError as error:
            raise JournalWriteFailed(f"{cursor.path} could not be opened: {told(error)}") from error
        writer = cls(cursor.path, disk, fd, cursor.header, size=cursor.offset, chain=cursor.chain)
        writer.next_seq, writer.frames = cursor.next_seq, cursor.frames
        writer.tree = cursor.tree
        if not writer.empty:
            writer.begun_ns = cursor.header.created_ns
        return writer

    @property
    def empty(self) -> bool:
        """Whether no entry was written to this segment yet."""
        return self.next_seq == self.header.first_seq

    def append(self, items: Sequence[bytes], *, at_ns: int) -> None:
        """Write packed entries as one frame and sync it; `at_ns` is the time now."""
        leaves = [leaf_hash(item) for item in items]
        self._write(items, leaves, Flag.DATA)
        self.tree.add(leaves)
        self.next_seq += len(items)
        self.frames += 1
        if self.begun_ns is None:
            self.begun_ns = at_ns

    def checkpoint(self, pack: Pack, note: str) -> None:
        """Write a frame with a signed checkpoint of all entries so far, and sync it."""
        self._write_one(pack(note), Flag.CHECKPOINT)

    def seal(self, pack: Pack, note: str) -> None:
        """Write the frame that ends this segment, with such a checkpoint, and sync it."""
        first, last = self.header.first_seq, self.next_seq - 1
        seal = Seal(first, last, last + 1 - first, self.frames, self.tree.root(), note)
        if self.header.format == 1:
            seal = replace(seal, note=None)  # It is sealed as it would have been then.
        self._write_one(pack(seal.item()), Flag.SEAL)

    def close(self) -> None:
        """Close the file as it is."""
        self._disk.close(self._fd)

    def _write_one(self, item: bytes, flags: Flag) -> None:
        self._write([item], [leaf_hash(item)], flags)

    def _write(self, items: Sequence[bytes], leaves: Sequence[bytes], flags: Flag) -> None:
        data, chain = build(
            items,
            leaves,
            flags=flags,
            first_seq=self.next_seq,
            before=self.chain,
            rule=self._rule,
        )
        self._put(data)
        self.chain = chain

    def _put(self, data: bytes) -> None:
        try:
            self._disk.write_all(self._fd, data)
        except OSError as error:
            if error.errno in _FULL:
                self._cut_back()
            raise _refused(self.path, error) from error
        try:
            self._disk.sync(self._fd)
        except OSError as error:
            # Never again on this file: the kernel calls the pages clean after a failed sync, so a
            # second one would succeed without having written anything.
            raise JournalWriteFailed(
                f"{self.path} could not be made durable: {told(error)}"
            ) from error
        self.size += len(data)

    def _cut_back(self) -> None:
        try:
            self._disk.truncate(self._fd, self.size)
        except OSError as error:
            raise JournalWriteFailed(f"{self.path} could not be cut back: {told(error)}") from error

    def _remove(self) -> None:
        try:
            self._disk.remove(self.path)
        except OSError as error:
            raise JournalWriteFailed(f"{self.path} could not be removed: {told(error)}") from error


def _refused(path: Path, error: OSError) -> JournalWriteFailed:
    if error.errno in _FULL:
        return DiskFull(f"there is no room left to write {path}: {told(error)}")
    return JournalWriteFailed(f"{path} could not be written: {told(error)}")
