"""What the same thing is called there and here: references, uuids and the like by first showing.

Whatever both pools had from the beginning has the same name in both.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_REF = re.compile(rb"OpaqueRef:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(rb"(?<![:0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GENERATION = re.compile(rb"(?<!\d)\d{15,19}:\d{15,19}(?!\d)")
_DATE = re.compile(rb"\d{8}T\d\d:\d\d:\d\dZ")
TOKEN = re.compile(rb"\d{20},\d{20}")
_EVENT_TIME = re.compile(rb'("timestamp":"|<name>timestamp</name><value>)\d{10}\.(?=["<])')


@dataclass(slots=True)
class Names:
    """Theirs to ours. `known` is text that holds every name and date both had in the beginning."""

    known: bytes
    ours: dict[bytes, bytes] = field(default_factory=dict)
    tokens: dict[bytes, bytes] = field(default_factory=dict)
    _old: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self._old = frozenset(
            name for kind in (_REF, _UUID, _GENERATION, _DATE) for name in kind.findall(self.known)
        )

    def learn(self, theirs: bytes, ours: bytes) -> None:
        """Pair the names that show for the first time in two replies to the same request."""
        mine = set(self.ours.values())
        for kind in (_REF, _UUID, _GENERATION):
            new_theirs = self._new(kind, theirs, set(self.ours))
            new_ours = self._new(kind, ours, mine)
            self.ours.update(zip(new_theirs, new_ours, strict=False))
        self.tokens.update(zip(TOKEN.findall(theirs), TOKEN.findall(ours), strict=False))

    def translate(self, text: bytes) -> bytes:
        """Put our names in the place of theirs."""
        for theirs, ours in self.ours.items():
            text = text.replace(_track_id(theirs), _track_id(ours)).replace(theirs, ours)
        return text

    def all(self) -> dict[str, str]:
        """Return theirs to ours as text, also those that are the same."""
        same = {name.decode(): name.decode() for name in self._old}
        return same | {theirs.decode(): ours.decode() for theirs, ours in self.ours.items()}

    def request(self, text: bytes) -> bytes:
        """Say a request in our names, going on from our tokens where it went on from theirs."""
        text = TOKEN.sub(lambda found: self.tokens.get(found[0], found[0]), text)
        return self.translate(text)

    def undated(self, text: bytes) -> bytes:
        """Hide dates that are not from the beginning, and times of events."""
        text = _EVENT_TIME.sub(rb"\1SECOND.", text)
        return _DATE.sub(lambda found: found[0] if found[0] in self._old else b"NOW", text)

    def _new(self, kind: re.Pattern[bytes], text: bytes, seen: set[bytes]) -> Iterator[bytes]:
        every = dict.fromkeys(kind.findall(text))
        return (name for name in every if name not in seen and name not in self._old)


def _track_id(ref: bytes) -> bytes:
    return b"trackid=" + hashlib.md5(ref, usedforsecurity=False).hexdigest().encode()
