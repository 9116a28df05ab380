"""What the record of a pool says just now of tasks and of the objects of a run.

Fed by the durable groups of the keeper: what a run goes by is in the journal already.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec
import trio

from ..model import BaselineRecord, Draft, Event, Mark, MarkName, Operation

TASKS_MAX = 4096
"""A task may end, and be told to have ended, before the answer with its reference is here. A server
keeps some 200 tasks, and calls of a run are answered within seconds, so this is ample: 4 MB."""


class Seen(msgspec.Struct, frozen=True):
    """The last that was told of an object; `seq` is the entry, 0 if it was asked for instead."""

    seq: int
    snapshot: bytes
    gone: bool = False


class Witness:
    """Remembers the last state of all recent tasks, and of the objects that it follows.

    `observe` is an observer of the keeper.
    """

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._tasks: OrderedDict[str, Seen] = OrderedDict()
        self._followed: dict[str, Seen] = {}
        self._bells: dict[str, trio.Event] = {}
        self._epoch_seq = 0

    def observe(self, seqs: range, drafts: Sequence[Draft]) -> None:
        """A group became durable."""
        for seq, draft in zip(seqs, drafts, strict=True):
            if draft.pool != self._pool:
                continue
            match draft.body:
                case Event(cls=cls, ref=ref, snapshot=snapshot, operation=operation):
                    self._told(seq, cls, ref, snapshot, gone=operation is Operation.DEL)
                case BaselineRecord(cls=cls, ref=ref, snapshot=snapshot):
                    self._read(seq, cls, ref, snapshot)
                case Mark(name=MarkName.REGISTERED):
                    self._epoch_seq = seq
                case _:
                    continue

    def follow(self, ref: str, snapshot: bytes) -> None:
        """Follow an object from now on, or take over what was asked for of one that is followed."""
        self._followed[ref] = Seen(0, snapshot)
        self._ring(ref)

    def recall(self, task: str, seen: Seen) -> None:
        """Take what was told of a task before this began, unless something was told since."""
        self._tasks.setdefault(task, seen)

    def task(self, ref: str) -> Seen | None:
        """Return what is known of a task."""
        return self._tasks.get(ref)

    def object(self, ref: str) -> Seen:
        """Return what is known of an object that is followed."""
        return self._followed[ref]

    def follows(self, refs: Iterable[str]) -> bool:
        """Tell whether all of these are followed."""
        return all(ref in self._followed for ref in refs)

    async def news(self, ref: str) -> None:
        """Wait until something is told of an object or a task."""
        await self._bells.setdefault(ref, trio.Event()).wait()

    def _told(self, seq: int, cls: str, ref: str, snapshot: bytes | None, *, gone: bool) -> None:
        """Take an event; one without a record (`del` of a `from` stream) leaves the last one."""
        if cls == "task":
            before = self._tasks.pop(ref, None)
            text = (
                snapshot if snapshot is not None else b"{}" if before is None else before.snapshot
            )
            self._tasks[ref] = Seen(seq, text, gone)
            if len(self._tasks) > TASKS_MAX:
                self._tasks.popitem(last=False)
        elif ref in self._followed:
            self._followed[ref] = Seen(seq, snapshot or self._followed[ref].snapshot, gone)
        self._ring(ref)

    def _read(self, seq: int, cls: str, ref: str, snapshot: bytes) -> None:
        """Take a row of a baseline, unless an event of its epoch, which may be newer, was told."""
        before = self._tasks.get(ref) if cls == "task" else self._followed.get(ref)
        newer = before is not None and before.seq > self._epoch_seq
        if not newer and (cls == "task" or before is not None):
            self._told(seq, cls, ref, snapshot, gone=False)

    def _ring(self, ref: str) -> None:
        bell = self._bells.pop(ref, None)
        if bell is not None:
            bell.set()
