"""The timeline of one object."""

from collections.abc import Iterable

from rich.text import Text

from ..choices import Format
from ..known import Origin
from ..lacks import Lacks
from ..records import Json
from ..timeline import Life, Step
from ..values import change_text, decoded
from .output import console, plain_of, write_csv, write_json
from .words import Names, at_text, origin_text


def show(told: Life, form: Format, names: Names, lacks: Lacks) -> None:
    """Write the timeline of an object, gaps between the steps."""
    if form is Format.JSON:
        steps = [{**plain_of(step), "changes": _changes(step)} for step in told.steps]
        write_json({"object": told.object, "steps": steps, **plain_of(lacks)})
    elif form is Format.CSV:
        header = ["seq", "received_at", "operation", "origin", "gap", "stream"]
        header += ["field", "old", "new", "range_gaps"]
        touched: list[Json] = [*lacks.gaps_of(told.object.pool)]
        rows = (row for step in told.steps for row in _step_rows(step))
        write_csv([{**row, "range_gaps": touched} for row in rows], header)
    else:
        out = console()
        out.print(Text(str(told.object), style="bold"), no_wrap=True, overflow="ellipsis")
        for _, _, lines in sorted(_blocks(told, names), key=lambda block: block[:2]):
            for line in lines:
                out.print(line, no_wrap=True, overflow="ellipsis")


def _changes(step: Step) -> list[dict[str, Json]]:
    """Return the changed fields with their values; null where a field was or is not there."""
    return [
        {"field": change.field, "old": decoded(change.old), "new": decoded(change.new)}
        for change in step.changes
    ]


def _step_rows(step: Step) -> Iterable[dict[str, Json]]:
    row = plain_of(step)
    for change in _changes(step) or [{}]:
        yield row | change


def _blocks(told: Life, names: Names) -> Iterable[tuple[int, int, list[Text]]]:
    """Yield the lines of each step and of each end of a gap, with their place in the order."""
    for step in told.steps:
        yield step.seq, 1, _step_lines(step, names)
    for gap in told.gaps:
        opened = (
            f"gap @{gap.seq} opened: {gap.cause}, {gap.detail}; blind from {at_text(gap.since)}"
        )
        yield gap.seq, 0, [Text(f"-- {opened} --", style="yellow")]
        if gap.closed_seq is None:
            yield gap.seq, 2, [Text(f"-- gap @{gap.seq} is STILL OPEN --", style="bold yellow")]
        else:
            closed = f"gap @{gap.seq} closed: blind until {at_text(gap.blind_until)}"
            yield gap.closed_seq, 0, [Text(f"-- {closed} --", style="yellow")]


def _step_lines(step: Step, names: Names) -> list[Text]:
    head = f"{at_text(step.received_at)}  {f'@{step.seq}':>8}  {step.operation}  "
    how = origin_text(step.origin, step.gap)
    mark = "" if step.origin == Origin.LIVE and step.gap is None else f"[{how}] "
    style = "" if not mark else "magenta" if step.origin == Origin.INFERRED else "cyan"
    texts = [change_text(change, names) for change in step.changes] or [step.name or ""]
    lines = [Text(f"{head}{mark}{texts[0]}", style=style)]
    indent = " " * len(head)
    return lines + [Text(f"{indent}{mark}{text}", style=style) for text in texts[1:]]
