"""The answers of the library on stdout, each in three forms; nothing here asks the history."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec
from rich.text import Text

from recorder.instant import time_text, us_of

from .choices import Format
from .gaps import Blindness, GapRow
from .known import Origin
from .output import (
    Column,
    cell_text,
    console,
    plain_of,
    write_csv,
    write_json,
    write_rows,
    write_table,
)
from .questions import EventRow, TableRow, TaskRow
from .records import Json
from .states import Certainty, State, States, Verdict
from .timeline import Life, Step
from .values import change_text, decoded, duration_text, percent_text, short_ref, value_text

__all__ = [
    "Column",
    "answer",
    "at_text",
    "certainty_text",
    "console",
    "events",
    "gaps",
    "life",
    "origin_text",
    "state",
    "states",
    "tables",
    "tasks",
    "verdict_text",
    "write_table",
]

Names = dict[str, str]
"""References and the names of their objects."""


def at_text(at: datetime | None) -> str:
    """Return a time to the millisecond, or a dash."""
    return "-" if at is None else time_text(us_of(at))


def origin_text(origin: str, gap: int | None) -> str:
    """Return how a thing is known: what was not seen happen is never shown as seen."""
    if origin == Origin.INFERRED:
        return "inferred" if gap is None else f"inferred across gap @{gap}"
    return origin if gap is None else f"{origin}, across gap @{gap}"


# -- events, gaps, tasks -----------------------------------------------------------------------


def events(rows: Sequence[EventRow], form: Format) -> None:
    """Write events."""
    if form is not Format.TABLE:
        write_rows(rows, EventRow, form)
        return
    columns = [
        Column("seq", right=True),
        Column("received"),
        Column("pool"),
        Column("object", wide=True),
        Column("what"),
        Column("changed", wide=True),
        Column("how", wide=True),
    ]
    write_table(
        columns,
        (
            (
                f"@{row.seq}",
                at_text(row.received_at),
                row.pool,
                f"{row.cls} {row.name or short_ref(row.ref)}",
                row.operation,
                _changed_text(row),
                origin_text(row.origin, row.gap),
            )
            for row in rows
        ),
    )


def _changed_text(row: EventRow) -> str:
    if row.changed_fields is None:
        return ""
    unchanged = "" if row.operation == "del" else "(no change)"
    return ", ".join(row.changed_fields) or unchanged


def gaps(rows: Sequence[GapRow], blind: Sequence[Blindness], form: Format) -> None:
    """Write the ledger of gaps; for people with a line a pool on how blind it is in all."""
    if form is not Format.TABLE:
        write_rows(rows, GapRow, form)
        return
    columns = [
        Column("gap", right=True),
        Column("pool"),
        Column("cause"),
        Column("since"),
        Column("for", right=True),
        Column("differ", right=True, spare=True),
        Column("missed", right=True, spare=True),
        Column("detail", wide=True, spare=True),
    ]
    cells = [
        (
            f"@{row.seq}",
            row.pool or "-",
            row.cause,
            at_text(row.since),
            "STILL OPEN" if row.open else duration_text(row.duration_s),
            _count_text(row.objects_differed),
            _count_text(row.ids_missed),
            row.detail,
        )
        for row in rows
    ]
    write_table(columns, cells, loud=[index for index, row in enumerate(rows) if row.open])
    for row in rows:
        if row.rolled_back_to is not None:
            console().print(Text(_rollback_text(row), style="bold"), soft_wrap=True)
    for one in blind:
        console().print(_blindness_text(one), soft_wrap=True)


def _count_text(count: int | None) -> str:
    return "-" if count is None else str(count)


def _rollback_text(row: GapRow) -> str:
    back = f"from generation {row.rolled_back_from} to {row.rolled_back_to}"
    return f"@{row.seq} {row.pool}: the pool's database went back {back}"


def _blindness_text(one: Blindness) -> Text:
    count = "1 gap" if one.gaps == 1 else f"{one.gaps} gaps"
    text = Text.assemble((one.pool, "bold"), f": {count}")
    if one.gaps:
        blind, recorded = duration_text(one.blind_s), duration_text(one.recorded_s)
        text.append(f", blind for {blind} of {recorded} ({percent_text(one.share)})")
    if one.open_since is not None:
        text.append(f"; STILL BLIND since {at_text(one.open_since)}", "bold yellow")
    return text


def tasks(rows: Sequence[TaskRow], form: Format) -> None:
    """Write the outcomes of tasks."""
    if form is not Format.TABLE:
        write_rows(rows, TaskRow, form)
        return
    columns = [
        Column("created"),
        Column("pool", spare=True),
        Column("task", wide=True),
        Column("object", wide=True),
        Column("uuid", spare=True),
        Column("status"),
        Column("took", right=True, spare=True),
        Column("result or error", wide=True),
    ]
    write_table(
        columns,
        (
            (
                at_text(row.created),
                row.pool,
                row.name_label or "-",
                ", ".join(sorted(row.objects, key=_vms_first)) or "-",
                (row.uuid or short_ref(row.ref))[:8],
                row.status if row.status != "pending" else f"pending {row.progress or 0:.0%}",
                "-" if row.duration_s is None else f"{row.duration_s:g} s",
                _outcome_text(row),
            )
            for row in rows
        ),
    )


def _vms_first(text: str) -> tuple[bool, str]:
    return not text.startswith("vm:"), text


def _outcome_text(row: TaskRow) -> str:
    if row.error_code is not None:
        return " ".join([row.error_code, *map(short_ref, row.error_params)])
    return short_ref(row.result or "")


# -- one object --------------------------------------------------------------------------------


def life(told: Life, form: Format, names: Names) -> None:
    """Write the timeline of an object, gaps between the steps."""
    if form is Format.JSON:
        steps = [{**plain_of(step), "changes": _changes(step)} for step in told.steps]
        write_json({"object": told.object, "steps": steps, "gaps": told.gaps})
    elif form is Format.CSV:
        header = ["seq", "received_at", "operation", "origin", "gap", "stream"]
        header += ["field", "old", "new"]
        write_csv([row for step in told.steps for row in _step_rows(step)], header)
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


def state(told: State, form: Format, names: Names, fields: Sequence[str] = ()) -> None:
    """Write the state of an object at an instant, with its certainty first."""
    told = _with_fields(told, fields)
    if form is Format.JSON:
        write_json(told)
        return
    if form is Format.CSV:
        write_csv([_flat(told, list(told.fields))], [*_HEADER, *told.fields])
        return
    out = console()
    out.print(Text(_headline(told), style="bold"), soft_wrap=True)
    rows = [(name, value_text(value, names)) for name, value in told.fields.items()]
    if rows:
        write_table([Column("field"), Column("value", wide=True)], rows)


def _headline(told: State) -> str:
    who = f"{told.pool}/{told.cls}:{told.name or short_ref(told.ref)}"
    there = ": not there" if told.exists is False else ""
    return f"{who}{there} ({certainty_text(told.certainty, told.reason)})"


def certainty_text(certainty: Certainty, reason: str | None) -> str:
    """Return how much an answer is worth, and why."""
    return certainty.value if reason is None else f"{certainty.value}: {reason}"


def verdict_text(verdict: Verdict) -> str | None:
    """Return what a reader must know of the answer for a pool, None if it is simply known."""
    if verdict.certainty is Certainty.KNOWN and verdict.reason is None:
        return None
    return f"pool {verdict.pool} is {certainty_text(verdict.certainty, verdict.reason)}"


_HEADER = (
    *("pool", "class", "name", "uuid", "certainty", "reason", "exists"),
    *("told_at", "origin", "gap", "stream"),
)
_TELLING = {
    "vm": ("power_state", "resident_on"),
    "host": ("enabled", "address"),
    "task": ("status", "progress"),
    "sr": ("type", "physical_utilisation"),
    "vdi": ("virtual_size", "SR"),
    "pbd": ("currently_attached", "SR"),
    "vbd": ("currently_attached", "VM"),
    "vif": ("currently_attached", "VM"),
    "message": ("cls", "obj_uuid"),
}
"""Which fields of a class a table shows unless others are asked for."""


def states(told: States, form: Format, names: Names, cls: str, fields: Sequence[str] = ()) -> None:
    """Write the objects of a class at an instant."""
    if form is Format.JSON:
        chosen = [_with_fields(one, fields) for one in told.states]
        write_json(msgspec.structs.replace(told, states=chosen))
        return
    shown = list(fields) or list(_TELLING.get(cls.lower(), ()))
    if form is Format.CSV:
        write_csv([_flat(one, shown) for one in told.states], [*_HEADER, *shown])
        return
    columns = [
        Column("pool"),
        Column("name", wide=True),
        Column("uuid"),
        *(Column(name) for name in shown),
        Column("told"),
        Column("certainty"),
    ]
    write_table(
        columns,
        (
            (
                one.pool,
                one.name or "-",
                (one.uuid or short_ref(one.ref))[:8],
                *(_field_text(one, name, names) for name in shown),
                at_text(one.told_at),
                one.certainty.value,
            )
            for one in told.states
        ),
    )


def _field_text(told: State, name: str, names: Names) -> str:
    return value_text(told.fields[name], names) if name in told.fields else "-"


def _with_fields(told: State, fields: Sequence[str]) -> State:
    if not fields:
        return told
    kept = {name: told.fields[name] for name in fields if name in told.fields}
    return msgspec.structs.replace(told, fields=kept)


def _flat(told: State, fields: Sequence[str]) -> dict[str, Json]:
    row = plain_of(told)
    return row | {name: told.fields.get(name) for name in fields}


# -- SQL ---------------------------------------------------------------------------------------


def answer(names: Sequence[str], rows: Sequence[dict[str, Json]], form: Format) -> None:
    """Write the answer to an SQL statement."""
    if form is Format.JSON:
        write_json(rows)
    elif form is Format.CSV:
        write_csv(rows, names)
    else:
        cells = [[cell_text(row[name]) for name in names] for row in rows]
        write_table([Column(name) for name in names], cells)


def tables(rows: Sequence[TableRow], form: Format) -> None:
    """Write which tables and views there are."""
    if form is not Format.TABLE:
        write_rows(rows, TableRow, form)
        return
    show: Callable[[Text], None] = console().print
    for row in rows:
        show(Text.assemble((row.name, "bold"), f" ({row.kind})"))
        for line in (row.comment or "").splitlines():
            show(Text(f"  {line}", style="dim"))
        for column in row.columns:
            show(Text(f"  {column}"))
