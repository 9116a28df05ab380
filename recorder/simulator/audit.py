"""The audit trail: one line a call, in the form of xapi, kept in memory as the files of each host.

Which calls get a line is decided in `guard`, what it tells of arguments in `auditargs`.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5

from .dump_values import quoted

FILE_BYTES_MAX = 1_000_000
"""A file this long becomes `audit.log.1`, and those before it move up."""
FILES_MAX = 10
"""The oldest file goes when there is one more: together at most 10 MB a host."""
_INSTANT_CHARS = 21
"""How much of the time in a line `since` is compared with: up to the tenth of a second, as text."""
_SILENT = frozenset(
    {
        "session.logout",
        "session.local_logout",
        "event.next",
        "event.from",
        "host.tickle_heartbeat",
    }
)
_PAGE = "http/"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as lines name them: a digest of the session, an identifier and a user."""

    trackid: str
    sid: str
    user: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a line comes from: the address of the host, its thread, and the task with its mark."""

    address: str
    thread: str
    task: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a call: `verdict` is ALLOWED or DENIED, `result` OK, ERROR:... or nothing."""

    call: str
    verdict: str
    result: str
    arguments: str


def trackid(session: str) -> str:
    """Return the digest by which logs name a session without giving it away."""
    return md5(session.encode(), usedforsecurity=False).hexdigest()


def is_audited(call: str) -> bool:
    """Say whether a call gets a line: whatever is not read only, nor said too often."""
    return ".get" not in call and call not in _SILENT


class AuditFiles:
    """`audit.log` of one host and those it grew out of."""

    def __init__(self) -> None:
        self._files: deque[list[str]] = deque([[]], maxlen=FILES_MAX)
        self._bytes = 0

    def append(self, line: str) -> None:
        """Add a line, without its end."""
        if self._bytes >= FILE_BYTES_MAX:
            self._files.append([])
            self._bytes = 0
        self._files[-1].append(line)
        self._bytes += len(line) + 1

    def since(self, instant: str) -> list[str]:
        """Return the lines from an instant on, given as clients may: dashes and Z are ignored.

        It is compared as text, so that a prefix will do and nonsense is not an error.
        """
        wanted = instant.replace("-", "").replace("Z", "")
        return [line for line in self._lines() if _is_wanted(line, wanted)]

    def _lines(self) -> Iterator[str]:
        return itertools.chain.from_iterable(self._files)


class AuditTrail:
    """The audit trail of a pool: each host has its own files."""

    def __init__(self, *, now_s: Callable[[], float], hostname: Callable[[str], str]) -> None:
        """`now_s` is the server's clock; `hostname` names the host at an address."""
        self._now_s = now_s
        self._hostname = hostname
        self._hosts: defaultdict[str, AuditFiles] = defaultdict(AuditFiles)
        self._threads = itertools.count(1)

    def thread(self) -> int:
        """Return the number of a new thread, which only lines show."""
        return next(self._threads)

    def files(self, address: str) -> AuditFiles:
        """Return the files of the host at an address."""
        return self._hosts[address]

    def write(self, stamp: Stamp, caller: Caller, finding: Finding) -> None:
        """Write a line into the file of the host at the stamp's address."""
        now = datetime.fromtimestamp(self._now_s(), UTC)
        kind = "HTTP" if finding.call.startswith(_PAGE) else "API"
        who = (f"trackid={caller.trackid}", caller.sid, caller.user)
        what = (finding.verdict, finding.result, kind, finding.call)
        said = f"({' '.join(map(quoted, (*who, *what)))} {finding.arguments})"
        said = said.replace("\n", " ").replace("\r", " ")
        at = f"{now:%Y%m%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        line = printable(f"[{at}|audit||{stamp.thread}|{stamp.task}|audit] {said}")
        prefix = f"{now:%b} {now.day:2} {now:%H:%M:%S} {self._hostname(stamp.address)}"
        self._hosts[stamp.address].append(f"{prefix} xapi: {line}")


def printable(line: str) -> str:
    """Return a line as xapi hands it to syslog: ASCII, backslashes doubled, bytes as `\\xC3`."""
    if line.isascii() and line.isprintable() and "\\" not in line:
        return line
    return "".join(map(_printable, line.encode("utf-8", "replace")))


def _printable(byte: int) -> str:
    if byte == 0x5C:
        return "\\\\"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02X}"


def _is_wanted(line: str, wanted: str) -> bool:
    start = line.find("[") + 1
    if len(line) + 1 <= start + _INSTANT_CHARS:
        return False
    return line[start : start + _INSTANT_CHARS] >= wanted
