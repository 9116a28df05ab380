"""What pools say, without their secrets: the last thing that happens to it before it is a draft.

The usual record has no secret in it, or one that came with the event before: it is searched at the
speed of C, and what was found in a value is remembered. `masks` is the long way round. Nothing here
has to do with `xentrail redact`, which takes a whole snapshot out of a journal afterwards.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from ..errors import ProtocolError
from ..model import Detail, Event
from .masks import Masks
from .policy import EVERY_CLASS, Policy, Rule
from .usual import EMPTY, Field, Usual

SESSION = "session"
"""The reference of an object of this class is a bearer token."""

TOKENS_MAX = 4
"""References of the newest sessions that are looked for. Those before were logged out, or their
server was not to be reached during as many logins."""

REMEMBERED_MAX = 4096
REMEMBERED_BYTES_MAX = 4096
"""How many maps a rule are remembered with what became of them, up to which size: the configuration
of an object comes with every event of it. Of the usual 300 bytes they take 2 MB."""

_Memory = dict[bytes, bytes | None]
"""What became of maps under a rule, None if nothing, by their text."""


class _NotUsual(Exception):
    """The record is written in a way that only the long way round understands."""


_OBJECTIONS = (_NotUsual, msgspec.DecodeError, RecursionError)


class Redactor:
    """Takes the secrets out of events and records. One is enough for all pools."""

    def __init__(self, policy: Policy, key: bytes) -> None:
        """`key` is that of the digests which stand for secrets."""
        self._policy = policy
        self._masks = Masks(policy, key)
        self._memories: dict[Rule, _Memory] = {rule: {} for rule in Rule}
        self._usual: dict[str, Usual] = {}

    @property
    def in_force(self) -> Detail:
        """What a mark says of policy and key: readers tell by it which digests are comparable."""
        key_id = self._masks.hmac(b"which key is this?")
        return {"redaction": self._policy.name, "redaction_key": key_id}

    def record(self, cls: str, snapshot: bytes, tokens: Collection[bytes] = ()) -> bytes:
        """Return one record without secrets: `snapshot` itself if it has none.

        `cls` in lower case. `tokens` are references of sessions that live. Raises
        ProtocolError if it cannot be read.
        """
        usual = self._usual.get(cls) or self._usual_of(cls)
        try:
            found = usual.decode(snapshot)
            new = self._short_way(usual, snapshot, found) if usual.looked_at else snapshot
        except _OBJECTIONS:
            new = self._long_way(usual, cls, snapshot)
        for token in tokens:
            if new.rfind(token) >= 0:
                new = new.replace(token, self._masks.mask(token.decode()).encode())
        return new

    def ref(self, cls: str, ref: str, tokens: Collection[bytes] = ()) -> str:
        """Return the reference of an object, unless it gives access to a session."""
        return self._masks.mask(ref) if cls == SESSION or ref.encode() in tokens else ref

    def session(self, ref: bytes) -> bytes:
        """Return what stands for the reference of a session, wherever it is found."""
        return self._masks.mask(ref.decode()).encode()

    def text(self, text: str, tokens: Collection[bytes] = ()) -> str:
        """Return a sentence about what went wrong, without secrets that a server put into it."""
        for token in tokens:
            text = text.replace(token.decode(), self._masks.mask(token.decode()))
        return self._masks.in_text(text)

    def _usual_of(self, cls: str) -> Usual:
        """Return how records of a class are read; all that xapi does not have share one way."""
        name = cls if self._policy.knows(cls) else EVERY_CLASS
        if name not in self._usual:
            self._usual[name] = Usual(self._policy.rules_of(name))
        return self._usual[name]

    # A serializer writes every record in one way, and xapi's writes names without escapes and
    # nothing between name, colon and value. So a field that the decoder sees is looked for as
    # `"name":`; one that is not found so, or is found twice, goes the long way round. Everything is
    # looked for backwards: what begins with a character that JSON has seldom is found twice as fast
    # from its end as what ends with one that it has often is from its beginning.

    def _short_way(self, usual: Usual, text: bytes, found: Any) -> bytes:
        for field in usual.looked_at:
            value = bytes(field.value_in(found))
            if value:  # it is there
                text = self._with_field(text, field, value)
        return text

    def _long_way(self, usual: Usual, cls: str, text: bytes) -> bytes:
        """Redact a record that is not usual, and learn of it."""
        try:
            if usual.learn(text, self._masks):
                return self._short_way(usual, text, usual.decode(text))
        except _OBJECTIONS:
            pass
        try:
            return self._masks.record(usual.rules, text)
        except (msgspec.DecodeError, RecursionError):
            pass  # not chained: its text could quote the record
        raise ProtocolError(f"a record of class {cls} is no JSON that can be searched for secrets")

    def _with_field(self, text: bytes, field: Field, old: bytes) -> bytes:
        name = text.rfind(field.name)
        start = name + len(field.name)
        if name < 0 or not text.startswith(old, start) or text.rfind(field.name, 0, name) >= 0:
            raise _NotUsual
        new = None if old in EMPTY else self._new_value(field, old)
        return text if new is None else b"".join((text[:start], new, text[start + len(old) :]))

    def _new_value(self, field: Field, old: bytes) -> bytes | None:
        """Return what becomes of a value, None if nothing. Raises msgspec.DecodeError."""
        if not field.is_map or len(old) > REMEMBERED_BYTES_MAX:
            return self._masks.masked(field.rule, old)
        memory = self._memories[field.rule]
        try:
            return memory[old]
        except KeyError:
            pass
        new = self._masks.masked(field.rule, old)
        if len(memory) >= REMEMBERED_MAX:
            memory.clear()
        memory[old] = new
        return new


class PoolRedactor:
    """Takes the secrets out of what one pool says, and the references of our sessions with it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._tokens: deque[bytes] = deque(maxlen=TOKENS_MAX)
        self._refs: frozenset[str] = frozenset()
        """The same, as text."""

    def learn(self, token: str) -> None:
        """Look for the reference of a new session from now on."""
        self._tokens.append(token.encode())
        self._refs = frozenset(token.decode() for token in self._tokens)

    def events(self, events: Iterable[Event]) -> list[Event]:
        """Return a batch without secrets. Raises ProtocolError if a snapshot cannot be read."""
        clean, tokens, refs = self._redactor.record, tuple(self._tokens), self._refs
        cleaned: list[Event] = []
        for event in events:
            old, cls, ref = event.snapshot, event.cls, event.ref
            new = None if old is None else clean(cls, old, tokens)
            if cls == SESSION or ref in refs:
                ref = self._redactor.ref(cls, ref, tokens)
            elif new is old:
                cleaned.append(event)
                continue
            cleaned.append(Event(event.id, event.server_at_s, cls, event.operation, ref, new))
        return cleaned

    def record(self, cls: str, ref: str, snapshot: bytes) -> tuple[str, bytes]:
        """Return reference and record of an object without secrets. Raises ProtocolError."""
        clean = self._redactor.record(cls, snapshot, self._tokens)
        return self._redactor.ref(cls, ref, self._tokens), clean

    def session(self, ref: bytes) -> bytes:
        """Return what stands for the reference of a session, wherever it is found."""
        return self._redactor.session(ref)

    def bare(self, line: bytes) -> bytes:
        """Return a line of text without the references of our sessions."""
        for token in self._tokens:
            line = line.replace(token, self.session(token))
        return line

    def text(self, text: str) -> str:
        """Return a sentence about what went wrong, without secrets that the pool put into it."""
        return self._redactor.text(text, self._tokens)
