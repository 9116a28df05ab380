"""Makes one call after the other, write-ahead: intent, call, task and outcome, each durable first.

An outcome comes from the events that were recorded. Where they do not tell it, because a task is
gone or the recorder was blind, the task is asked for, at most once in ASK_S.
"""

from collections.abc import Callable

import msgspec
import trio
from msgspec.structs import replace

from .. import logs
from ..errors import ProtocolError, TransportError, XapiFault
from ..redaction.redact import PoolRedactor
from .calls import Call, Tell
from .driver import Driver, Unanswered
from .evidence import Evidence, Intent
from .inventory import NULL_REF, VmRecord, vm_in
from .methods import CHANGED_CODES, needs_of
from .outcomes import Ended, Outcome, ended_as, task_in
from .patience import WRITE_S, Patience
from .plan import Subject
from .proofs import MAKERS, proof_of
from .witness import Witness

ASK_S = 60.0
"""How long a task without news is left to the events. With 50 under way that is a call a second."""
ASK_BLIND_S = 5.0
"""The same while the events of the pool do not come."""
ASK_HURRIED_S = 0.5
"""The same once the recorder itself is stopping, which records nothing any more."""
DESTROY_S_MAX = 5.0
"""The next call does not wait for longer; after that time there is no session, usually."""
CANCEL_S_MAX = 60.0
"""A task that was cancelled ends at its next chance, up to 20 s later; if it does not end in this
time it is left alone."""


