"""The pools that are recorded, and what in them changed most."""

from collections.abc import Sequence

from ..choices import Format
from ..questions.busiest import Busy
from ..questions.lacks import Lacks
from ..questions.recorded import PoolRow
from ..values import percent_text, short_ref
from .output import Column, write_answer, write_table
from .words import at_text


def pools(rows: Sequence[PoolRow], form: Format, lacks: Lacks) -> None:
    """Write where the record of each pool stands; one that is blind now stands out."""
    if form is not Format.TABLE:
        write_answer(rows, PoolRow, form, lacks)
        return
    columns = [
        Column("pool"),
        Column("uuid"),
        Column("master", wide=True, spare=True),
        Column("version", spare=True),
        Column("recorded since"),
        Column("last entry"),
        *(Column(title, right=True, spare=True) for title in ("events", "objects", "vms")),
        Column("gaps", right=True),
        Column("seen", right=True),
    ]
    cells = [
        (
            row.pool,
            (row.pool_uuid or "-")[:8],
            row.master or "-",
            " ".join(word for word in (row.brand, row.version) if word) or "-",
            at_text(row.recorded_since),
            at_text(row.last_at),
            f"{row.events:,}",
            f"{row.objects:,}",
            f"{row.vms:,}",
            str(row.gaps),
            "-" if row.seen_share is None else percent_text(row.seen_share),
        )
        for row in rows
    ]
    blind = [index for index, row in enumerate(rows) if row.open_gap is not None]
    write_table(columns, cells, loud=blind)


def busiest(rows: Sequence[Busy], form: Format, lacks: Lacks) -> None:
    """Write what changed most."""
    if form is not Format.TABLE:
        write_answer(rows, Busy, form, lacks)
        return
    columns = [
        Column("pool"),
        Column("what", wide=True),
        *(Column(title, right=True) for title in ("changes", "a minute")),
        Column("busiest field", wide=True, spare=True),
        *(Column(title, right=True, spare=True) for title in ("inferred", "repeats")),
        Column("last"),
    ]
    write_table(
        columns,
        (
            (
                row.pool,
                _what(row),
                f"{row.changes:,}",
                _rate_text(row.per_minute),
                row.field or "-",
                str(row.inferred or "-"),
                str(row.repeats or "-"),
                at_text(row.last_at),
            )
            for row in rows
        ),
    )


def _rate_text(per_minute: float | None) -> str:
    if per_minute is None:
        return "-"
    if 0 < per_minute < 0.01:
        return "< 0.01"
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.3g}"


def _what(row: Busy) -> str:
    if row.ref is not None:
        return f"{row.cls} {row.name or short_ref(row.ref)}"
    return row.cls or "(all)"
