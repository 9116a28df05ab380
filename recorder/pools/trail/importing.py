"""Lines from copies of trails: of hosts, or of a syslog server, plain, rotated or packed by gzip.

Nothing is journaled until every file was read to its end. A line that is in the journal already,
as often as it is in the files, whoever read it then, is not taken again; so the same file twice
adds nothing.
"""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ...errors import ConfigError
from ...journal.files import Disk
from ...journal.scan import DamageFound, scan
from ...model import AuditLine, Entry, Mark, MarkName
from ...redaction.policy import OTHER_RULES
from .clean import Cleaner
from .ends import INSTANT_CHARS, is_complete, parsed
from .own import OwnSessions
from .page import LINE_BYTES_MAX
from .window import digest_of

LINES_AT_ONCE = 4000
BYTES_AT_ONCE = 2 * 1024 * 1024
"""So a piece fits into one request to a running recorder, with a long line at its end."""

_NO_RULES = (
    "the journal tells no more by which rules its recorder hides secrets: name its configuration by"
    " --config"
)
_GZIP = b"\x1f\x8b"
_HEADER = re.compile(rb"\[[0-9T:.]{21}Z\|audit\|")
"""What a line of xapi has behind whatever syslog puts in front."""


class Imported(msgspec.Struct):
    """How many lines the files have; of these are `new`, `known` before, `own` (the recorder only
    looked), and `others`, which are no lines of the audit trail. Of the new ones `cut` are not all
    there: some syslog cuts long ones."""

    files: int = 0
    lines: int = 0
    new: int = 0
    known: int = 0
    own: int = 0
    others: int = 0
    cut: int = 0


Append = Callable[[Sequence[AuditLine]], None]
"""Adds lines to a journal, and returns when they are durable."""


def import_files(
    files: Sequence[Path],
    *,
    pool: str,
    host: str | None,
    cleaner: Cleaner,
    rules: str,
    are_named: bool,
    entries: Iterable[Entry],
    append: Append,
) -> Imported:
    """Add what is new in files to a journal, as lines of `host`, else of the name of each file.

    `entries` are those of the journal. `rules` are those by which `cleaner` hides secrets, as marks
    name them, `are_named` if somebody chose them. Raises ConfigError for a file that cannot be read
    to its end, and for rules that are not those of the recorder, before anything is added, and what
    `append` does.
    """
    paths = sorted(files, key=_first_instant)
    for path in paths:
        for _ in _lines(path):
            pass
    known = _known(entries, pool)
    if known.is_whole and known.rules not in (rules, None):
        raise ConfigError(OTHER_RULES)
    if not (known.is_whole or are_named):
        raise ConfigError(_NO_RULES)
    done = Imported(files=len(paths))
    lines = (
        AuditLine(host or path.name, line, True)
        for path in paths
        for line in _new(map(cleaner.clean, _lines(path)), known, done)
    )
    for piece in _pieces(lines):
        append(piece)
    return done


def _pieces(lines: Iterable[AuditLine]) -> Iterator[list[AuditLine]]:
    piece: list[AuditLine] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line.line)
        if len(piece) == LINES_AT_ONCE or size > BYTES_AT_ONCE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


class _Known(msgspec.Struct):
    """What a journal tells: how often each line of a pool is in it, and which sessions were ours.

    Also by which rules the last recorder hid secrets, if one has said so; `is_whole` is False where
    a later one may have said it, in entries that are no longer there.
    """

    lines: "Counter[bytes]" = msgspec.field(default_factory=Counter)
    sessions: OwnSessions = msgspec.field(default_factory=lambda: OwnSessions(sessions_max=None))
    rules: str | None = None
    is_whole: bool = True


def _new(lines: Iterable[bytes], known: _Known, done: Imported) -> Iterator[bytes]:
    """Yield the lines that are to be added, and count all."""
    there = known.lines
    for line in lines:
        done.lines += 1
        start = _start_of(line)
        if start is None:
            done.others += 1
            continue
        digest = digest_of(line[start:])
        if there[digest] > 0:
            there[digest] -= 1
            done.known += 1
        elif known.sessions.cause(line) is not None:
            done.own += 1
        else:
            done.new += 1
            done.cut += not is_complete(line)
            yield line


def _known(entries: Iterable[Entry], pool: str) -> _Known:
    known, seq = _Known(), 0
    for entry in entries:
        known.is_whole &= entry.seq == seq + 1
        seq = entry.seq
        match entry.body:
            case AuditLine(line=line) if entry.pool == pool:
                known.lines[digest_of(line[_start_of(line) or 0 :])] += 1
            case Mark(MarkName.AUDIT_TRAIL_READ, detail) if entry.pool == pool:
                known.sessions.learn(*str(detail.get("sessions", "")).split())
            case Mark(MarkName.STARTED, {"redaction": str(told)}):
                known.rules, known.is_whole = told, True
            case _:
                pass
    return known


def entries_in(folder: Path, disk: Disk) -> Iterator[Entry]:
    """Yield all entries that there are: past those that were dropped, and past damage."""
    after_seq: int | None = 0
    while after_seq is not None:
        try:
            yield from scan(folder, after_seq=after_seq, disk=disk)
        except DamageFound as damage:
            after_seq = damage.resume_after_seq
        else:
            return


def _start_of(line: bytes) -> int | None:
    """Return where a line of xapi begins, behind what syslog put in front; None for any other."""
    found = _HEADER.search(line)
    if found is None or parsed(line[found.start() + 1 :][:INSTANT_CHARS]) is None:
        return None
    return found.start()


def _first_instant(path: Path) -> bytes:
    """Return the first time in a file: rotated ones are older, whatever they are called."""
    for line in _lines(path):
        if (start := _start_of(line)) is not None:
            return line[start + 1 :][:INSTANT_CHARS]
    return b""


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without their ends; too long ones come in parts."""
    try:
        with path.open("rb") as plain:
            packed = plain.peek(2)[:2] == _GZIP
            with gzip.open(plain) if packed else plain as file:
                while line := file.readline(LINE_BYTES_MAX):
                    if text := line.rstrip(b"\r\n"):
                        yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(
            f"{path} is damaged ({error}), and nothing was imported: get another copy, or unpack"
            " what is good of it into a file"
        ) from error
    except OSError as error:
        said = error.strerror or error
        raise ConfigError(f"{path} cannot be read ({said}), and nothing was imported") from error
