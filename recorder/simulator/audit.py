"""The audit trail: one line a call, in the form of xapi, kept as the files of each host.

Which calls get a line is decided in `guard`, what it tells of arguments in `auditargs`; `syslog`
is on the way to the files.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import md5

import msgspec

from .auditfiles import AuditFiles
from .dump_values import quoted
from .syslog import Syslog

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


class AuditHabits(msgspec.Struct, frozen=True):
    """In what the trails of versions of xapi differ; as it stands, it is 25.32.

    `escapes_double_quotes`: " in names is written as \\". `refuses_late`: the line of a refusal is
    written once it is known which roles may do it, not before. `page_line_last`: that of who reads
    the trail is written behind what he reads, not before.
    """

    escapes_double_quotes: bool = False
    refuses_late: bool = False
    page_line_last: bool = False


XAPI_25_32 = AuditHabits()
XAPI_24_11 = AuditHabits(escapes_double_quotes=True, refuses_late=True, page_line_last=True)


class Caller(msgspec.Struct, frozen=True):
    """Who calls, as lines name them: a digest of the session, an identifier and a user."""

    trackid: str
    sid: str
    user: str


class Stamp(msgspec.Struct, frozen=True):
    """Where a line comes from: the address of the host, its thread, and the task with its mark."""

    address: str
    thread: str
    task: str


class Finding(msgspec.Struct, frozen=True):
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


class AuditTrail:
    """The audit trail of a pool: each host has its own files, which outlive its xapi."""

    def __init__(
        self,
        *,
        now_s: Callable[[], float],
        hostname: Callable[[str], str],
        habits: AuditHabits = XAPI_25_32,
        seed: int = 1,
    ) -> None:
        """`now_s` is the server's clock; `hostname` names the host at an address."""
        self.habits = habits
        self.syslog = Syslog(seed)
        self._now_s = now_s
        self._hostname = hostname
        self._hosts: defaultdict[str, AuditFiles] = defaultdict(AuditFiles)
        self._threads = itertools.count(1)

    def thread(self) -> int:
        """Return the number of a new thread, which only lines show."""
        return next(self._threads)

    def files(self, address: str) -> AuditFiles:
        """Return the files of the host at an address, with all that is written by now."""
        for host, line in self.syslog.written(now_s=self._now_s()):
            self._hosts[host].append(line)
        return self._hosts[address]

    def all_files(self) -> list[AuditFiles]:
        """Return the files of every host that has any."""
        return [self.files(address) for address in list(self._hosts)]

    def write(self, stamp: Stamp, caller: Caller, finding: Finding) -> None:
        """Write a line into the file of the host at the stamp's address."""
        now_s = self._now_s()
        now = datetime.fromtimestamp(now_s, UTC)
        kind = "HTTP" if finding.call.startswith(_PAGE) else "API"
        who = (f"trackid={caller.trackid}", caller.sid, caller.user)
        what = (finding.verdict, finding.result, kind, finding.call)
        said = f"({' '.join(map(quoted, (*who, *what)))} {finding.arguments})"
        said = said.replace("\n", " ").replace("\r", " ")
        if self.habits.escapes_double_quotes:
            said = said.replace('"', '\\"')
        at = f"{now:%Y%m%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"
        line = printable(f"[{at}|audit||{stamp.thread}|{stamp.task}|audit] {said}")
        prefix = f"{now:%b} {now.day:2} {now:%H:%M:%S} {self._hostname(stamp.address)}"
        self.syslog.take(stamp.address, f"{prefix} xapi: {line}", now_s=now_s)


def printable(line: str) -> str:
    """Return a line as xapi hands it to syslog: ASCII, backslashes doubled, bytes as `\\xC3`."""
    if line.isascii() and line.isprintable() and "\\" not in line:
        return line
    return "".join(map(_printable, line.encode("utf-8", "replace")))


def _printable(byte: int) -> str:
    if byte == 0x5C:
        return "\\\\"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02X}"
