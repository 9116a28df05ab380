"""How a call becomes an errand: what its headers ask for, its task, and how lines of it begin."""

import itertools
from collections.abc import Sequence
from enum import StrEnum
from hashlib import md5
from uuid import UUID

from .audit import AuditTrail, Stamp
from .calls import Call, Sent
from .catalogue import Param, Signature
from .door import Door
from .errand import Errand, dummy, dummy_label, is_real, stamped
from .pool import SimulatedPool
from .sessions import Sessions
from .values import NULL_REF, DateTime, Value, datetime_of, text_of

_OTHER_CONFIG = "x-http-other-config-"
_GARBAGE_COLLECTION = "DB GC"


class Mode(StrEnum):
    """How a method is called: its prefix."""

    SYNC = ""
    ASYNC = "Async."
    INTERNAL_ASYNC = "InternalAsync."


class Errands:
    """Makes the errands of one pool."""

    def __init__(self, pool: SimulatedPool, sessions: Sessions, trail: AuditTrail) -> None:
        self._database = pool.database
        self._tasks = pool.tasks
        self._sessions = sessions
        self._trail = trail
        self._dummies = (f"dummy task {n} of {pool.spec.seed}" for n in itertools.count())

    def make(
        self, session: str, signature: Signature, call: Call, mode: Mode, door: Door
    ) -> Errand:
        """Return the call with its task, which is made here unless the caller names one.

        Whatever may be called with `Async.` has a task with a row, called either way. Raises Fault
        HANDLE_INVALID for a task that is named and does not exist.
        """
        named = call.headers.get("task-id")
        forwarded = named is not None and mode is not Mode.INTERNAL_ASYNC
        if named is not None and forwarded:
            task, label = named, self._label(named)
        elif signature.has_async:
            task, label = self._begin(session, call), call.method
        else:
            task, label = dummy(self._new_uuid(), call.method), call.method
        thread = door.thread_name
        if mode is not Mode.SYNC:
            thread = door.spawned(self._trail.thread())
        told = call.headers.get(f"{_OTHER_CONFIG}dbg") or stamped(label, task)
        stamp = Stamp(door.address, thread, told)
        given = _given(signature.params, call.params[1:])
        return Errand(session, signature.name, given, task, stamp, forwarded)

    def nameless(self, session: str, name: str, label: str, door: Door) -> Errand:
        """Return something without arguments that no thread of a client does."""
        task = dummy(self._new_uuid(), label)
        return Errand(session, name, {}, task, Stamp(door.address, door.nameless, _told(task)))

    def stamp(self, door: Door, label: str) -> Stamp:
        """Return how the lines of a call begin that has neither row nor errand: a login."""
        return Stamp(door.address, door.thread_name, _told(dummy(self._new_uuid(), label)))

    def stamp_of_collection(self, address: str) -> Stamp:
        """Return how lines begin of what the garbage collection of a host does."""
        task = dummy(self._new_uuid(), _GARBAGE_COLLECTION)
        return Stamp(address, f"{self._trail.thread()} ", _told(task))

    def now(self) -> DateTime:
        """Return the server's time as tasks have it."""
        return datetime_of(self._database.now_s())

    def _begin(self, session: str, call: Call) -> str:
        parent = call.headers.get("subtask-of", NULL_REF)
        known = is_real(parent) and self._database.exists("task", parent)
        told: dict[str, Value] = {
            f"http:{name.removeprefix(_OTHER_CONFIG)}": value
            for name, value in call.headers.items()
            if name.startswith(_OTHER_CONFIG)
        }
        task = self._tasks.begin(
            call.method, parent=parent if known else NULL_REF, other_config=told
        )
        self._sessions.own(task, session)
        return task

    def _label(self, task: str) -> str:
        """Return the name of a task. Fault HANDLE_INVALID."""
        if not is_real(task):
            return dummy_label(task)
        return text_of(self._database.record("task", task), "name_label")

    def _new_uuid(self) -> str:
        """Return the uuid of a dummy.

        It is not drawn from the pool's own numbers: reading must not change what comes next.
        """
        return str(UUID(md5(next(self._dummies).encode(), usedforsecurity=False).hexdigest()))


def _told(task: str) -> str:
    return stamped(dummy_label(task), task)


def _given(params: Sequence[Param], sent: Sequence[Sent]) -> dict[str, Sent]:
    """Return the arguments by name, as they were sent; a constructor's record is taken apart."""
    given: dict[str, Sent] = {}
    for number, param in enumerate(params):
        value = sent[number] if number < len(sent) else _as_sent(param.default)
        if param.type.startswith("record:") and isinstance(value, dict):
            given |= value
        else:
            given["_ref" if param.name == "ref" else param.name] = value
    return given


def _as_sent(value: Value | None) -> Sent:
    if isinstance(value, list):
        return [_as_sent(item) for item in value]
    if isinstance(value, dict):
        return {name: _as_sent(item) for name, item in value.items()}
    return value
