"""Lines that the recorder itself causes by looking: one a poll, which tells nobody anything.

They are counted and not kept. Only what is exactly such a line counts as one: a line that somebody
forged, or a call that the recorder does not make, is kept, whatever session it names.
"""

import re
from collections import deque
from hashlib import md5

import msgspec

from .ends import QUOTED

SESSIONS_MAX = 8
"""So many of our sessions are recognised: the line of the last poll of one is read by the next."""

LINE_BYTES_MAX = 2000
"""Ours have some 300 bytes, and a user name."""

_CALLS = rb"http/get_audit_log|event\.register|event\.unregister|event\.inject|task\.create"
_OWN = re.compile(
    rb"[^\[]*\[[0-9T:.]{21}Z\|audit\|\|[^|]*\|(?:handler:)?(?P<call>" + _CALLS + rb")"
    rb" D:[0-9a-f]{12}\|audit\] \('trackid=(?P<trackid>[0-9a-f]{32})' "
    + QUOTED
    + rb" "
    + QUOTED
    + rb" 'ALLOWED' 'OK' '(?:API|HTTP)' '(?P=call)' \([^|]*\)\)"
)
_READING = b"http/get_audit_log"


def trackid_of(session: str) -> str:
    """Return by what lines name a session: a digest that does not give the session away."""
    return md5(session.encode(), usedforsecurity=False).hexdigest()


class OwnSessions:
    """The sessions of the recorder with one pool, the newest last."""

    def __init__(self, *, sessions_max: int | None = SESSIONS_MAX) -> None:
        """None remembers all of them."""
        self._trackids: deque[str] = deque(maxlen=sessions_max)

    @property
    def trackids(self) -> tuple[str, ...]:
        """Their digests, the newest last."""
        return tuple(self._trackids)

    def learn(self, *trackids: str) -> None:
        """Take note of sessions."""
        for trackid in trackids:
            if trackid not in self._trackids:
                self._trackids.append(trackid)

    def cause(self, line: bytes) -> "Own | None":
        """Return why a line is there if the recorder caused it by looking, else None."""
        found = _OWN.fullmatch(line) if len(line) <= LINE_BYTES_MAX else None
        if found is None or (trackid := found["trackid"].decode()) not in self._trackids:
            return None
        return Own(found["call"] == _READING, trackid == self._trackids[-1])


class Own(msgspec.Struct, frozen=True):
    """A line of our own: whether it says that we read the trail, and in the newest session."""

    is_reading: bool
    is_of_now: bool
