"""What was attempted in a pool and how it ended, and what changed most."""

from collections.abc import Sequence

from ..questions.tasks_errors import in_words
from ..questions.tasks_listed import FAILED, TaskRow
from ..values import duration_text, short_ref
from .html import Html, Piece, tag
from .outcomes import BUSIEST_MAX, Busy, Outcomes
from .shown import shown
from .tables import Column, count, evidence, name, section, table
from .times import DASH, Clock

_OBJECTS_MAX = 3
_BY_AT = 3


def tasks_part(outcomes: Outcomes, clock: Clock) -> Html:
    """Return the section about tasks."""
    if not outcomes.counts:
        return section("Tasks", tag("p", "No task is known of this period.", class_="note"))
    columns = [
        Column("created"),
        Column("task", wide=True),
        Column("on", wide=True),
        Column("outcome", wide=True),
        Column("took", number=True),
        Column("evidence"),
    ]
    rows = [_task(row, outcomes, clock) for row in outcomes.rows]
    if any(row.by for row in outcomes.rows):
        columns.insert(_BY_AT, Column("by", wide=True))
        for cells, row in zip(rows, outcomes.rows, strict=True):
            cells.insert(_BY_AT, name(row.by, 80) if row.by else "?")
    loud = [index for index, row in enumerate(outcomes.rows) if row.status in FAILED]
    total = sum(outcomes.counts.values())
    told = ", ".join(f"{number:,} {shown(key, 20)}" for key, number in outcomes.counts.items())
    lead = f"{count(total, 'task')}: {told}. Those that failed come first."
    left = f" {outcomes.left_out:,} are left out: see xentrail tasks." if outcomes.left_out else ""
    return section("Tasks", tag("p", lead + left), table(columns, rows, loud=loud))


def _task(row: TaskRow, outcomes: Outcomes, clock: Clock) -> list[Piece]:
    objects = sorted(row.objects, key=lambda text: (not text.startswith("vm:"), text))
    more = f" and {len(objects) - _OBJECTS_MAX} more" if len(objects) > _OBJECTS_MAX else ""
    told = ", ".join(map(_object, objects[:_OBJECTS_MAX])) + more
    return [
        clock.at(row.created),
        name(row.name_label, 80),
        name(told, 200),
        _outcome(row, outcomes.names),
        DASH if row.duration_s is None else duration_text(row.duration_s),
        evidence(row.first_seq, row.last_seq),
    ]


def _object(text: str) -> str:
    """Return `vm:web1`, or `vbd:` and the beginning of its reference."""
    cls, _, called = text.partition(":")
    return shown(f"{cls}:{short_ref(called)}", 50)


def _outcome(row: TaskRow, names: dict[str, str]) -> Html:
    if row.error_code is not None:
        words = in_words(row.error_code, row.error_params, names)
        if words is None:
            params = [shown(names.get(one) or short_ref(one), 100) for one in row.error_params]
            words = ", ".join(params)
        code = tag("code", shown(row.error_code, 60))
        return tag("span", tag("b", row.status), ": ", tag("bdi", shown(words, 320)), " ", code)
    if row.status == "vanished":
        return tag("span", tag("b", "vanished"), ": gone before its end was seen")
    if row.status == "pending":
        return tag("span", f"pending, {row.progress or 0:.0%} done")
    result = names.get(row.result or "") or short_ref(row.result or "")
    return tag(
        "span", shown(row.status, 20), tag("bdi", f": {shown(result, 80)}") if result else None
    )


def busiest_part(busiest: Sequence[Busy], clock: Clock) -> Html:
    """Return the section about the objects that changed most."""
    if not busiest:
        return section("Busiest objects", tag("p", "Nothing was seen to change.", class_="note"))
    columns = [
        Column("object", wide=True),
        Column("uuid"),
        Column("changes", number=True),
        Column("first"),
        Column("last"),
        Column("evidence"),
    ]
    rows: list[list[Piece]] = [
        [
            tag("span", f"{shown(row.cls, 40)} ", name(row.name or short_ref(row.ref), 80)),
            tag("code", shown((row.uuid or DASH)[:8])),
            f"{row.changes:,}",
            clock.at(row.first_at),
            clock.at(row.last_at),
            evidence(row.first_seq, row.last_seq),
        ]
        for row in busiest
    ]
    lead = (
        f"The {BUSIEST_MAX} that were seen to change most, without tasks, messages and heartbeats."
    )
    return section("Busiest objects", tag("p", lead, class_="note"), table(columns, rows))
