"""The runs of a pool in a period: a picture of the calls of each, its outcomes and its audit."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from recorder.instant import us_of

from ..audit.finding import Finding, Level
from ..audit.judge import Verdict
from ..audit.radius import Change
from ..values import duration_text, short_ref
from .html import Html, Piece, joined, tag
from .period import Period
from .pictures import CALLS, LANES_MAX, UNKNOWN_CALL, Canvas, Lane
from .runs import RUNS_MAX, Call, Runs, RunTold
from .shown import shown
from .tables import Column, count, evidence, name, section, swatches, table
from .times import DASH

CALLS_MAX = 200
FINDINGS_MAX = 50
_NOTICE = {
    Verdict.PROVEN: "notice good",
    Verdict.NOT_PROVABLE: "notice warn",
    Verdict.CONTRADICTED: "notice bad",
}
_GOOD = frozenset({"success", "skipped"})
_EDGE_SHARE = 0.02
"""So much room is left beside the first and the last bar."""


def runs_part(runs: Runs, canvas: Canvas) -> Html | None:
    """Return the sections about runs; None if there was none."""
    if not runs.rows:
        return None
    left = None
    if runs.left_out:
        text = f"The newest {RUNS_MAX} runs; {runs.left_out:,} older ones: "
        left = tag("p", text, tag("code", "xentrail workload runs"), class_="note")
    return tag("div", left, *(_run(one, canvas) for one in runs.rows))


def _run(run: RunTold, canvas: Canvas) -> Html:
    return section(
        joined(["Run of ", name(run.script, 60)]),
        tag("p", *_told(run, canvas)),
        tag("p", _verdict_text(run), class_=_NOTICE[run.verdict]),
        _picture(run, canvas),
        _calls(run),
        _findings(run.findings) if run.findings else None,
        _strangers(run),
    )


def _told(run: RunTold, canvas: Canvas) -> list[Piece]:
    begun = f" began at {canvas.clock.at(run.started)}"
    if run.ended is None:
        how = ", and its end was not recorded"
    else:
        held = "all that it expected held" if run.held else "not all that it expected held"
        lasted = duration_text((us_of(run.ended) - us_of(run.started)) / 1e6)
        how = f" and was {run.status} after {lasted}: {held} by its own account"
    made = f". {len(run.calls):,} of {count(run.planned, 'planned call')}, seed {run.seed}, by "
    who = name(run.who, 120)
    return [
        tag("code", run.run),
        begun,
        how,
        made,
        who,
        ". ",
        evidence(run.first_seq, run.last_seq),
    ]


def _verdict_text(run: RunTold) -> str:
    return f"Audit: {run.verdict}: {shown(run.why, 600)}."


def _picture(run: RunTold, canvas: Canvas) -> Html | None:
    """Return the calls in time, a lane for each VM or host."""
    lanes: dict[str, Lane] = {}
    for call in run.calls:
        lane = lanes.setdefault(call.ref, Lane(call.name or short_ref(call.ref)))
        lane.calls.append(call)
    if not lanes:
        return None
    own = replace(canvas, period=_period(run))
    all_lanes = list(lanes.values())
    words = f"Calls of the run of {shown(run.script, 60)}, a lane for each object"
    figures = [
        tag("figure", own.calls(all_lanes[first : first + LANES_MAX], words))
        for first in range(0, len(all_lanes), LANES_MAX)
    ]
    return tag("div", swatches(_signs(run.calls)), *figures)


def _period(run: RunTold) -> Period:
    """Return the time of a run, with some room at both ends."""
    begin_us = min(call.begin_us for call in run.calls)
    end_us = max(call.end_us or call.begin_us for call in run.calls)
    room_us = max(round((end_us - begin_us) * _EDGE_SHARE), 500_000)
    return Period(begin_us - room_us, end_us + room_us, run.last_seq or run.first_seq)


def _signs(calls: Sequence[Call]) -> list[tuple[str, str, str]]:
    told = {call.outcome for call in calls}
    signs = [
        ("bar thin" if key == "skipped" else "bar", look.fill, key)
        for key, look in CALLS.items()
        if key in told
    ]
    if told - set(CALLS):
        signs.append((UNKNOWN_CALL, "", "nobody knows how it ended"))
    return signs


def _calls(run: RunTold) -> Html:
    columns = [
        Column("call", number=True),
        Column("of what", wide=True),
        Column("outcome", wide=True),
        Column("took", number=True),
        Column("audit", wide=True),
        Column("evidence"),
    ]
    kept = run.calls[:CALLS_MAX]
    rows = [_call(call) for call in kept]
    loud = [
        index
        for index, call in enumerate(kept)
        if call.outcome not in _GOOD or call.verdict is not Verdict.PROVEN
    ]
    more = len(run.calls) - len(kept)
    cut = tag("p", f"{more:,} calls more: see xentrail workload show.", class_="note")
    return tag("div", table(columns, rows, loud=loud), cut if more else None)


def _call(call: Call) -> list[Piece]:
    took = DASH if call.end_us is None else duration_text((call.end_us - call.begin_us) / 1e6)
    around = f", round {call.round}" if call.round else ""
    method = f": {shown(call.method.rpartition('.')[2], 60)}{around}"
    rules = f" ({', '.join(call.rules)})" if call.rules else ""
    return [
        f"{call.step:,}",
        tag("span", name(call.name or short_ref(call.ref), 60), method),
        _outcome(call),
        took,
        f"{call.verdict}{rules}",
        evidence(min(call.seqs), max(call.seqs)),
    ]


def _outcome(call: Call) -> Html:
    outcome = call.outcome or "not known"
    said = tag("span", outcome) if outcome in _GOOD else tag("b", outcome)
    words: list[Piece] = []
    if call.error is not None:
        code, *params = msgspec.json.decode(call.error, type=list[str])
        words += [" ", tag("code", shown(code, 60))]
        words += [shown(f" {' '.join(map(short_ref, params))}", 120) if params else None]
    if call.why:
        words.append(f": {shown(call.why, 200)}")
    return tag("span", said, *words)


def _entries(seqs: Sequence[int]) -> Html:
    return tag("span", " ".join(f"@{seq}" for seq in seqs[:6]) or DASH, class_="seq")


def _findings(findings: Sequence[Finding]) -> Html:
    columns = [
        Column("finding"),
        Column("rule"),
        Column("call", number=True),
        Column("what", wide=True),
        Column("evidence", wide=True),
    ]
    kept = findings[:FINDINGS_MAX]
    rows: list[list[Piece]] = [
        [
            one.level.value,
            one.rule.value,
            DASH if one.step is None else f"{one.step:,}",
            shown(one.text, 300),
            _entries(one.seqs),
        ]
        for one in kept
    ]
    loud = [index for index, one in enumerate(kept) if one.level is Level.CONTRADICTED]
    more = len(findings) - len(kept)
    cut = tag("p", f"{more:,} findings more: see xentrail workload audit.", class_="note")
    return tag("div", table(columns, rows, loud=loud), cut if more else None)


def _strangers(run: RunTold) -> Html:
    followed = f"Because of the run {count(run.followed, 'other object')} changed"
    if not run.strangers:
        return tag("p", f"{followed}; nothing else did.", class_="note")
    columns = [
        Column("changed by others", wide=True),
        Column("fields", wide=True),
        Column("changes", number=True),
        Column("evidence"),
    ]
    rows = [_stranger(one) for one in run.strangers[:FINDINGS_MAX]]
    more = len(run.strangers) - len(rows)
    cut = f" {more:,} more are left out." if more else ""
    lead = f"{followed}, and {count(len(run.strangers), 'object')} that it did not touch.{cut}"
    return tag("div", tag("p", lead), table(columns, rows))


def _stranger(one: Change) -> list[Piece]:
    fields = ", ".join(one.fields[:8])
    return [
        tag("span", f"{shown(one.cls, 40)} ", name(one.name or short_ref(one.ref), 80)),
        shown(f"{fields} (in a gap)" if one.inferred else fields, 200),
        f"{one.changes:,}",
        evidence(one.first_seq, one.last_seq),
    ]
