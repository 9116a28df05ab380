"""What people see of a run while it is under way: lines, for whose readers nobody waits."""

from collections import Counter, deque

import msgspec
import trio

from ..control.running import RunLine, RunReport, StepLine
from .evidence import Intent
from .outcomes import Ended

LINES_MAX = 10_000
"""Lines for a client that does not read; then the oldest go. Each tells how far its step is, so
that none is missed for long. 3 MB."""
PROGRESS_STEP = 0.01
"""A task may tell of its progress many times a second; people see per cents."""


class News:
    """The lines of one run. Nothing comes behind its report."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=LINES_MAX)
        self._bell = trio.Event()
        self._done: Counter[int] = Counter()
        self._progress: dict[int, float] = {}
        self._is_over = False

    def called(self, intent: Intent) -> None:
        """A call is made."""
        self._say(self._line(intent, "called"))

    def progress(self, intent: Intent, progress: float) -> None:
        """Its task is so far."""
        if progress - self._progress.get(intent.number, 0.0) >= PROGRESS_STEP:
            self._progress[intent.number] = progress
            self._say(msgspec.structs.replace(self._line(intent, "progress"), progress=progress))

    def ended(self, intent: Intent, ended: Ended) -> None:
        """It has ended."""
        self._progress.pop(intent.number, None)
        self._done[intent.part] += 1
        line = msgspec.structs.replace(
            self._line(intent, "ended"),
            outcome=ended.outcome.value,
            why=ended.why,
            error=list(ended.error),
            duration_s=ended.duration_s,
        )
        self._say(line)

    def over(self, report: RunReport) -> None:
        """The run is over."""
        self._is_over = True
        self._say(report)

    async def next_line(self) -> bytes | None:
        """Wait for a line and return it, with its line feed; None behind the last one."""
        while not self._lines:
            if self._is_over:
                return None
            self._bell = trio.Event()
            await self._bell.wait()
        return self._lines.popleft()

    def _line(self, intent: Intent, state: str) -> StepLine:
        return StepLine(
            intent.number,
            intent.part,
            intent.name,
            intent.method,
            state,  # type: ignore[arg-type]  # one of three words, all of them above
            self._done[intent.part],
        )

    def _say(self, line: RunLine) -> None:
        self._lines.append(msgspec.json.encode(line) + b"\n")
        self._bell.set()
