"""The ledger of gaps."""

from collections.abc import Sequence

from ..choices import Format
from ..questions.gaps import Blindness, GapRow
from ..values import duration_text, percent_text
from .output import Column, Text, console, plain_of, write_json, write_rows, write_table
from .words import at_text


def show(
    rows: Sequence[GapRow],
    blind: Sequence[Blindness],
    form: Format,
    last_states_only: Sequence[str],
) -> None:
    """Write the ledger of gaps; for people with a line a pool on how blind it is in all."""
    if form is Format.JSON:
        pools = [{**plain_of(one), "share": one.share} for one in blind]
        write_json({"rows": rows, "pools": pools, "last_states_only": last_states_only})
        return
    if form is Format.CSV:
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
    text = Text().append(one.pool, "bold").append(f": {count}")
    if one.gaps:
        blind, recorded = duration_text(one.blind_s), duration_text(one.recorded_s)
        text.append(f", blind for {blind} of {recorded} ({percent_text(one.share)})")
    if one.open_since is not None:
        text.append(f"; STILL BLIND since {at_text(one.open_since)}", "bold yellow")
    return text
