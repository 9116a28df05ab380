"""What pools say, without its secrets: the last thing that happens to it before it is a draft.

The usual record has no secret in it, or one that came with the event before: it is searched at the
speed of C, and what was found in a value is remembered. `masks` is the long way round. Nothing here
has to do with `xentrail redact`, which takes a whole snapshot out of a journal afterwards.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from .errors import ProtocolError
from .masks import Masks
from .model import Detail, Event
from .policy import EVERY_CLASS, VERSION, Kind, Policy, Rule

SESSION = "session"
"""The reference of an object of this class is a bearer token."""

TOKENS_MAX = 4
"""References of the newest sessions that are looked for. Those before were logged out, or their
server was not to be reached during as many logins."""

REMEMBERED_MAX = 4096
REMEMBERED_BYTES_MAX = 4096
"""How many maps a rule are remembered with what became of them, up to which size: the configuration
of an object comes with every event of it. Of the usual 300 bytes they take 2 MB."""

_EMPTY = frozenset({b'""', b"{}", b"[]", b""})

_MAP_BEGINS = b'":{"'
_MAP_ENDS = b'"}'
_ABSENT = msgspec.Raw(b"")
_EmptyText = Annotated[str, msgspec.Meta(max_length=0)]


_Memory = dict[bytes, bytes | None]
"""What became of maps, None if nothing, by their text behind the first two bytes."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How records of one class are searched.

    `usual` decodes a record to its fields under a rule, in the order of `fields`, and fails if one
    of the texts is not empty, also one that comes twice; `other` takes texts as they are. A field
    of `fields` is its name with quotes and colon, its rule, and the bit that it has in `maps` if it
    is a map.
    """

    rules: Mapping[str, Rule]
    fields: Sequence[tuple[bytes, Rule, int]]
    maps: Mapping[bytes, tuple[Rule, _Memory, int]]
    usual: "msgspec.json.Decoder[Any]"
    other: "msgspec.json.Decoder[Any]"


class _NotUsual(Exception):
    """The record is written in a way that only the long way round understands."""


class Redactor:
    """Takes the secrets out of events and records. One is enough for all pools."""

    def __init__(self, policy: Policy, key: bytes) -> None:
        """`key` is that of the digests which stand for secrets."""
        self._policy = policy
        self._masks = Masks(policy, key)
        self._memories: dict[Rule, _Memory] = {rule: {} for rule in Rule}
        self._plans: dict[str, _Plan] = {}

    @property
    def in_force(self) -> Detail:
        """What a mark says of policy and key: readers tell by it which digests are comparable."""
        key_id = self._masks.hmac(b"which key is this?")
        return {"redaction": f"{VERSION}:{self._policy.digest}", "redaction_key": key_id}

    def record(self, cls: str, snapshot: bytes, tokens: Collection[bytes] = ()) -> bytes:
        """Return one record without secrets: `snapshot` itself if it has none.

        `cls` in lower case. `tokens` are references of sessions that live. Raises
        ProtocolError if it cannot be read.
        """
        new = self._redacted(cls, snapshot)
        for token in tokens:
            if token in new:
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

    def _redacted(self, cls: str, text: bytes) -> bytes:
        plan = self._plans.get(cls) or self._plan_of(cls)
        try:
            return self._short_way(plan, text)
        except (_NotUsual, msgspec.DecodeError, RecursionError):
            pass
        try:
            return self._masks.record(plan.rules, text)
        except (msgspec.DecodeError, RecursionError):
            pass  # not chained: its text could quote the record
        raise ProtocolError(f"a record of class {cls} is no JSON that can be searched for secrets")

    def _plan_of(self, cls: str) -> _Plan:
        """Return how records of a class are searched; all that xapi does not have share one way."""
        name = cls if self._policy.knows(cls) else EVERY_CLASS
        if name not in self._plans:
            self._plans[name] = _plan(self._policy, self._memories, name)
        return self._plans[name]

    # A serializer writes every record in one way, and xapi's writes names without escapes and
    # nothing between name, colon and value. So a field that `_fields_in` sees is looked for as
    # `"name":`; one that is not found so, or is found twice, goes the long way round.

    def _short_way(self, plan: _Plan, text: bytes) -> bytes:
        maps_due = 0
        new = text
        for place, value in enumerate(msgspec.structs.astuple(_fields_in(plan, text))):
            if len(value) > 2 or (value and bytes(value) not in _EMPTY):
                name, rule, bit = plan.fields[place]
                maps_due |= bit
                if not bit:
                    new = self._with_field(new, name, rule, bytes(value))
        return self._with_maps(plan, new, maps_due) if plan.maps else new

    def _with_field(self, text: bytes, name: bytes, rule: Rule, old: bytes) -> bytes:
        if text.count(name) != 1:
            raise _NotUsual
        new = self._masks.masked(rule, old)
        if new is None:
            return text
        before, _, after = text.partition(name + old)
        if not after:
            raise _NotUsual
        return b"".join([before, name, new, after])

    def _with_maps(self, plan: _Plan, text: bytes, due: int) -> bytes:
        """Replace what is secret in maps, which must be those that are `due`, each once."""
        parts = text.split(_MAP_BEGINS)
        changed, met = False, 0
        before = parts[0]
        for place, part in enumerate(parts[1:], 1):
            known = plan.maps.get(before[before.rfind(b'"') + 1 :])
            before = part
            if known is None:
                continue
            rule, memory, bit = known
            if met & bit:
                raise _NotUsual
            met |= bit
            end = part.find(_MAP_ENDS) + 2
            try:
                new = memory[part[:end]]
            except KeyError:
                new = self._new_map(memory, rule, part[:end])
            if new is not None:
                parts[place], changed = new + part[end:], True
        if met != due:
            raise _NotUsual
        return _MAP_BEGINS.join(parts) if changed else text

    def _new_map(self, memory: _Memory, rule: Rule, rest: bytes) -> bytes | None:
        """Return what becomes of a map, whose text and new text begin with `{"` left out here.

        It was cut behind its first `"}`. If that is not its end it is no JSON: msgspec.DecodeError.
        """
        new = self._masks.masked(rule, _MAP_BEGINS[2:] + rest)
        new = None if new is None else new[2:]
        if len(rest) <= REMEMBERED_BYTES_MAX:
            if len(memory) >= REMEMBERED_MAX:
                memory.clear()
            memory[rest] = new
        return new


class PoolRedactor:
    """Takes the secrets out of what one pool says, and the references of our sessions with it."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._tokens: deque[bytes] = deque(maxlen=TOKENS_MAX)

    def learn(self, token: str) -> None:
        """Look for the reference of a new session from now on."""
        self._tokens.append(token.encode())

    def events(self, events: Iterable[Event]) -> list[Event]:
        """Return a batch without secrets. Raises ProtocolError if a snapshot cannot be read."""
        return [self._event(event) for event in events]

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

    def _event(self, event: Event) -> Event:
        old, tokens = event.snapshot, self._tokens
        new = None if old is None else self._redactor.record(event.cls, old, tokens)
        ref = self._redactor.ref(event.cls, event.ref, tokens)
        if new is old and ref is event.ref:
            return event
        return Event(event.id, event.server_at_s, event.cls, event.operation, ref, new)


