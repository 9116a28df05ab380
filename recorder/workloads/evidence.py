"""What a run writes into the journal: marks of its pool, durable when each method returns.

FORMAT.md lists their details.
"""

from collections.abc import Mapping

import msgspec

from ..clock import WallClock
from ..keeper import Pen
from ..model import Detail, Draft, Mark, MarkName
from ..xapi.jsonrpc import Param
from .outcomes import Ended
from .plan import Plan, Subject
from .sight import Sight


class Intent(msgspec.Struct, frozen=True):
    """A call that is about to be made; `number` counts the calls of a run, from 1.

    `part` is the place of its step in the script, and one more than the last for what restores.
    `namesakes`, of a call that makes a VM, are those that have its name already, None if nobody
    could say.
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
    namesakes: tuple[str, ...] | None = None


class Evidence:
    """The pen of one run."""

    def __init__(self, pen: Pen, pool: str, run: str, now_ns: WallClock) -> None:
        self._pen = pen
        self._pool = pool
        self._run = run
        self.now_ns = now_ns

    async def run_started(
        self,
        plan: Plan,
        *,
        script: str,
        who: str,
        user: str,
        sight: Sight,
        replay_of: str | None = None,
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
            "toolstack": sight.toolstack,
            "tasks": msgspec.json.encode(sorted(sight.tasks)).decode(),
        }
        await self._write((MarkName.RUN_STARTED, detail))

    async def run_resumed(
        self, *, who: str, user: str, toolstack: str, step: int, open_steps: int, restore: bool
    ) -> None:
        """A run goes on behind `step`, the last that was intended; `open_steps` have no outcome.

        With `restore` it only gives VMs back what they had when it began.
        """
        detail: Detail = {
            "who": who,
            "user": user,
            "step": step,
            "open": open_steps,
            "restore": restore,
            "toolstack": toolstack,
        }
        await self._write((MarkName.RUN_RESUMED, detail))

    async def noted(self, part: int, about: str, name: str, value: bytes) -> None:
        """The run goes by `value`, which is JSON text, from here on."""
        detail: Detail = {"part": part, "about": about, "name": name, "value": value.decode()}
        await self._write((MarkName.RUN_NOTED, detail))

    async def intended(self, intent: Intent) -> None:
        """A call is about to be made."""
        await self._write((MarkName.STEP_INTENDED, _intent_detail(intent)))

    async def skipped(self, intent: Intent, ended: Ended) -> None:
        """A call is not made: both marks at once, so that it is never taken for one that was."""
        await self._write(
            (MarkName.STEP_INTENDED, _intent_detail(intent)),
            (MarkName.STEP_ENDED, _end_detail(intent, None, ended)),
        )

    async def called(self, intent: Intent, task: str) -> None:
        """The call was made, and this is its task."""
        await self._write((MarkName.STEP_CALLED, {"step": intent.number, "task": task}))

    async def ended(self, intent: Intent, task: str | None, ended: Ended) -> None:
        """The call has ended, or was not made."""
        await self._write((MarkName.STEP_ENDED, _end_detail(intent, task, ended)))

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
        await self._write((MarkName.RUN_ENDED, detail))

    def close(self) -> None:
        """Say that nothing more will come."""
        self._pen.close()

    async def _write(self, *marks: tuple[MarkName, Detail]) -> None:
        await self._pen.write(
            [
                Draft(self.now_ns(), self._pool, Mark(name, {"run": self._run, **detail}))
                for name, detail in marks
            ]
        )


def _intent_detail(intent: Intent) -> Detail:
    namesakes: Detail = {}
    if intent.namesakes is not None:
        namesakes = {"namesakes": msgspec.json.encode(intent.namesakes).decode()}
    return {
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
        **namesakes,
    }


def _end_detail(intent: Intent, task: str | None, ended: Ended) -> Detail:
    record = None if ended.record is None else str(ended.record, "utf-8", "replace")
    optional: Detail = {
        **({"made": ended.made} if ended.made else {}),
        **({"stopped": True} if ended.stopped else {}),
    }
    return {
        "step": intent.number,
        "task": task,
        "outcome": ended.outcome.value,
        "why": ended.why or None,
        "error": msgspec.json.encode(ended.error).decode() if ended.error else None,
        "duration_s": ended.duration_s,
        "source": ended.source or None,
        "entry": ended.seq or None,
        "record": record,
        **optional,
    }
