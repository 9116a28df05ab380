"""What a simulated pool has to be told so that a run goes in it as it went in life. Pure.

A pool that is as the real one was fails by itself where its state is the reason: a host without
memory, a guest without an agent. What only the world explains is learned by trying: a call that
failed in life and does not fail here is made to, the first of each object, and then all is tried
again, for what follows from it may come by itself.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from .comparison import Pair
from .methods import needs_of
from .outcomes import Outcome
from .recorded import RecordedStep

OVERTIME = 2.0
"""How many times its recorded duration a call takes that is to run out of its time."""
STARTS = frozenset({"VM.start", "VM.start_on", "VM.resume", "VM.resume_on", "VM.unpause"})
STARTS_AGENT = STARTS | {"VM.clean_reboot", "VM.hard_reboot"}
TOO_LONG = "it took longer than"
"""What the outcome of a call says that ran out of its time."""
NOT_ALLOWED = "was not allowed within"
"""What it says where no agent has reported."""

Key = tuple[str, str, int]
"""A method, its object (reference, or name of what the run has made), and how many such calls were
made before."""


class Direction(msgspec.Struct, frozen=True):
    """What happens to one call.

    It is done in `lasts_s`, None if it takes what it takes; the agent of the guest that it starts
    reports `agent_s` later, and without `agent` never. Or it is `refused`, or its task fails, with
    `error`; or its task `vanishes`.
    `injected` says it for people, "" if nothing goes wrong by it.
    """

    lasts_s: float | None = None
    agent: bool = True
    agent_s: float | None = None
    error: tuple[str, ...] = ()
    refused: bool = False
    vanishes: bool = False
    injected: str = ""


class Director(msgspec.Struct):
    """Knows the run in life, and learns from each try what to tell the pool next time."""

    steps: Sequence[RecordedStep]
    planned: frozenset[str]
    """The references of objects that were there at the start."""
    told: dict[Key, Direction] = msgspec.field(default_factory=dict)
    _keys: dict[int, Key] = msgspec.field(default_factory=dict)
    _next: dict[int, RecordedStep] = msgspec.field(default_factory=dict)
    """The next call to the same object, by the number of a call."""

    def __post_init__(self) -> None:
        """Begin with how long the calls took."""
        last: dict[str, RecordedStep] = {}
        for step in reversed(self.steps):
            if step.ref in last:
                self._next[step.step] = last[step.ref]
            last[step.ref] = step
        counted: Counter[tuple[str, str]] = Counter()
        for step in (one for one in self.steps if one.was_called):
            thing = self._thing(step)
            key = step.method, thing, counted[step.method, thing]
            counted[step.method, thing] += 1
            self._keys[step.step] = key
            self.told[key] = Direction(step.duration_s or None, agent_s=self._agent_s(step))

    @property
    def injected(self) -> Mapping[int, str]:
        """What was made to go wrong, by the number of the call in life."""
        return {
            number: self.told[key].injected
            for number, key in self._keys.items()
            if self.told[key].injected
        }

    def learn(self, pairs: Sequence[Pair]) -> bool:
        """Compare a try with life; False if there is nothing more to be told."""
        before = dict(self.told)
        for step in _first_of_each(pairs):
            self._let_fail(step)
        return self.told != before

    def _let_fail(self, step: RecordedStep) -> None:
        """Let a call fail as it did, if there is a way to."""
        if NOT_ALLOWED in step.why and not step.was_called:
            self._let_be_mute(step)
        key = self._keys.get(step.step)
        if key is None or self.told[key].injected:
            return
        lasts_s = step.duration_s
        match step.outcome:
            case Outcome.CANCELLED if step.why.startswith(TOO_LONG):
                told = Direction(lasts_s=OVERTIME * step.duration_s)
                self.told[key] = replace(told, injected="it takes too long")
            case Outcome.CANCELLED if not step.why:
                told = Direction(error=("TASK_CANCELLED",), lasts_s=lasts_s)
                self.told[key] = replace(told, injected="somebody cancels its task")
            case Outcome.VANISHED:
                told = Direction(vanishes=True, lasts_s=lasts_s)
                self.told[key] = replace(told, injected="its task vanishes")
            case Outcome.FAILURE if step.error:
                told = Direction(error=step.error, refused=step.task is None, lasts_s=lasts_s)
                self.told[key] = replace(told, injected=step.error[0])

    def _let_be_mute(self, step: RecordedStep) -> None:
        """Let the guest stay without an agent that was started last before this call."""
        starts = [
            self._keys[one.step]
            for one in self.steps
            if one.step < step.step
            and one.ref == step.ref
            and one.method in STARTS_AGENT
            and one.step in self._keys
        ]
        if starts and not self.told[starts[-1]].injected:
            key = starts[-1]
            mute = "the agent of the guest never reports"
            self.told[key] = replace(self.told[key], agent=False, injected=mute)

    def _agent_s(self, step: RecordedStep) -> float | None:
        """Tell how long after a start the next call could be made that needs the agent.

        None if there was none, or it need not have waited.
        """
        if step.method not in STARTS_AGENT or step.ended_ns is None:
            return None
        after = self._next.get(step.step)
        if after is None or after.called_ns is None or needs_of(after.method).allowed is None:
            return None
        return max(0.0, (after.called_ns - step.ended_ns) / 1e9)

    def _thing(self, step: RecordedStep) -> str:
        return step.ref if step.ref in self.planned else step.name


def _first_of_each(pairs: Sequence[Pair]) -> Iterator[RecordedStep]:
    """Yield of each object the first call that failed in life, and differs here."""
    over: set[str] = set()
    for pair in pairs:
        step = pair.before
        if step is None or pair.is_same or step.name in over:
            continue
        over.add(step.name)
        if step.has_failed:
            yield step
