"""What a line of the trail says, taken apart for tests only: not by the code that is tested."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_HEADER = re.compile(r"\[(\S+)Z\|audit\|\|(.*)$", re.DOTALL)
_ATOM = re.compile(r"'((?:[^'\\]|\\.)*)'")
_BYTE = re.compile(r"\\x([0-9A-F]{2})|\\\\")


@dataclass(frozen=True, slots=True)
class Told:
    """The parts of a line that say who did what; `at_s` is in seconds since 1970 UTC."""

    at_s: float
    thread: str
    task: str
    trackid: str
    sid: str
    user: str
    verdict: str
    result: str
    call: str
    arguments: tuple[str, ...]


def told(line: str) -> Told:
    """Take a line apart; it must be a whole one."""
    found = _HEADER.search(line)
    assert found is not None, line
    assert line.endswith(")"), line
    header, _, said = found[2].partition("|audit] (")
    thread, _, task = header.partition("|")
    trackid, sid, user, verdict, result, _api, call, *arguments = map(
        _plain, _ATOM.findall(_outer(said))
    )
    at_s = datetime.strptime(f"{found[1]}Z", "%Y%m%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    trackid = trackid.removeprefix("trackid=")
    return Told(
        at_s, thread, _outer(task), trackid, sid, user, verdict, result, call, tuple(arguments)
    )


def _outer(text: str) -> str:
    """Undo what was done to the whole line."""
    raw = _BYTE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "\\", text)
    return raw.encode("latin-1").decode("utf-8")


def _plain(atom: str) -> str:
    """Undo what was done to one atom."""
    return re.sub(r"\\(.)", r"\1", atom)
