"""The timeline of one object."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from ..choices import Format
from ..load.known import Origin
from ..questions.lacks import Lacks
from ..questions.runs_about import Touch
from ..questions.timeline import Life, Step
from ..questions.undertakings import Undertaking
from ..records import FieldChange, Json
from ..values import change_text, changed_values, duration_text, short_ref
from .output import Text, console, plain_of, write_csv, write_json
from .runs import GOOD
from .words import Names, at_text, origin_text

PERMISSIONS = frozenset({"allowed_operations", "current_operations"})
"""Fields that say what may be done, and by whom it is: on the screen the tasks themselves do."""


def show(
    told: Life,
    form: Format,
    names: Names,
    lacks: Lacks,
    *,
    touches: Sequence[Touch] = (),
    everything: bool = True,
) -> None:
    """Write the timeline of an object, with tasks, calls of runs and gaps between the steps.

    On the screen changes of PERMISSIONS are left out unless `everything` is wanted.
    """
    if form is Format.JSON:
        steps = [{**plain_of(step), "changes": changed_values(step.changes)} for step in told.steps]
        document = {"object": told.object, "steps": steps, "tasks": told.tasks}
        document["runs"] = touches
        write_json({**document, "omitted": told.omitted, **plain_of(lacks)})
    elif form is Format.CSV:
        header = ["seq", "received_at", "class", "ref", "operation", "origin", "gap", "stream"]
        header += ["told", "field", "old", "new", "range_gaps"]
        touched: list[Json] = [*lacks.gaps_of(told.object.pool)]
        rows = (row for step in told.steps for row in _step_rows(step))
        write_csv([{**row, "range_gaps": touched} for row in rows], header)
    else:
        out = console()
        out.print(Text(str(told.object), style="bold"), no_wrap=True, overflow="ellipsis")
        blocks = [*_blocks(told, names, everything=everything), *map(_run_block, touches)]
        for _, _, lines in sorted(blocks, key=lambda block: block[:2]):
            for line in lines:
                out.print(line, no_wrap=True, overflow="ellipsis")


def hidden(told: Life) -> int:
    """Return how many changes the screen leaves out."""
    return sum(change.field in PERMISSIONS for step in told.steps for change in step.changes)


def _step_rows(step: Step) -> Iterable[dict[str, Json]]:
    row = plain_of(step)
    for change in changed_values(step.changes) or [{}]:
        yield row | change


_AT_THE_END = 2**63

Block = tuple[int, int, list[Text]]
"""Lines, with the entry that they belong to and their place among those of the same entry."""


def _blocks(told: Life, names: Names, *, everything: bool) -> Iterable[Block]:
    """Yield the lines of steps, of tasks and of both ends of each gap."""
    lasted, redacted = _Lasted(told), _Redacted()
    for step in told.steps:
        changes = [one for one in step.changes if everything or one.field not in PERMISSIONS]
        if changes or step.operation != "mod" or not step.told:
            texts = [
                change_text(step.cls, one, names, without_old=redacted.old_text(step, one))
                + lasted.text(step, one)
                for one in changes
            ]
            yield step.seq, 1, _step_lines(told, step, texts)
        redacted.take(step)
    for task in told.tasks:
        yield from _task_blocks(task)
    for gap in told.gaps:
        opened = (
            f"gap @{gap.seq} opened: {gap.cause}, {gap.detail}; blind from {at_text(gap.since)}"
        )
        yield gap.seq, 0, [Text(f"-- {opened} --", style="yellow")]
        if gap.closed_seq is None:
            yield (
                _AT_THE_END,
                gap.seq,
                [Text(f"-- gap @{gap.seq} is STILL OPEN --", style="bold yellow")],
            )
        else:
            closed = f"gap @{gap.seq} closed: blind until {at_text(gap.blind_until)}"
            yield gap.closed_seq, 0, [Text(f"-- {closed} --", style="yellow")]


def _task_blocks(task: Undertaking) -> Iterable[Block]:
    name = task.name or short_ref(task.ref)
    if task.began_seq != task.ended_seq:
        how = "began" if task.seen_begin else "was under way when first seen"
        began = f"{_head(task.began_at, task.began_seq)}task {name} {how}"
        yield task.began_seq, 0, [Text(began, style="dim")]
    if task.ended_seq is None or task.ended_at is None:
        return
    if task.status == "vanished":
        text = f"{_head(task.ended_at, task.ended_seq)}task {name} vanished before it was over"
        yield task.ended_seq, 2, [Text(text, style="red")]
        return
    took = "" if task.duration_s is None else f" after {duration_text(task.duration_s)}"
    error = "" if task.error_code is None else f": {task.error_code}"
    ended = f"{_head(task.ended_at, task.ended_seq)}task {name}: {task.status}{took}{error}"
    style = "dim" if task.status == "success" else "red"
    yield task.ended_seq, 2, [Text(ended, style=style)]


def _run_block(touch: Touch) -> Block:
    """Return the line of a call where its outcome was written, or it was intended without one."""
    how = {"about": "", "with": f" of {touch.name}", "made": f" of {touch.name}, which made it"}
    call = f"run {touch.run}, call {touch.step}: {touch.method}{how[touch.how]}"
    if touch.ended_seq is None:
        text = f"{_head(touch.intended_at, touch.intended_seq)}{call}: its outcome is not known"
        return touch.intended_seq, 3, [Text(text, style="red")]
    why = f": {touch.why}" if touch.why else ""
    text = f"{_head(touch.ended_at, touch.ended_seq)}{call}: {touch.outcome}{why}"
    style = "dim" if touch.outcome in GOOD else "red"
    return touch.ended_seq, 3, [Text(text, style=style)]


def _head(at: datetime | None, seq: int) -> str:
    return f"{at_text(at):<20}  {f'@{seq}':>8}  "


class _Lasted:
    """How long the power state was what it was, as far as nothing hid it.

    What was told across a gap may have begun at any time in it.
    """

    def __init__(self, told: Life) -> None:
        self._told = told
        self._since: datetime | None = None
        self._since_seq = 0

    def text(self, step: Step, change: FieldChange) -> str:
        """Return ` (for 5 min)` behind a change of the power state, if that is known."""
        if change.field != "power_state" or step.ref != self._told.object.ref:
            return ""
        since, seq = self._since, self._since_seq
        self._since = step.received_at if step.gap is None and step.told else None
        self._since_seq = step.seq
        hidden_in_gap = any(seq < gap.seq < step.seq for gap in self._told.gaps)
        if since is None or self._since is None or hidden_in_gap:
            return ""
        return f" (after {duration_text((step.received_at - since).total_seconds())})"


class _Redacted:
    """Which values are not there because they were taken out, not because they never were."""

    def __init__(self) -> None:
        self._fields: set[tuple[str, str]] = set()

    def take(self, step: Step) -> None:
        """Remember what a step would have told."""
        fields = {(step.ref, change.field) for change in step.changes}
        self._fields = self._fields - fields if step.told else self._fields | fields

    def old_text(self, step: Step, change: FieldChange) -> str:
        """Return what stands for an old value that is not there."""
        return "(redacted)" if (step.ref, change.field) in self._fields else "(missing)"


def _step_lines(told: Life, step: Step, texts: Sequence[str]) -> list[Text]:
    head = _head(step.received_at, step.seq)
    how = origin_text(step.origin, step.gap)
    mark = "" if step.origin == Origin.LIVE and step.gap is None else f"[{how}] "
    style = "" if not mark else "magenta" if step.origin == Origin.INFERRED else "cyan"
    label = _label(told, step)
    if not step.told:
        texts = [_untold(step)]
    elif step.operation != "mod":
        texts = [_came_or_went(step), *texts]
    by = f"  by {step.by}" if step.by else ""
    lines = [Text(f"{head}{mark}{label}{texts[0]}{by}", style=style)]
    indent = " " * len(head)
    return lines + [Text(f"{indent}{mark}{label}{text}", style=style) for text in texts[1:]]


def _label(told: Life, step: Step) -> str:
    """Return which device a step is of; those of the object itself have no label."""
    if step.ref == told.object.ref:
        return ""
    return f"{step.cls} {step.name or short_ref(step.ref)}: "


def _untold(step: Step) -> str:
    fields = ", ".join(change.field for change in step.changes)
    return f"changed{f' ({fields})' if fields else ''}, but from what to what is not known"


def _came_or_went(step: Step) -> str:
    name = step.name or short_ref(step.ref)
    if step.operation == "del":
        return "was destroyed" if step.origin == Origin.LIVE else "was gone"
    if step.origin == Origin.BASELINE:
        return f"was there as {name} when the recording began"
    return f"was created as {name}" if step.origin == Origin.LIVE else f"was there as {name}"
