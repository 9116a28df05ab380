"""One run from its first mark to its last."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import trio

from .. import logs
from ..control.running import PartReport, RunReport
from ..errors import WorkloadError
from . import restoring
from .calls import Call
from .engine import Engine
from .evidence import Evidence
from .kinds import KINDS
from .news import News
from .past import RunPast, StepPast
from .patience import WRITE_S
from .plan import Plan
from .retrace import Retrace
from .scripts import OnFailure
from .settling import Settling
from .sight import Sight
from .verdict import Tally, report_on
from .work import Course, Work, call_of


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"  # all that could be done was, whatever came of it
    STOPPED = "stopped"  # a call failed, and the script says that this ends it
    CANCELLED = "cancelled"  # whoever began it ended it
    INTERRUPTED = "interrupted"  # the recorder was stopped
    RESTORED = "restored"  # it was resumed only to give VMs back what they had at its start
    FAILED = "failed"  # a function of somebody else's could not go on


class Order(msgspec.Struct, frozen=True):
    """What a run was asked to do, and by whom: `script` is its text, `user` is logged in for it.

    `sight` is how its pool was found, `replay_of` the run that it repeats. `past` is there for one
    that is resumed, which with `restores` only gives VMs back what they had.
    """

    run: str
    plan: Plan
    script: str
    who: str
    user: str
    sight: Sight
    replay_of: str | None = None
    past: RunPast | None = None
    restores: bool = False


class Run:
    """Carries a plan out. `cancel` ends it in good order, a cancellation of its task in a hurry."""

    def __init__(self, order: Order, engine: Engine, evidence: Evidence, news: News) -> None:
        self.order = order
        self._engine = engine
        self._evidence = evidence
        self._news = news
        self._scope = trio.CancelScope()
        past = order.past
        numbers = 0 if past is None else past.last_step
        self._course = Course(order.plan, engine, numbers=numbers)

    @property
    def made(self) -> int:
        """How many calls were begun so far."""
        return self._course.numbers

    def cancel(self) -> None:
        """Begin nothing more, cancel the tasks under way, wait for their ends, and write them."""
        self._scope.cancel()

    async def carry_out(self) -> None:
        """Do it all; the last mark is durable when this returns, or is cancelled."""
        order, began_s = self.order, trio.current_time()
        logs.info("run-started", run=order.run, pool=order.plan.pool, script=order.plan.script)
        status, error = Status.INTERRUPTED, ""
        try:
            await self._write_beginning()
            with self._scope:
                if order.past is not None:
                    await self._settle(order.past)
                if order.restores:
                    await restoring.restore(self._course)
                    error = await restoring.left(self._course)
                    status = Status.RESTORED
                else:
                    await self._do_parts()
                    status = Status.STOPPED if self._course.failed else Status.COMPLETED
                    await self._restore()
            if self._scope.cancelled_caught:
                status = Status.CANCELLED
        except WorkloadError as failure:
            status, error = Status.FAILED, str(failure)
        finally:
            await self._end(status, error, trio.current_time() - began_s)

    async def _write_beginning(self) -> None:
        order, past = self.order, self.order.past
        if past is None:
            await self._evidence.run_started(
                order.plan,
                script=order.script,
                who=order.who,
                user=order.user,
                sight=order.sight,
                replay_of=order.replay_of,
            )
            return
        logs.info("run-resumed", run=order.run, step=past.last_step, open=len(past.open_steps))
        await self._evidence.run_resumed(
            who=order.who,
            user=order.user,
            toolstack=order.sight.toolstack,
            step=past.last_step,
            open_steps=len(past.open_steps),
            restore=order.restores,
        )

    async def _settle(self, past: RunPast) -> None:
        """Find out what became of the calls under way; then all that is known can be retraced."""
        parts = [*self.order.plan.parts, restoring.part_of(self.order.plan)]

        def call_in(step: StepPast) -> Call:
            return call_of(step.intent, parts[step.intent.part].step)

        settling = Settling(
            self._engine, past, toolstack=self.order.sight.toolstack, call_of=call_in
        )
        await settling.settle()
        if not self.order.restores:
            self._course.retrace = Retrace(past)
            return
        for step in past.steps.values():
            if step.ended is None:
                await Work(self._course, parts[step.intent.part]).drop(step)
            else:
                tally = self._course.tallies.setdefault(step.intent.part, Tally())
                tally.add(step.ended)

    async def _do_parts(self) -> None:
        for part in self.order.plan.parts:
            work = Work(self._course, part)
            await KINDS[part.step.kind].run(work)
            await self._leave(work)
            if self._course.failed:
                return

    async def _leave(self, work: Work) -> None:
        """Close calls that were intended and that nothing comes to any more. Raises WorkloadError.

        A call with an outcome that nothing asked for again is one of a function that does not do
        the same twice.
        """
        for step in self._course.retrace.left_of(work.part.index):
            if step.is_undone:
                work.leave(step)
            elif step.ended is not None:
                intent = step.intent
                raise WorkloadError(
                    f"step {intent.number} was {intent.method} on {intent.name}, and now it would"
                    " not be made: a run is resumed by what does the same again"
                )
            else:
                await work.drop(step)

    async def _restore(self) -> None:
        plan = self.order.plan
        rolls_back = self._course.failed and any(
            part.step.on_failure is OnFailure.ROLL_BACK and part.index in self._course.tallies
            for part in plan.parts
        )
        if plan.restore or rolls_back:
            await restoring.restore(self._course)

    def _count_the_rest(self) -> None:
        """Recorded calls count although the run ended before it came to them again."""
        for index in range(len(self.order.plan.parts) + 1):
            for step in self._course.retrace.left_of(index):
                if step.ended is not None:
                    self._course.tallies.setdefault(index, Tally()).add(step.ended)

    async def _end(self, status: Status, error: str, lasted_s: float) -> None:
        self._count_the_rest()
        parts = self._reports()
        held = status is Status.COMPLETED and not any(part.broken for part in parts)
        held = held or (status is Status.RESTORED and not error)
        report = RunReport(self.order.run, status.value, held, round(lasted_s, 3), parts, error)
        outcomes: Counter[str] = Counter()
        for part in parts:
            outcomes.update(part.outcomes)
        with self._engine.patience.scope(extra_s=WRITE_S):
            await self._evidence.run_ended(
                status.value, held=held, outcomes=outcomes, parts=_encoded(parts), error=error
            )
        self._news.over(report)
        logs.info("run-ended", run=self.order.run, status=status.value, held=held)

    def _reports(self) -> list[PartReport]:
        """Report on the parts that were begun, and on what restored the VMs if anything did."""
        tallies, plan = self._course.tallies, self.order.plan
        reports = [report_on(part, tallies.get(part.index, Tally())) for part in plan.parts]
        back = restoring.part_of(plan)
        if back.index in tallies:
            report = report_on(back, tallies[back.index])
            reports.append(msgspec.structs.replace(report, title="restore"))
        return reports


def _encoded(parts: Sequence[PartReport]) -> bytes:
    return msgspec.json.encode(parts)
