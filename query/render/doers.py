"""Who did what: calls of the audit trail, deeds, and what nobody asked for."""

from collections.abc import Sequence

from ..choices import Format
from ..questions.doers import CallRow, DeedRow
from ..questions.lacks import Lacks
from ..questions.unasked import UnaskedRow
from ..values import short_ref
from .output import Column, write_answer, write_table
from .words import at_text

NAMED = "named"
_OPERATIONS = ("allowed_operations", "current_operations")


def calls(rows: Sequence[CallRow], form: Format, lacks: Lacks) -> None:
    """Write lines of the trail."""
    if form is not Format.TABLE:
        write_answer(rows, CallRow, form, lacks)
        return
    columns = [
        Column("line", right=True),
        Column("written"),
        Column("pool", spare=True),
        Column("user", wide=True),
        Column("client", wide=True),
        Column("call", wide=True),
        Column("object", wide=True),
        Column("ended"),
    ]
    cells = [
        (
            f"@{row.seq}",
            at_text(row.written_at),
            row.pool,
            row.line or "" if row.call is None else _user(row),
            row.client or "",
            row.call or "",
            _object(row),
            ended(row.verdict, row.error_code),
        )
        for row in rows
    ]
    loud = {number for number, row in enumerate(rows) if row.verdict == "DENIED"}
    write_table(columns, cells, loud=loud)


def deeds(rows: Sequence[DeedRow], form: Format, lacks: Lacks) -> None:
    """Write who did something, and what."""
    if form is not Format.TABLE:
        write_answer(rows, DeedRow, form, lacks)
        return
    columns = [
        Column("written"),
        Column("user", wide=True),
        Column("client", wide=True),
        Column("call", wide=True),
        Column("ended"),
        Column("changed", wide=True),
        Column("sure"),
        Column("evidence", wide=True),
    ]
    cells = [
        (
            at_text(row.written_at),
            _user(row),
            row.client or "",
            row.call or "",
            ended(row.verdict, row.error_code),
            _changed(row.fields),
            row.confidence or NAMED,
            " ".join(f"@{seq}" for seq in (row.seq, *row.seqs)),
        )
        for row in rows
    ]
    loud = {number for number, row in enumerate(rows) if row.confidence == "suspicious"}
    write_table(columns, cells, loud=loud)


def unasked(rows: Sequence[UnaskedRow], form: Format, lacks: Lacks) -> None:
    """Write what nobody asked for."""
    if form is not Format.TABLE:
        write_answer(rows, UnaskedRow, form, lacks)
        return
    columns = [
        Column("seq", right=True),
        Column("received"),
        Column("pool", spare=True),
        Column("object", wide=True),
        Column("what", wide=True),
        Column("probably", wide=True),
    ]
    cells = [
        (
            f"@{row.seq}",
            at_text(row.received_at),
            row.pool,
            f"{row.cls} {row.name or short_ref(row.ref)}",
            row.what,
            row.cause,
        )
        for row in rows
    ]
    write_table(columns, cells)


def _changed(fields: Sequence[str]) -> str:
    """Return what was changed; that operations were allowed and under way is told if all else."""
    telling = [field for field in fields if field not in _OPERATIONS]
    return ", ".join(telling or fields) or "-"


def ended(verdict: str | None, error_code: str | None) -> str:
    """Return how a call ended: denied, its error, or ok."""
    if verdict is None:
        return "?"
    return "DENIED" if verdict == "DENIED" else error_code or "ok"


def _user(row: CallRow | DeedRow) -> str:
    return f"host {row.caller}" if row.internal else row.username or ""


def _object(row: CallRow) -> str:
    if row.target is None:
        return ""
    return row.target_name or short_ref(row.target)
