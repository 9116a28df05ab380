"""One run from its first mark to its last."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import trio

from .. import logs
from ..control.running import PartReport, RunReport
from ..errors import WorkloadError
from . import restoring
from .engine import Engine
from .evidence import Evidence
from .kinds import KINDS
from .news import News
from .patience import WRITE_S
from .plan import Plan
from .scripts import OnFailure
from .verdict import Tally, report_on
from .work import Course, Work


class Status(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"  # all that could be done was, whatever came of it
    STOPPED = "stopped"  # a call failed, and the script says that this ends it
    CANCELLED = "cancelled"  # whoever began it ended it
    INTERRUPTED = "interrupted"  # the recorder was stopped
    FAILED = "failed"  # a function of somebody else's could not go on


@dataclass(frozen=True, slots=True)
class Order:
    """What a run was asked to do, and by whom: `script` is its text, `user` is logged in for it.

    `replay_of` is the run that it repeats.
    """

    run: str
    plan: Plan
    script: str
    who: str
    user: str
    replay_of: str | None = None


class Run:
    """Carries a plan out. `cancel` ends it in good order, a cancellation of its task in a hurry."""

    def __init__(self, order: Order, engine: Engine, evidence: Evidence, news: News) -> None:
        self.order = order
        self._engine = engine
        self._evidence = evidence
        self._news = news
        self._scope = trio.CancelScope()
        self._course = Course(order.plan, engine)

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
            await self._evidence.run_started(
                order.plan,
                script=order.script,
                who=order.who,
                user=order.user,
                replay_of=order.replay_of,
            )
            with self._scope:
                await self._do_parts()
                status = Status.STOPPED if self._course.failed else Status.COMPLETED
                await self._restore()
            if self._scope.cancelled_caught:
                status = Status.CANCELLED
        except WorkloadError as failure:
            status, error = Status.FAILED, str(failure)
        finally:
            await self._end(status, error, trio.current_time() - began_s)

    async def _do_parts(self) -> None:
        for part in self.order.plan.parts:
            await KINDS[part.step.kind].run(Work(self._course, part))
            if self._course.failed:
                return

    async def _restore(self) -> None:
        plan = self.order.plan
        rolls_back = self._course.failed and any(
            part.step.on_failure is OnFailure.ROLL_BACK and part.index in self._course.tallies
            for part in plan.parts
        )
        if plan.restore or rolls_back:
            await restoring.restore(self._course)

    async def _end(self, status: Status, error: str, lasted_s: float) -> None:
        parts = self._reports()
        held = status is Status.COMPLETED and not any(part.broken for part in parts)
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
