"""A run and its repetition, side by side."""

from ..choices import Format
from ..questions.replay import Compared, ReplayRow
from ..values import duration_text, short_ref
from .output import Column, write_json, write_rows, write_table

NOT_MADE = "not made"


def compared(told: Compared, form: Format) -> None:
    """Write a comparison; calls that did not go the same stand out."""
    if form is Format.JSON:
        write_json(told)
        return
    if form is Format.CSV:
        write_rows(told.rows, ReplayRow, form)
        return
    columns = [
        Column("step", right=True),
        Column("round", right=True, spare=True),
        Column("object", wide=True),
        Column("call"),
        Column("before", wide=True),
        Column("took", right=True),
        Column("now", wide=True),
        Column("took", right=True),
        Column("same"),
    ]
    cells = [
        (
            "-" if row.step is None else str(row.step),
            str(row.round or "-"),
            f"{row.cls}:{row.name or short_ref(row.ref)}",
            row.method.rpartition(".")[2],
            _end(row.before, row.before_why, is_made=row.step is not None),
            _took(row.before_s),
            _end(row.after, row.after_why, is_made=row.is_made),
            _took(row.after_s),
            _same(row),
        )
        for row in told.rows
    ]
    write_table(columns, cells, loud=[i for i, row in enumerate(told.rows) if not row.same])


def verdict(told: Compared) -> str:
    """Return the last line about a comparison."""
    other = sum(not row.same for row in told.rows)
    where = f"simulated pool {told.pool}" if told.simulated else f"pool {told.pool}"
    if told.same:
        went = f"all {len(told.rows)} calls ended as before"
    elif other:
        went = f"{other} of {len(told.rows)} calls did NOT end as before"
    else:
        went = "all calls ended as before, but the run did NOT"
    count = sum(row.injected is not None for row in told.rows)
    faults = f"; {count} injected, which nothing recorded explains" if count else ""
    before, after = (
        f"{status or 'no end'}, {'held' if held else 'not held'}"
        for status, held in (
            (told.status_before, told.held_before),
            (told.status_after, told.held_after),
        )
    )
    return f"run {told.replay_of} again on {where}: {went} ({before}; now {after}){faults}"


def _end(outcome: str | None, why: str, *, is_made: bool) -> str:
    if outcome is None:
        return "unknown" if is_made else NOT_MADE
    words = " ".join(map(short_ref, why.split(" ")))
    return outcome if not words else f"{outcome}: {words}"


def _took(seconds: float | None) -> str:
    return "-" if seconds is None else duration_text(seconds)


def _same(row: ReplayRow) -> str:
    word = "same" if row.same else "DIFFERS"
    return word if row.injected is None else f"{word}, injected"
