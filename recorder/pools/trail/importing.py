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
from .clean import Cleaner
from .ends import INSTANT_CHARS, is_complete, parsed
from .own import OwnSessions
from .page import LINE_BYTES_MAX
from .window import digest_of

LINES_AT_ONCE = 4000
BYTES_AT_ONCE = 2 * 1024 * 1024
"""So a piece fits into one request to a running recorder, with a long line at its end."""

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
    rules: str | None,
    entries: Iterable[Entry],
    append: Append,
) -> Imported:
    """Add what is new in files to a journal, as lines of `host`, else of the name of each file.

    `entries` are those of the journal. `rules` are those by which `cleaner` hides secrets, as marks
    name them; None if they were chosen for these files. Raises ConfigError for a file that cannot
    be read to its end, and for rules that are not those of the recorder, before anything is added,
    and what `append` does.
    """
    paths = sorted(files, key=_first_instant)
    for path in paths:
        for _ in _lines(path):
            pass
    there, sessions, in_force = _known(entries, pool)
    if None not in (rules, in_force) and rules != in_force:
        raise ConfigError(
            "the recorder hides secrets by other rules than the built-in ones: name its"
            " configuration by --config, so that its [redaction] holds for these lines, too"
        )
    done = Imported(files=len(paths))
    lines = (
        AuditLine(host or path.name, line, True)
        for path in paths
        for line in _new(map(cleaner.clean, _lines(path)), there, sessions, done)
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


def _new(
    lines: Iterable[bytes], there: "Counter[bytes]", sessions: OwnSessions, done: Imported
) -> Iterator[bytes]:
    """Yield the lines that are to be added, and count all."""
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
        elif sessions.cause(line) is not None:
            done.own += 1
        else:
            done.new += 1
            done.cut += not is_complete(line)
            yield line


def _known(entries: Iterable[Entry], pool: str) -> tuple["Counter[bytes]", OwnSessions, str | None]:
    """Return how often each line of a pool is in a journal, and which sessions were ours.

    Also by which rules the last recorder hid secrets, if one has said so.
    """
    rules: str | None = None
    there: Counter[bytes] = Counter()
    sessions = OwnSessions(sessions_max=None)
    for entry in entries:
        match entry.body:
            case AuditLine(line=line) if entry.pool == pool:
                there[digest_of(line[_start_of(line) or 0 :])] += 1
            case Mark(MarkName.AUDIT_TRAIL_READ, detail) if entry.pool == pool:
                sessions.learn(*str(detail.get("sessions", "")).split())
            case Mark(MarkName.STARTED, {"redaction": str(told)}):
                rules = told
            case _:
                pass
    return there, sessions, rules


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
