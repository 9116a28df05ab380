"""Drift between two instants."""

import msgspec

from ..choices import Format
from ..questions.drift import Difference, Drift
from ..records import FieldChange, Json
from ..values import change_text, decoded, short_ref
from .output import Column, plain_of, write_csv, write_json, write_table
from .words import Names

_MARKS = {"added": "+", "removed": "-", "changed": "~", "untold": "?"}


def show(told: Drift, form: Format, names: Names) -> None:
    """Write differences, one row an object that came or went, or a field that is another."""
    if form is Format.JSON:
        rows = [_row(one) for one in told.differences]
        write_json({**plain_of(told), "differences": rows})
        return
    if form is Format.CSV:
        header = [field.encode_name for field in msgspec.structs.fields(Difference)]
        certain = _certainties(told)
        rows = [_row(one) | certain[one.pool] for one in told.differences]
        write_csv(rows, [*header, "certainty_before", "certainty_after"])
        return
    if not told.differences:
        return
    columns = [
        Column(""),
        Column("pool"),
        Column("object", wide=True),
        Column("difference", wide=True),
        Column("before", right=True, spare=True),
        Column("after", right=True, spare=True),
    ]
    write_table(
        columns,
        (
            (
                _MARKS[one.what],
                one.pool,
                f"{one.cls} {one.name or short_ref(one.ref)}",
                _text(one, names),
                "-" if one.seq_before is None else f"@{one.seq_before}",
                "-" if one.seq_after is None else f"@{one.seq_after}",
            )
            for one in told.differences
        ),
    )


def _certainties(told: Drift) -> dict[str, dict[str, Json]]:
    """Return how certain the two states of each pool are, as cells of CSV."""
    pairs = zip(told.verdicts_before, told.verdicts_after, strict=True)
    return {
        before.pool: {
            "certainty_before": before.certainty.value,
            "certainty_after": after.certainty.value,
        }
        for before, after in pairs
    }


def none_text(told: Drift) -> str:
    """Return what is said where no difference is told: never that there is none if one may be."""
    if not told.is_certain:
        return "no difference is known; but see above what is not certain"
    return "no other difference" if told.volatile else "no difference"


def _row(one: Difference) -> dict[str, Json]:
    return plain_of(one) | {"old": decoded(one.old), "new": decoded(one.new)}


def _text(one: Difference, names: Names) -> str:
    if one.field is None:
        return "a state was redacted" if one.what == "untold" else one.what
    return change_text(one.cls, FieldChange(one.field, one.old, one.new), names)
