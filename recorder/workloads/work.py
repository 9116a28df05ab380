"""What a kind of steps works with: calls that are recorded, lanes side by side, failures obeyed.

A kind is straight-line code: a call that does not succeed ends its lane by itself, and the others
go on, or do not, as the step says.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import msgspec
import trio
from msgspec.structs import replace

from ..errors import ProtocolError, TransportError, WorkloadError, XapiFault
from ..xapi.jsonrpc import Param
from .calls import Call
from .engine import Engine
from .evidence import Intent
from .inventory import host_in, vm_in
from .methods import PARAMS
from .outcomes import Ended, Outcome
from .past import StepPast
from .plan import Lane, Part, Plan, Subject
from .proofs import MAKERS
from .retrace import Retrace
from .scripts import OnFailure, Step
from .verdict import Tally

T = TypeVar("T")


class LaneEnded(Exception):
    """A call did not succeed, or the run stops: nothing more is done to this object."""


class Course(msgspec.Struct):
    """How a run goes, over all its parts: the calls made so far, and whether it goes on.

    `retrace` are the calls of a resumed run that are still to be found again.
    """

    plan: Plan
    engine: Engine
    numbers: int = 0
    failed: bool = False
    retrace: Retrace = msgspec.field(default_factory=Retrace)
    names: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    """Uuid and name of the VMs that the run has made."""
    tallies: dict[int, Tally] = msgspec.field(default_factory=dict)
    """What came of the calls of each part that was begun."""

    def next_number(self) -> int:
        """Return the number of the next call."""
        self.numbers += 1
        return self.numbers


class Work:
    """One part of a plan, as its kind sees it."""

    def __init__(self, course: Course, part: Part, *, kind: str | None = None) -> None:
        """`kind` is what the journal calls it, else the kind of the step."""
        self.part = part
        self.seed = course.plan.seed
        self._course = course
        self._engine = course.engine
        self._kind = kind or part.step.kind.value
        self._chosen = {lane.ref for lane in part.lanes}
        self._over: set[str] = set()
        self._next_s = 0.0
        self._tally = course.tallies.setdefault(part.index, Tally())
        if course.retrace.has_failed(part.index):
            self._failed()

    async def do(
        self, ref: str, method: str, *params: Param, round_: int = 0, at: str | None = None
    ) -> Ended:
        """Make a call (`VM.start`) in the background and wait for the end of its task.

        Without `params` the usual ones of the method come behind the reference. `at` is the host
        where the VM has to be. Raises LaneEnded, which the lane takes, if it does not succeed;
        WorkloadError for an object that was not chosen, or a resumed run that does not do again
        what it did.
        """
        step = self._recorded(ref, method, params, round_)
        if step is not None and step.ended is not None:
            return self._come_of(step.intent, step.ended)
        if self._course.failed:
            if step is not None:
                await self.drop(step)
            raise LaneEnded
        await self._pace()
        if step is not None:  # It was intended, and not made.
            return await self._carry_out(step.intent, at, is_intended=True)
        return await self._carry_out(self._intent(ref, method, params, round_), at)

    async def do_anyway(self, ref: str, method: str, *, round_: int = 0) -> None:
        """Make a call that puts something back in order, also when the run is being stopped."""
        step = self._recorded(ref, method, (), round_)
        if step is not None and step.ended is not None:
            self._come_of(step.intent, step.ended)
            return
        intent = self._intent(ref, method, (), round_) if step is None else step.intent
        with self._engine.patience.scope():
            await self._carry_out(intent, None, is_intended=step is not None)

    async def skip(self, ref: str, method: str, *params: Param, why: str, round_: int = 0) -> None:
        """Say that a call is not made, and why not."""
        step = self._recorded(ref, method, params, round_)
        if step is not None and step.ended is not None:
            self._come_of(step.intent, step.ended, ends_lane=False)
            return
        self._tally.add(await self._engine.skip(self._intent(ref, method, params, round_), why))

    async def catch_up(self, ref: str) -> None:
        """Take what came of all recorded calls to an object, whatever is decided from now on.

        Raises LaneEnded if one did not succeed.
        """
        is_over = False
        for step in self._course.retrace.all_of(self.part.index, ref):
            if step.ended is None:
                await self.drop(step)
                continue
            self.leave(step)
            if step.is_undone:
                continue
            if step.ended.has_failed:
                self._failed()
            is_over |= step.ended.has_failed or step.ended.outcome is Outcome.SKIPPED
        if is_over:
            raise LaneEnded

    def leave(self, step: StepPast) -> None:
        """Count a recorded call of which nothing comes any more."""
        assert step.ended is not None
        self._engine.tell.ended(step.intent, step.ended)
        self._tally.add(step.ended)

    async def drop(self, step: StepPast) -> None:
        """Close a call that was intended and not made, and that nothing comes to any more."""
        why = "the driver died before it was made, and the run did not come to it again"
        call = call_of(step.intent, self.part.step)
        self._tally.add(await self._engine.close(call, None, Ended(Outcome.CANCELLED, why)))

    async def noted(
        self, name: str, kind: type[T], look: Callable[[], Awaitable[T]], *, about: str = ""
    ) -> T:
        """Return what `look` gives, which the record keeps: a resumed run goes by the same.

        That holds once a call (to the object `about`, if one is named) came of it; until then it
        looks again. `kind` is a type of which JSON can be made. `name` is used once a part, or
        once an object.
        """
        known = self._course.retrace.noted(self.part.index, about, name)
        if known is not None:
            return msgspec.json.decode(known, type=kind)
        value = await look()
        with self._engine.patience.scope():
            text = msgspec.json.encode(value)
            await self._engine.evidence.noted(self.part.index, about, name, text)
        return value

    async def until_power_state(self, ref: str, power_state: str) -> None:
        """Wait until events say that a VM is in a power state, for `timeouts.wait` at most.

        If it never is, the next call says so: it needs the power state.
        """
        if self._course.retrace.is_ahead(self.part.index, ref):
            return  # It was, and the next call was made.
        wait_s = self.part.step.timeouts.wait
        with suppress(TransportError, ProtocolError, XapiFault):
            await self._engine.until(ref, lambda vm: vm.power_state == power_state, wait_s)

    async def abreast(self, life: Callable[[Lane], Awaitable[None]]) -> None:
        """Live the lanes side by side, `concurrency` at a time, but for those that are over.

        They are begun in their order, so that a run that is repeated begins them in the same one.
        In the nursery: a task a lane; it ends with the last of them.
        """
        limit = trio.Semaphore(self.part.step.concurrency)

        async def live(lane: Lane) -> None:
            try:
                async with self.lane(lane):
                    await life(lane)
            finally:
                limit.release()

        async with trio.open_nursery() as nursery:
            for lane in self.part.lanes:
                if lane.ref not in self._over:
                    await limit.acquire()
                    nursery.start_soon(live, lane)

    @asynccontextmanager
    async def lane(self, lane: Lane) -> AsyncIterator[None]:
        """Live one lane; it is over once a call in it did not succeed."""
        try:
            yield
        except LaneEnded:
            self._over.add(lane.ref)

    def adopt(self, done: Ended, name: str) -> str:
        """Take what a call has made for a VM of this run; return its reference."""
        ref = done.created_ref
        if ref is None:
            raise LaneEnded
        self._course.names[ref] = "", name
        return ref

    def name(self, ref: str) -> str:
        """Return the name of a VM or host."""
        made = self._course.names.get(ref)
        return self._course.plan.name_of(ref) if made is None else made[1]

    def host(self, vm: str) -> str:
        """Return where a VM is, as far as events tell."""
        return vm_in(self._engine.witness.object(vm).snapshot).resident_on

    async def untouchable_on(self, host: str) -> str | None:
        """Name a VM on a host that must not be touched, and why not; None if there is none.

        Control domains do not count: they stay.
        """
        try:
            record = await self._engine.record_now(Subject.HOST, host)
            if record is None:
                return "the host is gone"
            for ref in host_in(record).resident_VMs:
                vm = await self._engine.vm_now(ref)
                if vm is not None and vm.forbidden is not None and not vm.is_control_domain:
                    return f"{vm.name_label} is there, and {vm.forbidden}"
        except (TransportError, ProtocolError, XapiFault) as error:
            return f"nobody could say which VMs are there: {error}"
        return None

    async def _carry_out(
        self, intent: Intent, at: str | None, *, is_intended: bool = False
    ) -> Ended:
        if intent.cls is Subject.VM and not self._engine.witness.follows([intent.ref]):
            await self._meet(intent.ref)
        if intent.method in MAKERS and not is_intended:
            intent = replace(intent, namesakes=await self._called(str(intent.params[0])))
        call = call_of(intent, self.part.step, at)
        ended = await self._engine.carry_out(call, is_intended=is_intended)
        return self._come_of(None, ended)

    def _come_of(self, again: Intent | None, ended: Ended, *, ends_lane: bool = True) -> Ended:
        """Count what came of a call, and end the lane if it must be; `again` if it is recorded."""
        if again is not None:
            self._engine.tell.ended(again, ended)
        self._tally.add(ended)
        if ended.has_failed:
            self._failed()
            raise LaneEnded
        if ended.outcome is Outcome.SKIPPED and ends_lane:
            raise LaneEnded  # What builds on it cannot be done either.
        return ended

    def _failed(self) -> None:
        if self.part.step.on_failure is not OnFailure.CONTINUE:
            self._course.failed = True

    def _recorded(
        self, ref: str, method: str, params: tuple[Param, ...], round_: int
    ) -> StepPast | None:
        """Return the recorded call that this one is; those before it that are undone count."""
        params = params or PARAMS.get(method, ())
        while True:
            step = self._course.retrace.take(self.part.index, ref, method, params, round_)
            if step is None or not step.is_undone:
                return step
            self.leave(step)

    async def _called(self, name: str) -> tuple[str, ...] | None:
        """Return the VMs of a name before there is another one."""
        try:
            return tuple(sorted(await self._engine.vms_called(name)))
        except (TransportError, ProtocolError, XapiFault):
            return None

    async def _meet(self, ref: str) -> None:
        """Follow a VM that the run has made."""
        try:
            record = await self._engine.record_now(Subject.VM, ref)
        except (TransportError, ProtocolError, XapiFault):
            record = None
        self._engine.witness.follow(ref, record or b"{}")
        if record is not None:
            self._course.names[ref] = vm_in(record).uuid, self.name(ref)

    def _intent(self, ref: str, method: str, params: tuple[Param, ...], round_: int) -> Intent:
        cls = Subject(method.partition(".")[0])
        found = self._course.plan.found.get(ref) or self._course.plan.hosts.get(ref)
        known = (found.uuid, found.name) if found is not None else self._course.names.get(ref)
        if known is None or (ref not in self._chosen and ref not in self._course.names):
            raise WorkloadError(f"{method}: {ref} is not among the objects of this step")
        return Intent(
            self._course.next_number(),
            self.part.index,
            self._kind,
            round_,
            cls,
            ref,
            *known,
            method,
            params or PARAMS.get(method, ()),
        )

    async def _pace(self) -> None:
        """Let `pause_s` pass since the last call of this part began."""
        now_s = trio.current_time()
        turn_s = max(now_s, self._next_s)
        self._next_s = turn_s + self.part.step.pause_s
        await trio.sleep_until(turn_s)


def call_of(intent: Intent, step: Step, at: str | None = None) -> Call:
    """Return a call of a step of a script, with what it may take."""
    return Call(intent, step.timeouts.of(intent.method), step.timeouts.wait, at)
