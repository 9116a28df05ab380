"""Spans of power states and places, uptimes, and moves."""

from collections.abc import Sequence

from ..choices import Format
from ..questions.lacks import Lacks
from ..questions.moves import Move, Route
from ..questions.spans import Span, Sureness, Uptime
from ..values import duration_text, percent_text, short_ref
from .output import Column, write_answer, write_table
from .words import Names, at_text, origin_text


def spans(rows: Sequence[Span], form: Format, lacks: Lacks, title: str, names: Names) -> None:
    """Write spans; what nobody knows stands out."""
    if form is not Format.TABLE:
        write_answer(rows, Span, form, lacks)
        return
    columns = [
        Column("pool", spare=True),
        Column("vm", wide=True),
        Column("from"),
        Column("to"),
        Column("for", right=True),
        Column(title, wide=True),
        Column("told", right=True, spare=True),
    ]
    cells = [
        (
            row.pool,
            row.name or short_ref(row.ref),
            at_text(row.since),
            at_text(row.until),
            duration_text(row.duration_s),
            _value_text(row, names),
            "-" if row.seq is None else f"@{row.seq}",
        )
        for row in rows
    ]
    unsure = [index for index, row in enumerate(rows) if row.sureness is not Sureness.KNOWN]
    write_table(columns, cells, loud=unsure)


def _value_text(span: Span, names: Names) -> str:
    gap = "" if span.gap is None else f", gap @{span.gap}"
    if span.sureness is Sureness.UNKNOWN:
        return f"(unknown{gap})"
    value = "(not there)"
    if span.exists:
        value = names.get(span.value or "") or short_ref(span.value or "")
    return value if span.sureness is Sureness.KNOWN else f"{value} (presumed{gap})"


def uptimes(rows: Sequence[Uptime], form: Format, lacks: Lacks) -> None:
    """Write how long each VM was in which power state."""
    if form is not Format.TABLE:
        write_answer(rows, Uptime, form, lacks)
        return
    columns = [
        Column("pool", spare=True),
        Column("vm", wide=True),
        Column("up", right=True),
        *(
            Column(title, right=True)
            for title in ("running", "halted", "suspended", "paused", "unsure", "of", "changes")
        ),
    ]
    write_table(
        columns,
        (
            (
                row.pool,
                row.name or short_ref(row.ref),
                _up_text(row),
                *(
                    duration_text(seconds) if seconds else "-"
                    for seconds in (
                        row.running_s,
                        row.halted_s,
                        row.suspended_s,
                        row.paused_s,
                        row.unsure_s,
                        row.total_s,
                    )
                ),
                str(row.changes),
            )
            for row in rows
        ),
    )


def _up_text(row: Uptime) -> str:
    if row.up_at_least is None or row.up_at_most is None:
        return "-"
    least, most = percent_text(row.up_at_least), percent_text(row.up_at_most)
    return least if least == most else f"{least.removesuffix(' %')} to {most}"


def moves(rows: Sequence[Move], form: Format, lacks: Lacks) -> None:
    """Write from which host to which VMs went."""
    if form is not Format.TABLE:
        write_answer(rows, Move, form, lacks)
        return
    columns = [
        Column("seq", right=True),
        Column("at"),
        Column("pool", spare=True),
        Column("vm", wide=True),
        Column("from", wide=True),
        Column("to", wide=True),
        Column("took", right=True),
        Column("how", wide=True, spare=True),
    ]
    write_table(
        columns,
        (
            (
                f"@{row.seq}",
                at_text(row.received_at),
                row.pool,
                row.name or short_ref(row.ref),
                row.from_host or short_ref(row.from_ref),
                row.to_host or short_ref(row.to_ref),
                duration_text(row.duration_s),
                origin_text(row.origin, row.gap),
            )
            for row in rows
        ),
    )


def routes(rows: Sequence[Route], form: Format, lacks: Lacks) -> None:
    """Write how often VMs went from a host to another."""
    if form is not Format.TABLE:
        write_answer(rows, Route, form, lacks)
        return
    columns = [
        Column("pool"),
        Column("from", wide=True),
        Column("to", wide=True),
        *(Column(title, right=True) for title in ("moves", "vms", "median", "longest")),
    ]
    write_table(
        columns,
        (
            (
                row.pool,
                row.from_host or short_ref(row.from_ref),
                row.to_host or short_ref(row.to_ref),
                str(row.moves),
                str(row.vms),
                duration_text(row.median_s),
                duration_text(row.longest_s),
            )
            for row in rows
        ),
    )