class Engine(msgspec.Struct):
    """What the calls of one run have in common.

    `is_live` tells whether the pool is recorded without a gap just now; `tell` is told of every
    call as it is made and as it ends, and of the progress of tasks. `tasks` are those under way.
    """

    evidence: Evidence
    witness: Witness
    driver: Driver
    redactor: PoolRedactor
    is_live: Callable[[], bool]
    tell: Tell
    patience: Patience = msgspec.field(default_factory=Patience)
    tasks: set[str] = msgspec.field(default_factory=set)

    async def carry_out(self, call: Call, *, is_intended: bool = False) -> Ended:
        """Make a call and wait for its end. A cancellation cancels the task and waits for that.

        `is_intended` if its intent is in the journal, and it is known that it was not made.
        """
        if not is_intended:
            with self.patience.scope():
                await self.evidence.intended(call.intent)
        try:
            ended = await self._unready(call)
        except trio.Cancelled:
            why = "the run was stopped before the call"
            await self.close(call, None, Ended(Outcome.CANCELLED, why, stopped=True))
            raise
        if ended is not None:
            return await self.close(call, None, ended)
        return await self._make(call)

    async def skip(self, intent: Intent, why: str) -> Ended:
        """Write down that a call is not made, on purpose."""
        ended = Ended(Outcome.SKIPPED, why)
        with self.patience.scope(extra_s=WRITE_S):
            await self.evidence.skipped(intent, ended)
        self.tell.ended(intent, ended)
        return ended

    async def vm_now(self, ref: str) -> VmRecord | None:
        """Ask for a VM; None if it is gone. Raises as `Driver.ask`."""
        snapshot = await self.record_now(Subject.VM, ref)
        if snapshot is None:
            return None
        if self.witness.follows([ref]):
            self.witness.follow(ref, snapshot)
        return vm_in(snapshot)

    async def until(self, ref: str, holds: Callable[[VmRecord], bool], timeout_s: float) -> bool:
        """Wait until something holds for a VM, by its events; False if it does not in this time.

        Raises as `Driver.ask`.
        """
        until_s = trio.current_time() + timeout_s
        while not holds(vm_in((seen := self.witness.object(ref)).snapshot)):
            left_s = until_s - trio.current_time()
            if left_s <= 0 or seen.gone:
                return False
            with trio.move_on_after(min(left_s, self._ask_s)) as quiet:
                await self.witness.news(ref)
            if quiet.cancelled_caught and await self.vm_now(ref) is None:
                return False
        return True

    @property
    def _ask_s(self) -> float:
        if self.patience.is_short:
            return ASK_HURRIED_S
        return ASK_S if self.is_live() else ASK_BLIND_S

    # -- before the call ---------------------------------------------------------------------------

    async def _unready(self, call: Call) -> Ended | None:
        """Return why a call is not made, None if it may be."""
        if call.intent.cls is not Subject.VM:
            return None
        try:
            return await self._vm_unready(call)
        except (TransportError, ProtocolError, XapiFault) as error:
            return self._no_session(error)

    async def _vm_unready(self, call: Call) -> Ended | None:
        """What the record says is checked with the pool before it is held against a VM."""
        needs, ref = needs_of(call.intent.method), call.intent.ref
        seen = self.witness.object(ref)
        vm: VmRecord | None = vm_in(seen.snapshot)
        if seen.gone or _differs(vm, needs.power_state, call.at):
            vm = await self.vm_now(ref)
        if vm is not None and vm.forbidden is not None:
            return Ended(Outcome.SKIPPED, vm.forbidden)
        difference = _differs(vm, needs.power_state, call.at)
        if difference is not None:
            return Ended(Outcome.CHANGED, difference)
        return None if needs.allowed is None else await self._unallowed(call, needs.allowed)

    async def _unallowed(self, call: Call, operation: str) -> Ended | None:
        """Wait until XAPI allows an operation; return why it is not called, None if it may be."""
        power_state, ref = needs_of(call.intent.method).power_state, call.intent.ref

        def is_decided(now: VmRecord) -> bool:
            is_other = _differs(now, power_state, call.at) is not None
            return is_other or operation in now.allowed_operations

        is_over = await self.until(ref, is_decided, call.wait_s)
        vm: VmRecord | None = vm_in(self.witness.object(ref).snapshot)
        if not is_over or _differs(vm, power_state, call.at) is not None:
            vm = await self.vm_now(ref)
        difference = _differs(vm, power_state, call.at)
        if difference is not None:
            return Ended(Outcome.CHANGED, difference)
        if is_over:
            return None
        why = f"{operation} was not allowed within {call.wait_s:g} s: is the guest agent running?"
        return Ended(Outcome.FAILURE, why)

    # -- the call ----------------------------------------------------------------------------------

    async def _make(self, call: Call) -> Ended:
        """Make the call; from here on it is not left without an outcome."""
        why = "the recorder was stopped during the call"
        began: str | Ended = Ended(Outcome.INTERRUPTED, why, stopped=True)
        with self.patience.scope():
            began = await self._begin(call)
        if isinstance(began, Ended):
            return await self.close(call, None, began)
        return await self.finish(call, began)

    async def finish(self, call: Call, task: str, *, is_resumed: bool = False) -> Ended:
        """See a call to its end; one of a driver that died is asked for at once, and took 0 s."""
        self.tasks.add(task)
        began_s = trio.current_time()
        try:
            ended = await self._end_of(call, task, asks_first=is_resumed)
        except trio.Cancelled:
            why = "the recorder was stopped before the task ended"
            stopped = Ended(Outcome.INTERRUPTED, why)
            with self.patience.scope():
                stopped = await self._cancelled(call, task, "the run was stopped")
            await self.close(call, task, _stopped(_lasted(stopped, began_s)))
            raise
        return await self.close(call, task, ended if is_resumed else _lasted(ended, began_s))

    async def _begin(self, call: Call) -> str | Ended:
        """Return the task of the call, or why there is none."""
        intent = call.intent
        self.tell.called(intent)
        before = self._operations_known(intent)
        try:
            task = await self.driver.begin(intent.method, intent.ref, *intent.params)
        except XapiFault as fault:
            error = tuple(map(self.redactor.text, (fault.code, *fault.params)))
            return await self._refused(call, Ended(Outcome.FAILURE, error=error))
        except Unanswered as error:
            found = await self._task_of(intent, before)
            if found is None:
                why = f"nobody knows whether the call was made: {error}"
                return Ended(Outcome.INTERRUPTED, self.redactor.text(why))
            task = found
        except (TransportError, ProtocolError) as error:
            return self._no_session(error)
        self.tasks.add(task)
        await self.evidence.called(intent, task)
        return task

    async def _task_of(self, intent: Intent, before: frozenset[str]) -> str | None:
        """Look for the task of a call that was not answered: the one that is new at its object."""
        operation = intent.method.rpartition(".")[2]
        try:
            snapshot = await self.record_now(intent.cls, intent.ref)
        except (TransportError, ProtocolError, XapiFault):
            return None  # Then nobody knows, which is what the outcome says.
        if snapshot is None:
            return None
        under_way = vm_in(snapshot).current_operations
        new = [
            task
            for task, name in under_way.items()
            if name == operation and task not in before and task not in self.tasks
        ]
        return new[0] if len(new) == 1 else None

    def _operations_known(self, intent: Intent) -> frozenset[str]:
        if not self.witness.follows([intent.ref]):
            return frozenset()
        return frozenset(vm_in(self.witness.object(intent.ref).snapshot).current_operations)

    # -- its end -----------------------------------------------------------------------------------

    async def _end_of(self, call: Call, task: str, *, asks_first: bool) -> Ended:
        with trio.move_on_after(call.timeout_s):
            ended = await self._completion(call, task, asks_first=asks_first)
            if ended.outcome is Outcome.VANISHED:
                return await self._proven(call, task, ended)
            return await self._refused(call, ended) if ended.has_failed else ended
        return await self._cancelled(call, task, f"it took longer than {call.timeout_s:g} s")

    async def _completion(self, call: Call, task: str, *, asks_first: bool = False) -> Ended:
        """Wait until a task is complete, or gone."""
        ask_s = 0.0 if asks_first else self._ask_s
        while True:
            seen = self.witness.task(task)
            if seen is not None:
                record = task_in(seen.snapshot)
                if record.is_complete:
                    return ended_as(record, seen.snapshot, source="events", seq=seen.seq)
                if seen.gone:
                    why = "the task went away before it was complete"
                    return Ended(Outcome.VANISHED, why, source="events", seq=seen.seq)
                self.tell.progress(call.intent, record.progress)
            with trio.move_on_after(ask_s) as quiet:
                await self.witness.news(task)
            ask_s = self._ask_s
            if quiet.cancelled_caught:
                ended = await self._asked_for(task)
                if ended is not None:
                    return ended

    async def _asked_for(self, task: str) -> Ended | None:
        """Ask for a task of which no event tells; None if it is under way, or cannot be asked."""
        try:
            raw = await self.driver.ask("task.get_record", task, returns=msgspec.Raw)
        except XapiFault as fault:
            if fault.code == "HANDLE_INVALID":
                return Ended(Outcome.VANISHED, "the pool does not know the task any more")
            logs.warning("task-not-answered", task=task, error=str(fault))
            return None
        except (TransportError, ProtocolError) as error:
            logs.warning("task-not-answered", task=task, error=str(error))
            return None
        _, clean = self.redactor.record("task", task, bytes(raw))
        record = task_in(clean)
        return ended_as(record, clean, source="record") if record.is_complete else None

    async def _proven(self, call: Call, task: str, ended: Ended) -> Ended:
        """Add to the end of a task that is gone what the state of its object proves."""
        intent = call.intent
        try:
            if intent.cls is Subject.VM and await self.vm_now(intent.ref) is not None:
                # What it does may go on without it, as long as the VM says so.
                await self.until(
                    intent.ref, lambda vm: task not in vm.current_operations, call.timeout_s
                )
            proof = await self.proof(intent)
        except (TransportError, ProtocolError, XapiFault):
            return ended  # Nothing is claimed that nobody can show.
        if proof is None:
            return ended
        return replace(ended, why=f"{ended.why}; {proof.why}", source="state", made=proof.made)

    async def proof(self, intent: Intent) -> Ended | None:
        """Ask for what shows that things are as a call was to leave them; None if they are not.

        Its `why` says how they are, `made` what was made. Raises as `Driver.ask`.
        """
        if intent.method in MAKERS:
            if intent.namesakes is None:
                return None
            made = await self.vms_called(str(intent.params[0])) - {*intent.namesakes}
            why = "there is a VM of this name since"
            one = made.pop() if len(made) == 1 else None
            return None if one is None else Ended(Outcome.VANISHED, why, source="state", made=one)
        why_so = proof_of(intent, await self.record_now(intent.cls, intent.ref))
        return None if why_so is None else Ended(Outcome.VANISHED, why_so, source="state")

    async def vms_called(self, name: str) -> set[str]:
        """Return the VMs that have a name. Raises as `Driver.ask`."""
        return {*await self.driver.ask("VM.get_by_name_label", name, returns=list[str])}

    async def _cancelled(self, call: Call, task: str, why: str) -> Ended:
        """Cancel a task and wait for its end, which may be a good one all the same."""
        with trio.move_on_after(CANCEL_S_MAX):
            try:
                await self.driver.ask("task.cancel", task, returns=msgspec.Raw)
            except (TransportError, ProtocolError, XapiFault) as error:
                logs.warning("task-not-cancelled", task=task, error=self.redactor.text(str(error)))
            ended = await self._completion(call, task)
            return replace(ended, why=why) if ended.has_failed else ended
        return Ended(Outcome.INTERRUPTED, f"{why}; the task did not end when it was cancelled")

    async def _refused(self, call: Call, ended: Ended) -> Ended:
        """Return a failure, or what others did to the VM if that is what it comes from."""
        intent = call.intent
        code = ended.error[0] if ended.error else ""
        if intent.cls is not Subject.VM or code not in CHANGED_CODES:
            return ended
        try:
            vm = await self.vm_now(intent.ref)
        except (TransportError, ProtocolError, XapiFault):
            return ended  # Nothing is held against others that nobody can show.
        difference = _differs(vm, needs_of(intent.method).power_state, call.at)
        others = [] if vm is None else [op for op in vm.current_operations if op not in self.tasks]
        if difference is None and others:
            difference = f"somebody else is at it: {vm.current_operations[others[0]]}" if vm else ""
        return replace(ended, outcome=Outcome.CHANGED, why=difference) if difference else ended

    async def close(self, call: Call, task: str | None, ended: Ended) -> Ended:
        """Write down an outcome; a task that went well is destroyed, another is left to look at."""
        with self.patience.scope(extra_s=WRITE_S):
            await self.evidence.ended(call.intent, task, ended)
        self.tell.ended(call.intent, ended)
        self.tasks.discard(task or "")
        if task is not None and ended.outcome is Outcome.SUCCESS:
            with self.patience.scope():
                await self._destroy(task)
        return ended

    async def _destroy(self, task: str) -> None:
        """Remove a task from the server, which otherwise does so by itself after an hour."""
        with trio.move_on_after(DESTROY_S_MAX):
            await self._destroy_at_leisure(task)

    async def _destroy_at_leisure(self, task: str) -> None:
        try:
            await self.driver.ask("task.destroy", task, returns=msgspec.Raw)
        except XapiFault as fault:
            if fault.code != "HANDLE_INVALID":  # else somebody, or the server, was faster
                logs.warning("task-not-destroyed", task=task, error=str(fault))
        except (TransportError, ProtocolError) as error:
            logs.warning("task-not-destroyed", task=task, error=str(error))

    async def record_now(self, cls: Subject, ref: str) -> bytes | None:
        """Ask for the record of an object; None if it is gone. Raises as `Driver.ask`."""
        try:
            raw = await self.driver.ask(f"{cls.value}.get_record", ref, returns=msgspec.Raw)
        except XapiFault as fault:
            if fault.code == "HANDLE_INVALID":
                return None
            raise
        return bytes(raw)

    def _no_session(self, error: TransportError | ProtocolError | XapiFault) -> Ended:
        """The call was not made: there is nobody to make it to."""
        return Ended(Outcome.INTERRUPTED, self.redactor.text(f"it was not made: {error}"))


def _differs(vm: VmRecord | None, power_state: str | None, at: str | None) -> str | None:
    """Say how a VM differs from what a call needs, None if it does not."""
    if vm is None:
        return "the VM is gone"
    if power_state is not None and vm.power_state != power_state:
        return f"the VM is {vm.power_state}, not {power_state}"
    if at is not None and vm.resident_on != at:
        where = "on no host" if vm.resident_on == NULL_REF else f"on {vm.resident_on}"
        return f"the VM is {where}, not on {at}"
    return None


def _lasted(ended: Ended, began_s: float) -> Ended:
    return replace(ended, duration_s=round(trio.current_time() - began_s, 6))


def _stopped(ended: Ended) -> Ended:
    """Say of an end that it came from the stop of the run, if a resumed one is to look again."""
    open_ends = {Outcome.CANCELLED, Outcome.INTERRUPTED, Outcome.VANISHED}
    return replace(ended, stopped=True) if ended.outcome in open_ends else ended
