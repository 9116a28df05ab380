"""How far the audit trails were read, as the journal knows it: looked for from its end.

A mark says so every ten minutes and at the begin of each session; the lines behind the newest one
say the rest. So one or two segments are read after a restart, by the first pool for all. Pools that
are new to the journal have no mark in it: all of it is read, but once for all of them.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import trio

from ...errors import JournalDamaged
from ...journal.codec import AUDIT_LINE, MARK, BadEntry, decode
from ...journal.files import Disk
from ...journal.frame import Flag, FrameDamaged
from ...journal.header import HeaderDamaged
from ...journal.names import list_segments
from ...journal.scan import scan
from ...journal.segment import Cursor
from ...keeper import Pen
from ...model import AuditLine, Detail, Entry, Mark, MarkName
from ...threads import RunSync
from .window import Known, Window, digest_of, known_as, limit_at

SEGMENTS_MAX = 256
"""A journal without a mark of a pool in so many segments (16 GiB, or ten days) is from before the
trail was read, or from before a time that the host itself has forgotten."""


class HostMark(msgspec.Struct, frozen=True, array_like=True):
    """How far the trail of one host was read, as a mark says it; see `Window`.

    `first_seq` and `last_seq` are those of the lines that are known of its last seconds, 0 if none
    was kept; `by_order` says that times alone do not tell what is new.
    """

    newest: str
    anchor: str
    whole_at_ns: int
    first_seq: int = 0
    last_seq: int = 0
    by_order: bool = False


class PoolMemory(msgspec.Struct):
    """What the journal remembers of the trails of one pool: of each host, and of our sessions."""

    windows: dict[str, Window] = msgspec.field(default_factory=dict)
    trackids: tuple[str, ...] = ()


def detail_of(windows: dict[str, Window], trackids: tuple[str, ...], own: int) -> Detail:
    """Return the detail of an AUDIT_TRAIL_READ mark; `own` lines were counted since the last."""
    hosts = {name: _host_mark(window) for name, window in windows.items() if window.newest}
    text = msgspec.json.encode(hosts).decode()
    return {"hosts": text, "sessions": " ".join(trackids), "own": own}


def _host_mark(window: Window) -> HostMark:
    anchor = "" if window.anchor is None else window.anchor.hex()
    span = window.span or (0, 0)
    whole_at_ns, by_order = window.whole_at_ns or 0, window.needs_order
    return HostMark(window.newest.decode(), anchor, whole_at_ns, *span, by_order)


class TrailMemory:
    """Reads the journal for whoever begins to collect; `pen` is that of the recorder."""

    def __init__(self, pen: Pen, run_sync: RunSync) -> None:
        self._pen = pen
        self._run_sync = run_sync
        self._lock = trio.Lock()
        self._begun: set[str] = set()
        self._first: Recollection | None = None

    async def of(self, pool: str, *, overlap_s: float) -> PoolMemory:
        """Return what the journal remembers of a pool whose lines nobody writes just now."""
        async with self._lock:
            folder, disk = await self._pen.ask(lambda journal: (journal.folder, journal.disk))
            return await self._run_sync(partial(self._of, folder, pool, disk, overlap_s))

    def _of(self, folder: Path, pool: str, disk: Disk, overlap_s: float) -> PoolMemory:
        """Read on for a pool that begins for the first time: nobody has written of it since the
        first reading began. Of one that begins again somebody has."""
        if pool in self._begun:
            reading = Recollection(folder, disk)
        else:
            reading = self._first = self._first or Recollection(folder, disk)
        self._begun.add(pool)
        found = reading.take(pool)
        return PoolMemory() if found is None else _memory(folder, pool, found, disk, overlap_s)


class Found(msgspec.Struct):
    """The newest mark of a pool, and its lines behind that by host, as far as was read."""

    mark: Entry | None = None
    lines: dict[str, list[Known]] = msgspec.field(default_factory=dict)

    def take(self, entry: Entry) -> None:
        """Take the next entry of a segment."""
        match entry.body:
            case Mark():
                self.mark, self.lines = entry, {}
            case AuditLine(imported=False):
                self.lines.setdefault(entry.body.host, []).append(_known(entry, entry.body))
            case _:
                pass

    def put_behind(self, later: "Found") -> None:
        """Put what was found in later segments behind this."""
        for host, lines in later.lines.items():
            self.lines.setdefault(host, []).extend(lines)


class Recollection:
    """What the newest marks of pools and the lines behind them say, as far back as was needed.

    A segment is read once, for all pools. What cannot be read of the journal is as if it was not
    there: its lines may come twice then.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._unread = list_segments(folder, disk)[-SEGMENTS_MAX:]
        self._found: dict[str, Found] = {}
        self._taken: set[str] = set()

    def take(self, pool: str) -> Found | None:
        """Return what is said of a pool, and forget it; None if nothing is."""
        while self._unread and ((one := self._found.get(pool)) is None or one.mark is None):
            self._read(self._unread.pop())
        self._taken.add(pool)
        return self._found.pop(pool, None)

    def _read(self, number: int) -> None:
        """Put what a segment says before what the later ones said."""
        here: dict[str, Found] = {}
        for entry in _entries(self._folder, number, self._disk):
            if entry.pool not in self._taken:
                here.setdefault(entry.pool, Found()).take(entry)
        for pool, one in here.items():
            later = self._found.get(pool, Found())
            if later.mark is None:
                one.put_behind(later)
                self._found[pool] = one


