"""One file of a MemoryDisk: what readers see, what the disk has, and what is on the way to it.

The model is that of a page cache over sectors. A write changes what is seen at once and the disk
at any later time, sector by sector and in any order, until a sync makes them agree. The length is
on the way as well, apart from the bytes: so blocks that were never written get into a file.
"""

from collections.abc import Callable
from random import Random

SECTOR_BYTES = 512

Garbage = Callable[[int], bytes]
"""Returns what a sector of a file may hold that was never written; it may be short or empty."""


class MemoryFile:
    """The bytes of one file, whatever its name."""

    __slots__ = ("_lost", "_on_disk", "_sizes", "_versions", "mode", "seen")

    def __init__(self, content: bytes = b"", mode: int = 0o640) -> None:
        self.mode = mode
        self.seen = bytearray(content)
        self._on_disk = bytes(content)
        self._versions: dict[int, list[bytes]] = {}  # by dirty sector, all it held since the sync
        self._sizes: list[int] = []  # all lengths since the sync, the disk's own left out
        self._lost = False

    @property
    def durable(self) -> bytes:
        """What a power cut leaves at least, as far as nothing on the way lies over it."""
        return self._on_disk

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` at `offset`, for readers at once and for the disk some time."""
        end = offset + len(data)
        self.seen.extend(bytes(max(0, end - len(self.seen))))
        self.seen[offset:end] = data
        self._touch(offset, end)

    def truncate(self, size: int) -> None:
        """Set the length, for readers at once and for the disk some time."""
        before = len(self.seen)
        del self.seen[size:]
        self.seen.extend(bytes(max(0, size - before)))
        self._touch(min(size, before), max(size, before))

    def sync(self) -> None:
        """Bring all that is on the way to the disk."""
        whole = not self._lost  # Then what readers see is all there is, and one copy will do.
        written = self.seen if whole else self._written(list(self._versions), len(self.seen))
        self._on_disk = bytes(written)
        self._versions.clear()
        self._sizes.clear()

    def fail_sync(self, random: Random) -> None:
        """Fail as Linux does: some sectors arrived, and those that did not are now called clean.

        Readers go on to see them, and no later sync writes them, until somebody writes them anew.
        The length stays on the way.
        """
        share = random.choice((0.0, 0.5, 1.0))
        kept = [sector for sector in self._versions if random.random() < share]
        self._on_disk = self._written(kept, self._some_size(random, share))
        self._versions.clear()
        self._sizes = [len(self.seen)]
        self._lost = True

    def forget(self) -> None:
        """Read every clean sector from the disk again, as if memory had been short."""
        if not self._lost:
            return
        on_disk = self._on_disk.ljust(len(self.seen), b"\0")
        for start in range(0, len(self.seen), SECTOR_BYTES):
            if start // SECTOR_BYTES not in self._versions:
                stop = min(start + SECTOR_BYTES, len(self.seen))
                self.seen[start:stop] = on_disk[start:stop]

    def torn(self, random: Random, garbage: Garbage) -> "MemoryFile":
        """Return the file as a power cut leaves it."""
        if not self._sizes:
            return MemoryFile(self._on_disk, self.mode)
        share = random.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        size = self._some_size(random, share)
        sectors = {*self._versions, *range(_sectors(len(self._on_disk)), _sectors(size))}
        content = bytearray(self._on_disk[:size].ljust(size, b"\0"))
        for sector in sorted(sectors):
            start, stop = sector * SECTOR_BYTES, min((sector + 1) * SECTOR_BYTES, size)
            if start < stop:
                # A sector arrives whole or not at all: beyond the end of the file it has zeros.
                arrived = self._some_version(sector, random, share) or garbage(sector)
                content[start:stop] = arrived.ljust(SECTOR_BYTES, b"\0")[: stop - start]
        return MemoryFile(bytes(content), self.mode)

    def _touch(self, start: int, end: int) -> None:
        self._sizes.append(len(self.seen))
        for sector in range(start // SECTOR_BYTES, _sectors(end)):
            place = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
            self._versions.setdefault(sector, []).append(bytes(self.seen[place]))

    def _written(self, sectors: list[int], size: int) -> bytes:
        content = bytearray(self._on_disk.ljust(len(self.seen), b"\0"))
        for sector in sectors:
            place = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
            content[place] = self.seen[place].ljust(len(content[place]), b"\0")
        return bytes(content[:size].ljust(size, b"\0"))

    def _some_size(self, random: Random, share: float) -> int:
        """Return a length that the disk may have: one it had, or any on the way to the longest."""
        if random.random() < share:
            return self._sizes[-1]
        sizes = [len(self._on_disk), *self._sizes]
        return random.choice([*sizes, random.randint(min(sizes), max(sizes))])

    def _some_version(self, sector: int, random: Random, share: float) -> bytes:
        old = self._on_disk[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES]
        *earlier, last = [old, *self._versions.get(sector, [])]
        return last if not earlier or random.random() < share else random.choice(earlier)


def _sectors(size: int) -> int:
    """Return how many sectors `size` bytes touch."""
    return -(-size // SECTOR_BYTES)
