"""What an object was like at an instant, and how certain that is."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from recorder.instant import Instant, time_of
from recorder.model import Stream

from ..history.database import History
from ..load.known import Origin
from ..records import Json
from .certainty import Certainty, Moment, Verdict, moment_of, verdict_of
from .gaps import gap_spans
from .objects import Found, check_pool, number_of, pools
from .plain import check_class
from .pool_facts import facts_of


class FoundAfter(msgspec.Struct, frozen=True):
    """What had become of an object when a gap was over, compared with the state told before.

    `operation` is None if it was as before. `fields` are those that changed, also on the way, and
    `seq` is the entry that told of it last.
    """

    operation: str | None
    fields: list[str]
    seq: int | None


class State(msgspec.Struct, frozen=True, rename={"cls": "class"}):
    """An object at an instant. `exists` is None where nobody can know.

    `seq`, `told_at` and `origin` are of the entry that told the state; `gap` is the seq of the gap
    that the instant lies in; `reason` says why an answer is not `known`, or which lack it has.
    `stream` is how the pool was followed then: with `from` it may have had another state since.
    `found_after` is what was found when the gap was over, None if nothing could be.
    """

    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    certainty: Certainty
    exists: bool | None
    reason: str | None = None
    gap: int | None = None
    seq: int | None = None
    told_at: datetime | None = None
    origin: Origin | None = None
    stream: str | None = None
    found_after: FoundAfter | None = None
    fields: dict[str, Json] = {}

    @property
    def is_certain(self) -> bool:
        """True if nothing else can have been so at the instant."""
        return self.certainty is Certainty.KNOWN and self.stream != Stream.FROM


class States(msgspec.Struct, frozen=True):
    """All objects of a class at an instant, and a verdict for each pool that was asked."""

    at: str
    verdicts: list[Verdict]
    states: list[State]


def state_of(
    history: History, found: Found, instant: Instant, *, known: Instant | None = None
) -> State:
    """Return the state of one object at an instant.

    `known` asks for what could have been answered then: nothing that was recorded later counts,
    neither states nor gaps that were noticed later. Raises BadInstant beyond the journal.
    """
    with history.one_answer():
        moment = moment_of(history, instant, known)
        verdict = verdict_of(history, found.pool, moment)
        rows = _rows_of(history, found, moment.seq)
        if not rows:
            return _before_the_first_row(history, found, verdict, moment)
        skip = _skips(history, found.pool, moment.seq).of(found.cls)
        state = _state(rows[0], _verdict_on(rows[0], verdict, skip))
        found_after = _found_after(history, found, state, moment)
        return msgspec.structs.replace(state, found_after=found_after)


def states_of_class(
    history: History,
    cls: str,
    instant: Instant,
    *,
    pool: str | None = None,
    known: Instant | None = None,
) -> States:
    """Return all objects of a class that existed at an instant, by pool and name.

    `known` is as in `state_of`. Raises NoSuchPool, NoSuchObject for an unknown class, BadInstant
    beyond the journal.
    """
    with history.one_answer():
        check_pool(history, pool)
        check_class(history, cls)
        moment = moment_of(history, instant, known)
        asked = [pool] if pool is not None else pools(history)
        verdicts = {name: verdict_of(history, name, moment) for name in asked}
        skips = {name: _skips(history, name, moment.seq).of(cls.lower()) for name in asked}
        whole = [_verdict_on_class(cls.lower(), verdicts[name], skips[name]) for name in asked]
        rows = _rows(history, cls.lower(), moment.seq, pool=pool)
    states = [_state(row, _verdict_on(row, verdicts[row.pool], skips[row.pool])) for row in rows]
    states.sort(key=lambda state: (state.pool, state.name or "", state.ref))
    return States(str(instant), whole, states)


def states_of_pool(
    history: History, pool: str, instant: Instant, *, known: Instant | None = None
) -> States:
    """Return all objects of a pool that existed at an instant, by class and name.

    `known` is as in `state_of`. Raises NoSuchPool, BadInstant beyond the journal.
    """
    with history.one_answer():
        check_pool(history, pool)
        moment = moment_of(history, instant, known)
        verdict = verdict_of(history, pool, moment)
        rows = _rows(history, None, moment.seq, pool=pool)
        skips = _skips(history, pool, moment.seq)
    states = [_state(row, _verdict_on(row, verdict, skips.of(row.cls))) for row in rows]
    states.sort(key=lambda state: (state.cls, state.name or "", state.ref))
    return States(str(instant), [verdict], states)


class _Found(msgspec.Struct):
    seq: int
    operation: str
    fields: list[str] | None


_FOUND_AFTER = """
SELECT seq, operation, changed_fields AS fields FROM events
WHERE object = $object AND seq > $seq AND seq <= $known
    AND (seq <= $closed OR gap = $gap)
