"""What syslog makes of lines on their way into the files: whole, cut, late, or nothing at all."""

import heapq
from hashlib import md5

import msgspec

LINE_BYTES_MAX = 8096
"""Where rsyslog cuts by default, give or take what it puts in front."""


class Syslog(msgspec.Struct):
    """The syslog of all hosts of a pool; it begins as one that does its work.

    Longer lines are cut to `line_bytes_max`; none is if it is None. Each comes up to `late_s_max`
    seconds late, so that some overtake others. While it is `deaf` they are lost: nobody listens,
    and xapi does not notice.
    """

    seed: int
    line_bytes_max: int | None = None
    late_s_max: float = 0.0
    deaf: bool = False
    _under_way: list[tuple[float, int, str, str]] = msgspec.field(default_factory=list)
    _count: int = 0

    def take(self, address: str, line: str, *, now_s: float) -> None:
        """Take a line that the host at an address sends."""
        if self.deaf:
            return
        self._count += 1
        due_s = now_s + (self._share() * self.late_s_max if self.late_s_max else 0.0)
        heapq.heappush(self._under_way, (due_s, self._count, address, line[: self.line_bytes_max]))

    def written(self, *, now_s: float) -> list[tuple[str, str]]:
        """Return what is to be written by now, each once: the address of the host and the line."""
        due: list[tuple[str, str]] = []
        while self._under_way and self._under_way[0][0] <= now_s:
            _due_s, _number, address, line = heapq.heappop(self._under_way)
            due.append((address, line))
        return due

    def _share(self) -> float:
        # By count and not by a die: asking for a line must not change what comes next.
        digest = md5(f"syslog of {self.seed}: {self._count}".encode(), usedforsecurity=False)
        return int.from_bytes(digest.digest()[:4], "big") / 2**32
