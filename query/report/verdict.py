"""What a report says of the journal that it was read from."""

from .gather import Report
from .html import Html, Piece, tag
from .integrity import Flaw, Integrity, Verified
from .shown import shown
from .tables import Column, count, evidence, facts, section, table

FLAWS_MAX = 100


def verdict_text(integrity: Integrity) -> str:
    """Return the verdict in a sentence."""
    verified = integrity.verified
    if verified is None:
        return "The journal was not verified for this report (--no-verify)."
    if verified.flaws:
        found = count(len(verified.flaws), "finding")
        return (
            f"The journal is NOT sound: {found}. Do not rely on this report before each is"
            " explained."
        )
    how = "sound" if verified.checkpoints else "whole, but no checkpoint is signed yet"
    return f"Every byte of the journal was checked, up to entry @{verified.last_seq}: it is {how}."


def verdict_part(integrity: Integrity, report: Report) -> Html:
    """Return the section about the journal: verdict, findings, newest checkpoint."""
    verified = integrity.verified
    last_seq = report.period.last_seq
    return tag(
        "section",
        tag("h2", "Is this to be trusted?"),
        tag("p", verdict_text(integrity)),
        _checked(verified) if verified else None,
        _flaws(verified.flaws) if verified and verified.flaws else None,
        _checkpoint(integrity, last_seq),
        tag(
            "p",
            "Signatures bind whoever has not the signing key of the recorder. That the end of the"
            " journal was cut off, or its past written anew with the key, is found only by a"
            " checkpoint that was noted elsewhere: ",
            tag("code", "xentrail verify --checkpoint FILE"),
            " compares. The tables of this report come from the history, which is loaded from the"
            " journal and not signed itself: it can be deleted, and is then built anew.",
            class_="note",
        ),
        class_="pool",
        id="integrity",
    )


def _checked(verified: Verified) -> Html:
    span = evidence(verified.first_seq, verified.last_seq)
    gone = None
    if verified.dropped_seq is not None:
        gone = f"entries up to @{verified.dropped_seq}, as a signed tombstone says"
    redacted = None
    if verified.redacted:
        redacted = f"{count(verified.redacted, 'entry', 'entries')}, each recorded"
    return facts(
        [
            ("entries", tag("span", f"{verified.entries:,} ", span)),
            ("segments", f"{verified.segments:,}, {verified.bytes:,} bytes"),
            ("signed", _signed(verified)),
            ("redacted", redacted),
            ("dropped by rule", gone),
        ]
    )


def _signed(verified: Verified) -> str:
    if not verified.checkpoints:
        return "no checkpoint vouches for any entry yet"
    rest = verified.last_seq - verified.signed_seq
    later = f"; {count(rest, 'later entry', 'later entries')} not yet" if rest else ""
    checkpoints = count(verified.checkpoints, "checkpoint")
    return f"up to @{verified.signed_seq} by {checkpoints}{later}"


def _flaws(flaws: list[Flaw]) -> Html:
    columns = [
        Column("finding"),
        Column("what", wide=True),
        Column("segment", number=True),
        Column("byte", number=True),
        Column("after entry", number=True),
    ]
    rows: list[list[Piece]] = [
        [flaw.kind, shown(flaw.text, 300), f"{flaw.segment}", f"{flaw.offset:,}", f"@{flaw.seq}"]
        for flaw in flaws[:FLAWS_MAX]
    ]
    left = len(flaws) - len(rows)
    more = tag("p", f"{left:,} more: see xentrail verify.", class_="note") if left else None
    return tag("div", table(columns, rows, loud=range(len(rows))), more)


def _checkpoint(integrity: Integrity, last_seq: int) -> Html:
    if integrity.note is None:
        trouble = shown(integrity.trouble or "", 400)
        return section("Newest checkpoint", tag("p", trouble, class_="note"))
    within = "all of this period" if integrity.signed_seq >= last_seq else "not all of this period"
    key = integrity.key_id
    lead = f"It vouches for the entries up to @{integrity.signed_seq}: {within}."
    if integrity.verified is None:
        lead += " Its signature was not checked."
    lines = [shown(line, 300) for line in integrity.note.splitlines()]
    return section(
        "Newest checkpoint",
        tag("p", lead),
        tag("pre", "\n".join(lines)),
        facts([("key id", key and tag("code", key))]),
    )
