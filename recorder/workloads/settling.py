"""Finds out what became of the calls that a driver which died, or was stopped, left behind.

What is known of a task decides; where there is none, the state of the object. A call of which
neither tells is interrupted, and never made again. Only if the pool has kept all its tasks since
the intent, and none of them can be the one, was it not made: that one keeps no outcome yet.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio

from ..errors import ProtocolError, TransportError, XapiFault
from .calls import Call
from .engine import Engine
from .inventory import vm_in
from .outcomes import Ended, Outcome
from .past import RunPast, StepPast

ARRIVAL_S = 3.0
"""A call that was on its way when its driver died has begun by then: its connection is closed."""
KEPT_NS = 3600 * 10**9
"""A server keeps complete tasks for 65 minutes."""
TASKS_MAX = 200
"""Above so many it drops complete ones at once."""


class Named(msgspec.Struct, frozen=True):
    """The field of a task that says what it does."""

    name_label: str = ""


class Settling:
    """Settles the open steps of a run; `call_of` says how long one may take."""

    def __init__(
        self,
        engine: Engine,
        past: RunPast,
        *,
        toolstack: str,
        call_of: Callable[[StepPast], Call],
    ) -> None:
        self._engine = engine
        self._past = past
        self._toolstack = toolstack
        self._call_of = call_of

    async def settle(self) -> None:
        """Give every open step its outcome, but for those that were not made.

        In the nursery: a task a step; it ends when the tasks of the pool that are under way do.
        """
        steps = self._past.open_steps
        for step in steps:
            seen = None if step.task is None else self._past.tasks.get(step.task)
            if step.task is not None and seen is not None:
                self._engine.witness.recall(step.task, seen.seen)
        candidates: dict[int, list[str]] = {}
        if any(step.task is None for step in steps):
            await trio.sleep(ARRIVAL_S)
            candidates = await self._candidates([step for step in steps if step.task is None])
        async with trio.open_nursery() as nursery:
            for step in steps:
                nursery.start_soon(self._settle, step, candidates.get(step.intent.number))

    async def _settle(self, step: StepPast, candidates: Sequence[str] | None) -> None:
        call = self._call_of(step)
        if step.task is None and candidates is not None and self._is_one(step, candidates):
            (step.task,) = candidates
            await self._engine.evidence.called(step.intent, step.task)
        if step.task is not None:
            step.ended = await self._engine.finish(call, step.task, is_resumed=True)
            return
        ended = await self._by_state(step, candidates)
        if ended is not None:
            step.ended = await self._engine.close(call, None, ended)

    def _is_one(self, step: StepPast, candidates: Sequence[str]) -> bool:
        """Whether there is just one task that can be that of a step, and it is seen at work."""
        works = self._past.at_work
        return len(candidates) == 1 and works.get(candidates[0]) == step.intent.ref

    async def _by_state(self, step: StepPast, candidates: Sequence[str] | None) -> Ended | None:
        """Return what the state of the object says; None if the call was not made."""
        why = "the driver died, and nobody knows whether the call was made"
        try:
            proof = await self._engine.proof(step.intent)
        except (TransportError, ProtocolError, XapiFault) as error:
            text = self._engine.redactor.text(str(error))
            return Ended(Outcome.INTERRUPTED, f"{why}: {text}")
        if proof is not None:
            text = f"{why}; {proof.why}"
            return Ended(Outcome.VANISHED, text, source="state", made=proof.made)
        return None if candidates == [] else Ended(Outcome.INTERRUPTED, why)

    async def _candidates(self, steps: Sequence[StepPast]) -> dict[int, list[str]]:
        """Return for steps without a task the tasks that can be theirs; none where it is unsure.

        Tasks that were told of before the intent are not, and those that work on other objects.
        """
        try:
            tasks = await self._engine.driver.ask("task.get_all_records", returns=dict[str, Named])
            for step in steps:
                await self._look_at(step)
        except (TransportError, ProtocolError, XapiFault):
            return {}
        return {
            step.intent.number: self._fitting(step, tasks)
            for step in steps
            if self._has_kept(step, tasks) or self._at_work_on(step, tasks)
        }

    async def _look_at(self, step: StepPast) -> None:
        """Note which tasks work on the object of a step just now."""
        ref = step.intent.ref
        record = await self._engine.record_now(step.intent.cls, ref)
        if record is not None:
            self._past.at_work.update(dict.fromkeys(vm_in(record).current_operations, ref))

    def _fitting(self, step: StepPast, tasks: Mapping[str, Named]) -> list[str]:
        """Return the tasks that can be that of a step; those at work on its object, if any."""
        ours = {one.task for one in self._past.steps.values()}
        works, wanted = self._past.at_work, f"Async.{step.intent.method}"
        fitting = [
            task
            for task, named in tasks.items()
            if named.name_label == wanted
            and task not in ours
            and works.get(task, step.intent.ref) == step.intent.ref
            and task not in self._past.before
            and not self._was_before(task, step)
        ]
        return [task for task in fitting if task in works] or fitting

    def _at_work_on(self, step: StepPast, tasks: Mapping[str, Named]) -> bool:
        return any(task in self._past.at_work for task in self._fitting(step, tasks))

    def _was_before(self, task: str, step: StepPast) -> bool:
        told = self._past.tasks.get(task)
        return told is not None and told.first_seq < step.seq

    def _has_kept(self, step: StepPast, tasks: Mapping[str, Named]) -> bool:
        """Whether the pool still has all tasks that were begun since a step was intended."""
        is_same = self._toolstack != "" and step.toolstack == self._toolstack
        is_same = is_same and step.seq > self._past.ids.restarted_seq
        is_young = self._engine.evidence.now_ns() - step.at_ns < KEPT_NS
        return is_same and is_young and len(tasks) < TASKS_MAX