def _entries(folder: Path, number: int, disk: Disk) -> Iterator[Entry]:
    """Yield the entries of a segment that are about audit trails, up to where it is whole."""
    unreadable = suppress(HeaderDamaged, FrameDamaged, BadEntry, OSError)
    with unreadable, Cursor.of(folder, number, disk) as cursor:
        while (frame := cursor.next()) is not None:
            if frame.head.flags == Flag.DATA:
                yield from map(decode, filter(_is_ours, frame.items))


def _is_ours(item: object) -> bool:
    if type(item) is not list or len(item) < 5:
        return False
    kind, name = item[2], item[4]
    return bool(kind == AUDIT_LINE or (kind == MARK and name == MarkName.AUDIT_TRAIL_READ))


def _memory(folder: Path, pool: str, found: Found, disk: Disk, overlap_s: float) -> PoolMemory:
    detail = found.mark.body.detail if found.mark and isinstance(found.mark.body, Mark) else {}
    hosts = msgspec.json.decode(str(detail.get("hosts", "{}")), type=dict[str, HostMark])
    windows = {
        name: _window(folder, pool, name, host, disk, overlap_s) for name, host in hosts.items()
    }
    whole_at_ns = found.mark.received_at_ns if found.mark else None
    for name, lines in found.lines.items():
        window = windows.setdefault(name, Window(overlap_s, whole_at_ns=whole_at_ns))
        for known in lines:
            window.add(known)
            window.anchor = known.digest
    return PoolMemory(windows, tuple(str(detail.get("sessions", "")).split()))


def _window(
    folder: Path, pool: str, name: str, host: HostMark, disk: Disk, overlap_s: float
) -> Window:
    """Return what was known of a host when the mark was written."""
    recent = [
        _known(entry, entry.body)
        for entry in _range(folder, host.first_seq, host.last_seq, disk)
        if entry.pool == pool and isinstance(entry.body, AuditLine) and entry.body.host == name
    ]
    return Window(
        overlap_s,
        newest=host.newest.encode(),
        anchor=bytes.fromhex(host.anchor) or None,
        whole_at_ns=host.whole_at_ns or None,
        by_order=host.by_order,
        recent=recent,
    )


def _range(folder: Path, first_seq: int, last_seq: int, disk: Disk) -> Iterator[Entry]:
    if not first_seq:
        return
    with suppress(JournalDamaged):  # Dropped since, or damaged.
        for entry in scan(folder, after_seq=first_seq - 1, disk=disk):
            if entry.seq > last_seq:
                break
            yield entry


def _known(entry: Entry, body: AuditLine) -> Known:
    limit = limit_at(datetime.fromtimestamp(entry.received_at_ns / 1e9, UTC))
    return known_as(body.line, digest_of(body.line), limit, entry.seq)