def _fields_in(plan: _Plan, text: bytes) -> Any:
    try:
        return plan.usual.decode(text)
    except msgspec.ValidationError:
        # Of two fields of one name only the last is seen, and that may be the one that is empty.
        if any(text.count(name) > 1 for name, _, bit in plan.fields if not bit):
            raise _NotUsual from None
        return plan.other.decode(text)


def _plan(policy: Policy, memories: Mapping[Rule, _Memory], cls: str) -> _Plan:
    """Return how records of a class (in lower case) are searched by a policy."""
    found = policy.rules_of(cls)
    bits = [1 << index if one.kind is Kind.MAP else 0 for index, one in enumerate(found)]
    maps = {
        one.name.encode(): (one.rule, memories[one.rule], bit)
        for one, bit in zip(found, bits, strict=True)
        if bit
    }
    return _Plan(
        {one.name: one.rule for one in found},
        [(f'"{one.name}":'.encode(), one.rule, bit) for one, bit in zip(found, bits, strict=True)],
        maps,
        _decoder([(one.name, one.kind is Kind.TEXT) for one in found]),
        _decoder([(one.name, False) for one in found]),
    )


def _decoder(fields: Sequence[tuple[str, bool]]) -> "msgspec.json.Decoder[Any]":
    """Return a decoder to fields in their order; True for a text that must be empty."""
    types: list[tuple[str, Any, Any]] = [
        (f"field_{index}", _EmptyText, "") if empty else (f"field_{index}", msgspec.Raw, _ABSENT)
        for index, (_, empty) in enumerate(fields)
    ]
    names = {f"field_{index}": name for index, (name, _) in enumerate(fields)}
    struct = msgspec.defstruct("_Fields", types, rename=names)
    return msgspec.json.Decoder(struct)