ORDER BY seq
"""
"""Also what was recorded within the gap, before it was noticed; and after it, if the object was in
no baseline, the event that told of it again."""


def _found_after(history: History, found: Found, state: State, moment: Moment) -> FoundAfter | None:
    """Compare the state before a gap with that after it, if the gap is over and both are told."""
    if state.certainty is not Certainty.UNCERTAIN or state.gap is None:
        return None
    gap = next(gap for gap in gap_spans(history, state.pool) if gap.seq == state.gap)
    if gap.closed_seq is None or not moment.knows(gap.closed_seq):
        return None
    who = {"object": number_of(history, found), "seq": state.seq}
    known = _SEQ_MAX if moment.known_seq is None else moment.known_seq
    within = {"gap": gap.seq, "closed": gap.closed_seq, "known": known}
    rows = history.all(_Found, _FOUND_AFTER, {**who, **within})
    if rows:
        fields = sorted({name for row in rows for name in row.fields or ()})
        return FoundAfter(_outcome(rows), fields, rows[-1].seq)
    if _skips(history, state.pool, gap.closed_seq).of(state.cls) is not None:
        return None
    return FoundAfter(None, [], None)


def _outcome(rows: Sequence[_Found]) -> str:
    """Return what several operations on an object come to."""
    told = [row.operation for row in rows]
    return told[-1] if told[-1] == "del" or "add" not in told else "add"


_SEQ_MAX = 2**63 - 1


# -- rows --------------------------------------------------------------------------------------


class _Row(msgspec.Struct, rename={"cls": "class"}):
    pool: str
    cls: str
    ref: str
    uuid: str | None
    name: str | None
    seq: int
    received_at: datetime
    operation: str
    origin: Origin
    snapshot: str | None


_COLUMNS = "pool, class, ref, uuid, name, seq, received_at, operation, origin, snapshot"


def _rows(history: History, cls: str | None, position: int, *, pool: str | None) -> list[_Row]:
    """Return the last rows of all objects that were there at a position."""
    return history.all(_Row, _LIVING, {"class": cls, "position": position, "pool": pool})


def _rows_of(history: History, found: Found, position: int) -> list[_Row]:
    """Return the last row of an object at a position, if there is one."""
    params = {"object": number_of(history, found), "position": position}
    rows = msgspec.convert(history.plain(_OF_ONE, params), list[_One])
    who = found.pool, found.cls, found.ref
    return [
        _Row(*who, uuid, name, seq, time_of(at_us), operation, origin, snapshot)
        for uuid, name, seq, at_us, operation, origin, snapshot in rows
    ]


_One = tuple[str | None, str | None, int, int, str, Origin, str | None]
_OF_ONE = """
SELECT uuid, name, seq, epoch_us(received_at), operation, origin, snapshot
FROM events WHERE rowid = (
    SELECT arg_max(rowid, seq) FROM events WHERE object = $object AND seq <= $position
)
"""
_LIVING = f"""
WITH newest AS (
    SELECT arg_max(rowid, seq) AS place, arg_max(operation, seq) AS operation FROM events
    WHERE seq <= $position AND ($pool IS NULL OR pool = $pool)
        AND ($class IS NULL OR class = $class)
    GROUP BY object
)
SELECT {_COLUMNS} FROM events WHERE rowid IN (SELECT place FROM newest WHERE operation <> 'del')
"""  # noqa: S608  # names are ours
"""By their place in the table, so that no other snapshot is unpacked: that takes most time."""


def _state(row: _Row, verdict: Verdict) -> State:
    exists = row.operation != "del"
    fields: dict[str, Json] = {}
    if exists and row.snapshot is not None:
        fields = msgspec.json.decode(row.snapshot)
    return State(
        pool=row.pool,
        cls=row.cls,
        ref=row.ref,
        uuid=row.uuid,
        name=row.name,
        certainty=verdict.certainty,
        exists=exists,
        reason=verdict.reason if verdict.certainty is not Certainty.KNOWN else None,
        gap=verdict.gap,
        seq=row.seq,
        told_at=row.received_at,
        origin=row.origin,
        stream=verdict.stream,
        fields=fields,
    )


def _before_the_first_row(
    history: History, found: Found, verdict: Verdict, moment: Moment
) -> State:
    """An object without a row up to the instant: not there yet, or nobody can know."""
    state = State(
        pool=found.pool,
        cls=found.cls,
        ref=found.ref,
        uuid=found.uuid,
        name=found.name,
        certainty=Certainty.UNKNOWN,
        exists=None,
        reason=verdict.reason,
        gap=verdict.gap,
        stream=verdict.stream,
    )
    if verdict.certainty is not Certainty.KNOWN or not verdict.complete:
        return state
    first = history.first(
        _First,
        "SELECT first_operation, first_origin, first_seq FROM objects WHERE first_seq = $object",
        {"object": number_of(history, found)},
    )
    assert first is not None, "what was found is an object"
    if not moment.knows(first.first_seq):
        reason = f"nothing had told of it yet up to @{moment.known_seq}"
        return msgspec.structs.replace(
            state, certainty=Certainty.KNOWN, exists=False, reason=reason
        )
    if first.first_operation == "add" and first.first_origin != Origin.BASELINE:
        reason = f"did not exist before @{first.first_seq}"
        return msgspec.structs.replace(
            state, certainty=Certainty.KNOWN, exists=False, reason=reason
        )
    reason = f"first seen at @{first.first_seq}, when it had existed for an unknown time"
    return msgspec.structs.replace(state, reason=reason)


class _First(msgspec.Struct):
    first_operation: str
    first_origin: str
    first_seq: int


class _Skip(msgspec.Struct):
    """The mark that an epoch could not read a class, or the registration of the epoch."""

    seq: int
    epoch: int


class _Skips(msgspec.Struct):
    """What the newest epoch of a pool could not read: the marks by class, `read` are the classes
    that were ever read. `epoch` is None where there is no epoch yet."""

    epoch: int | None
    marks: dict[str, int]
    read: frozenset[str]

    def of(self, cls: str) -> _Skip | None:
        """Return the mark, if there is one, that a class could not be read.

        For a class that was never read at all that is the registration of the epoch.
        """
        if self.epoch is None:
            return None
        if cls in self.marks:
            return _Skip(self.marks[cls], self.epoch)
        return None if cls in self.read else _Skip(self.epoch, self.epoch)


def _skips(history: History, pool: str, position: int) -> _Skips:
    """Return what the newest epoch up to a position could not read."""
    facts = facts_of(history, pool)
    epoch = facts.epoch_at(position)
    if epoch is None or facts.reach is None:
        return _Skips(None, {}, frozenset())
    marks = {
        mark.cls: mark.seq
        for mark in facts.skipped
        if mark.epoch == epoch.seq and mark.seq <= position
    }
    return _Skips(epoch.seq, marks, facts.reach.classes)


def _verdict_on_class(cls: str, verdict: Verdict, skip: _Skip | None) -> Verdict:
    """Of a class that was not read, only what events tell is told."""
    if verdict.certainty is not Certainty.KNOWN or not verdict.complete or skip is None:
        return verdict
    reason = f"class {cls} was not read (@{skip.seq}): only what events told is known of it"
    return msgspec.structs.replace(verdict, reason=reason, complete=False)


def _verdict_on(row: _Row, verdict: Verdict, skip: _Skip | None) -> Verdict:
    """What a baseline could not read stays unconfirmed beyond the end of the gap before it."""
    if row.snapshot is None and row.operation != "del":
        reason = f"what was recorded of it at @{row.seq} was redacted"
        return Verdict(row.pool, Certainty.UNCERTAIN, reason, stream=verdict.stream)
    if verdict.certainty is not Certainty.KNOWN or skip is None or row.seq > skip.epoch:
        return verdict
    reason = f"class {row.cls} could not be read again after a gap (@{skip.seq})"
    return Verdict(row.pool, Certainty.UNCERTAIN, reason, stream=verdict.stream)
