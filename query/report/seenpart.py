"""What was seen of a pool in a period: in a sentence, as a picture, and the ledger beneath."""

from collections.abc import Sequence

from ..questions.gaps import GapRow
from ..values import duration_text, percent_text
from .coverage import Coverage
from .html import Html, Piece, tag
from .period import Period
from .pictures import Canvas
from .tables import Column, count, evidence, name, section, swatches, table
from .times import DASH, Clock


def seen_part(coverage: Coverage, canvas: Canvas) -> Html:
    """Return the section about what was seen."""
    sentence = seen_text(coverage, canvas.period, canvas.clock)
    signs = [("bar", "var(--seen)", "seen")]
    if coverage.gaps:
        signs.append(("gap", "", "blind: events may be missing"))
    if coverage.unrecorded_us:
        signs.append(("unrecorded", "", "not recorded"))
    figure = tag("figure", canvas.coverage(coverage, sentence), swatches(signs))
    ledger = _ledger(coverage.ledger, canvas.clock) if coverage.ledger else None
    return section("What was seen", tag("p", sentence), figure, ledger)


def seen_text(coverage: Coverage, period: Period, clock: Clock) -> str:
    """Return in words which share of the period was seen of a pool, and what stands in the way."""
    gaps = coverage.gaps
    blind_us = coverage.blind_us
    unrecorded_us = coverage.unrecorded_us
    if not gaps and not unrecorded_us:
        return f"All of the period was seen ({_for(period.length_us)}): no gap touches it."
    words = [f"{percent_text(coverage.share_seen)} of the period was seen."]
    if gaps:
        still = sum(gap.open for gap in gaps)
        one_open = f"; {count(still, 'gap')} still open" if still else ""
        words.append(
            f"In {count(len(gaps), 'gap')} events may have been missed, for {_for(blind_us)}"
            f" in all{one_open}."
        )
    else:
        words.append("No gap touches it.")
    if unrecorded_us:
        words.append(
            f"Of {_for(unrecorded_us)} nothing is recorded{_when(coverage, period, clock)}."
        )
    return " ".join(words)


def _when(coverage: Coverage, period: Period, clock: Clock) -> str:
    since_us, until_us = coverage.recorded_from_us, coverage.recorded_to_us
    if since_us is None or until_us is None:
        return ": the pool was never registered"
    words = []
    if since_us > period.begin_us:
        words.append(f"it begins at {clock.text(since_us)}")
    if until_us < period.end_us:
        words.append(f"it ends at {clock.text(until_us)}")
    return f" ({' and '.join(words)})" if words else ""


def _for(length_us: int) -> str:
    return duration_text(length_us / 1e6)


def _ledger(rows: Sequence[GapRow], clock: Clock) -> Html:
    columns = [
        Column("gap"),
        Column("cause"),
        Column("blind from"),
        Column("until"),
        Column("for", number=True),
        Column("differ", number=True),
        Column("missed", number=True),
        Column("detail", wide=True),
    ]
    cells: list[list[Piece]] = [
        [
            evidence(row.seq),
            row.cause,
            clock.at(row.since),
            "STILL OPEN" if row.open else clock.at(row.blind_until),
            DASH if row.duration_s is None else duration_text(row.duration_s),
            _number(row.objects_differed),
            _number(row.ids_missed),
            name(row.detail + _rolled_back(row), 240),
        ]
        for row in rows
    ]
    loud = [index for index, row in enumerate(rows) if row.open]
    note = tag(
        "p",
        "“differ” counts the objects that were found changed, new or gone afterwards; “missed” the"
        " events by their ids, a lower bound (none where nobody can know).",
        class_="note",
    )
    return tag("div", table(columns, cells, loud=loud), note)


def _number(number: int | None) -> str:
    return DASH if number is None else f"{number:,}"


def _rolled_back(row: GapRow) -> str:
    if row.rolled_back_to is None:
        return ""
    return (
        f"; the pool's database went back from generation {row.rolled_back_from}"
        f" to {row.rolled_back_to}"
    )
