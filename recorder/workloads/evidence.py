"""What a run writes into the journal: marks of its pool, durable when each method returns.

FORMAT.md lists their details.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ..clock import WallClock
from ..keeper import Pen
from ..model import Detail, Draft, Mark, MarkName
from ..xapi.jsonrpc import Param
from .outcomes import Ended
from .plan import Plan, Subject


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is about to be made; `number` counts the calls of a run, from 1.

    `part` is the place of its step in the script, and one more than the last for what restores.
    """

    number: int
    part: int
    kind: str
    round: int
    cls: Subject
    ref: str
    uuid: str
    name: str
    method: str
    params: tuple[Param, ...] = ()


class Evidence:
    """The pen of one run."""

    def __init__(self, pen: Pen, pool: str, run: str, now_ns: WallClock) -> None:
        self._pen = pen
        self._pool = pool
        self._run = run
        self._now_ns = now_ns

    async def run_started(
        self, plan: Plan, *, script: str, who: str, user: str, replay_of: str | None = None
    ) -> None:
        """A run begins: `script` is its text, `who` asked for it, `user` is logged in for it.

        `replay_of` is the run that it repeats.
        """
        detail: Detail = {
            "script": plan.script,
            "text": script,
            "seed": plan.seed,
            "who": who,
            "user": user,
            "calls": plan.calls,
            "plan": plan.json(),
            "replay_of": replay_of,
        }
        await self._write(MarkName.RUN_STARTED, detail)

    async def intended(self, intent: Intent) -> None:
        """A call is about to be made."""
        detail: Detail = {
            "step": intent.number,
            "part": intent.part,
            "kind": intent.kind,
            "round": intent.round,
            "class": intent.cls.value,
            "ref": intent.ref,
            "uuid": intent.uuid,
            "name": intent.name,
            "method": intent.method,
            "params": msgspec.json.encode(intent.params).decode(),
        }
        await self._write(MarkName.STEP_INTENDED, detail)

    async def called(self, intent: Intent, task: str) -> None:
        """The call was made, and this is its task."""
        await self._write(MarkName.STEP_CALLED, {"step": intent.number, "task": task})

    async def ended(self, intent: Intent, task: str | None, ended: Ended) -> None:
        """The call has ended, or was not made."""
        record = None if ended.record is None else str(ended.record, "utf-8", "replace")
        detail: Detail = {
            "step": intent.number,
            "task": task,
            "outcome": ended.outcome.value,
            "why": ended.why or None,
            "error": msgspec.json.encode(ended.error).decode() if ended.error else None,
            "duration_s": ended.duration_s,
            "source": ended.source or None,
            "entry": ended.seq or None,
            "record": record,
        }
        await self._write(MarkName.STEP_ENDED, detail)

    async def run_ended(
        self, status: str, *, held: bool, outcomes: Mapping[str, int], parts: bytes, error: str
    ) -> None:
        """The run is over; `parts` is JSON text, what was expected of each step and came of it."""
        detail: Detail = {
            "status": status,
            "held": held,
            **{name: count for name, count in outcomes.items() if count},
            "parts": parts.decode(),
            "error": error or None,
        }
        await self._write(MarkName.RUN_ENDED, detail)

    def close(self) -> None:
        """Say that nothing more will come."""
        self._pen.close()

    async def _write(self, name: MarkName, detail: Detail) -> None:
        mark = Mark(name, {"run": self._run, **detail})
        await self._pen.write([Draft(self._now_ns(), self._pool, mark)])
