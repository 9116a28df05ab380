"""`audit.log` of a host with the files it grew out of, and what the server sends of them."""

import itertools
from collections import deque
from collections.abc import Iterator

FILE_BYTES_MAX = 1_000_000
"""A file this long becomes `audit.log.1`, and those before it move up."""
FILES_MAX = 10
"""The oldest file goes when there is one more: together at most 10 MB a host."""
_INSTANT_CHARS = 21
"""How much of the time in a line `since` is compared with: up to the tenth of a second, as text."""


class AuditFiles:
    """The lines of one host, without their ends, in the order in which they were written."""

    def __init__(self) -> None:
        self._files: deque[list[str]] = deque([[]], maxlen=FILES_MAX)
        self._bytes = 0
        self._begun: str | None = None
        self._rest = ""

    def append(self, line: str) -> None:
        """Add a line; one that was torn is completed first, or this one is written behind it."""
        self.mend()
        if self._begun is not None:
            line, self._begun = self._begun + line, None
        if self._bytes >= FILE_BYTES_MAX:
            self.rotate()
        self._files[-1].append(line)
        self._bytes += len(line) + 1

    def rotate(self, *, files_max: int = FILES_MAX) -> None:
        """Begin a new file; at most `files_max` are kept, the new one among them."""
        self._files.append([])
        self._bytes = 0
        while len(self._files) > files_max:
            self._files.popleft()

    def tear(self, *, lost: bool) -> None:
        """Let only half of the newest line be there, if there is one.

        The rest comes with `mend` or the next line, unless it is `lost`, as in a power cut: then
        the next line goes on where this one stops.
        """
        if self._begun is None and self._files[-1]:
            line = self._files[-1].pop()
            half = len(line) // 2
            self._begun, self._rest = line[:half], "" if lost else line[half:]

    def mend(self) -> None:
        """Complete a line that was torn, unless the rest of it is lost."""
        if self._begun is not None and self._rest:
            self._files[-1].append(self._begun + self._rest)
            self._begun, self._rest = None, ""

    def since(self, instant: str) -> list[str]:
        """Return the lines from an instant on, given as clients may: dashes and Z are ignored.

        It is compared as text, so that a prefix will do and nonsense is not an error. Half a line
        is a line like any other: the server ends it as it ends them all.
        """
        wanted = instant.replace("-", "").replace("Z", "")
        return [line for line in self._lines() if _is_wanted(line, wanted)]

    def _lines(self) -> Iterator[str]:
        begun = [] if self._begun is None else [self._begun]
        return itertools.chain(*self._files, begun)


def _is_wanted(line: str, wanted: str) -> bool:
    start = line.find("[") + 1
    if len(line) + 1 <= start + _INSTANT_CHARS:
        return False
    return line[start : start + _INSTANT_CHARS] >= wanted
