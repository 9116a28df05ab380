"""Which hosts a pool has, as it told: where to look for it when its master is gone."""

from collections.abc import Mapping

import msgspec

from ..model import Event, Operation

HOST, POOL = "host", "pool"
FOLLOWED = frozenset({HOST, POOL})
"""The classes whose events tell of members."""
MEMBERS_MAX = 256
"""Pools have 64 hosts at most; a broken server could tell of any number."""

ADDRESS_CHARS_MAX = 253
"""The longest name of a host that there can be."""


class _Host(msgspec.Struct):
    address: str = ""


class _Pool(msgspec.Struct):
    master: str = ""


class Members:
    """The addresses of the hosts of one pool.

    Each epoch reads them anew and replaces what was known: an ejected host still takes the same
    password. Until it has, those of the epoch before are used, or what the journal remembers.
    """

    def __init__(self, remembered: str | None) -> None:
        """`remembered` is the text of the last MEMBERS mark."""
        self._told = remembered or ""
        self._hosts: dict[str, str] | None = None
        self._master: str | None = None
        self._changed = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses as the pool names them, the master's first."""
        return tuple(self._told.split())

    def begin(self) -> None:
        """A new epoch begins: what it reads takes the place of what was known."""
        self._hosts = self._master = None
        self._changed = False

    def read(self, cls: str, records: Mapping[str, bytes]) -> None:
        """Take the records of a whole class (`host`, `pool`) from a baseline; others pass by."""
        self._changed = True
        match cls.lower():
            case "host":
                hosts = {ref: _address(raw) for ref, raw in records.items()}
                self._hosts = dict(list(hosts.items())[:MEMBERS_MAX])
            case "pool":
                for raw in records.values():
                    self._master = _master(raw) or self._master

    def take(self, event: Event) -> None:
        """Take an event, of whatever class."""
        if event.cls not in FOLLOWED:
            return
        self._changed = True
        if event.cls == HOST and self._hosts is not None:
            if event.operation is Operation.DEL:
                self._hosts.pop(event.ref, None)
            elif event.snapshot is not None and len(self._hosts) < MEMBERS_MAX:
                self._hosts[event.ref] = _address(event.snapshot)
        elif event.cls == POOL and event.snapshot is not None and self._master is not None:
            self._master = _master(event.snapshot) or self._master

    def news(self) -> str | None:
        """Return the text for a MEMBERS mark if it is another than the last one, else None."""
        if not self._changed or self._hosts is None or self._master is None:
            return None  # It is asked after every answer of the server.
        self._changed = False
        first = self._hosts.get(self._master, "")
        others = {address for address in self._hosts.values() if address != first}
        text = " ".join(address for address in (first, *sorted(others)) if address)
        if text == self._told or not text:
            return None
        self._told = text
        return text


# A record that cannot be read says nothing of where a host is; it is journaled as it came, and
# whoever loads it says what is wrong with it.


def _address(record: bytes) -> str:
    try:
        address = msgspec.json.decode(record, type=_Host).address
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    too_long = len(address) > ADDRESS_CHARS_MAX
    return "" if too_long or any(character.isspace() for character in address) else address


def _master(record: bytes) -> str:
    try:
        return msgspec.json.decode(record, type=_Pool).master
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
