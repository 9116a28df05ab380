"""A report as one HTML file: the frame, what it says at a glance, the verdict, how it was made.

Nothing is loaded and nothing runs: a policy in the file forbids both, whatever name a pool chose.
"""

from collections.abc import Sequence
from importlib.resources import files

import msgspec

from ..values import duration_text, percent_text
from .gather import PoolReport, Report
from .html import Html, Piece, tag
from .integrity import Integrity
from .pictures import Canvas
from .poolpage import pool_page
from .shown import shown
from .tables import Column, count, facts, name, section, table
from .times import Clock
from .verdict import verdict_part, verdict_text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_PATTERNS = """<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>
<pattern id="gap" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect class="ground" width="6" height="6"/><rect class="stripe" width="2" height="6"/></pattern>
<pattern id="unrecorded" width="7" height="7" patternUnits="userSpaceOnUse">
<rect class="empty" width="7" height="7"/><circle class="dot" cx="2" cy="2" r="0.8"/></pattern>
</defs></svg>"""


class Maker(msgspec.Struct, frozen=True):
    """How a report came about: program, command line, and when (microseconds since 1970 UTC)."""

    version: str
    command: str
    made_at_us: int


def page(report: Report, integrity: Integrity, canvas: Canvas, maker: Maker) -> str:
    """Return the file."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"Report on {_title(report)}"),
        Html(f"<style>{_style()}</style>"),
    )
    body = tag(
        "body",
        Html(_PATTERNS),
        _header(report, integrity, canvas.clock),
        tag("main", *_pools(report, canvas), verdict_part(integrity, report)),
        _footer(maker, canvas.clock),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en').text}\n"


def _style() -> str:
    return files(__package__).joinpath("report.css").read_text(encoding="utf-8")


def _title(report: Report) -> str:
    names = [shown(one.facts.pool, 40) for one in report.pools]
    if len(names) == 1:
        return f"pool {names[0]}"
    if len(names) <= 3:
        return f"pools {', '.join(names[:-1])} and {names[-1]}"
    return f"{len(names)} pools"


def _header(report: Report, integrity: Integrity, clock: Clock) -> Html:
    period = report.period
    length = duration_text(period.length_us / 1e6)
    when = f"{clock.text(period.begin_us)} to {clock.text(period.end_us)}"
    return tag(
        "header",
        tag("p", "xentrail", class_="brand"),
        tag("h1", f"Report on {_title(report)}"),
        tag("p", when, tag("span", f" · {length} · times in {clock.name}"), class_="when"),
        _notice(report),
        tag("p", verdict_text(integrity), class_=_verdict_class(integrity)),
        _glance(report.pools),
    )


def _verdict_class(integrity: Integrity) -> str:
    if integrity.verified is None:
        return "notice plain"
    return "notice bad" if integrity.verified.flaws else "notice good"


def _notice(report: Report) -> Html:
    """Say at the top what the reader of everything below must know."""
    lacking = [text for one in report.pools for text in _lacks(one)]
    if not lacking:
        return tag("p", "No gap touches this period: nothing was missed.", class_="notice good")
    items = [tag("li", text) for text in lacking]
    lead = tag("p", "This report may lack something:")
    return tag("div", lead, tag("ul", *items), class_="notice warn")


def _lacks(one: PoolReport) -> list[Html]:
    """Return what the report may lack of a pool, in words."""
    pool, coverage = name(one.facts.pool, 60), one.coverage
    found = []
    if coverage.gaps:
        still = " and is STILL BLIND" if any(gap.open for gap in coverage.gaps) else ""
        blind = duration_text(coverage.blind_us / 1e6)
        text = f" was blind in {count(len(coverage.gaps), 'gap')}, for {blind} in all{still}"
        found.append(tag("span", "pool ", pool, text))
    if coverage.unrecorded_us:
        unrecorded = duration_text(coverage.unrecorded_us / 1e6)
        found.append(tag("span", "of pool ", pool, f" nothing is recorded for {unrecorded}"))
    taken = len(coverage.ledger) - len(coverage.gaps)
    if taken:
        rows = count(taken, "row of the ledger tells", "rows of the ledger tell")
        text = f" {rows} of what was redacted, dropped or damaged"
        found.append(tag("span", "of pool ", pool, text))
    if one.facts.last_states_only:
        text = ' has stream = "from": states in between may be missing'
        found.append(tag("span", "pool ", pool, text))
    return found


def _glance(pools: Sequence[PoolReport]) -> Html | None:
    if len(pools) < 2:
        return None
    columns = [
        Column("pool", wide=True),
        Column("seen", number=True),
        Column("gaps", number=True),
        Column("VMs", number=True),
        Column("tasks", number=True),
        Column("failed", number=True),
    ]
    rows: list[list[Piece]] = [
        [
            tag("a", name(one.facts.pool, 60), href=f"#{_anchor(index)}"),
            percent_text(one.coverage.share_seen),
            f"{len(one.coverage.gaps):,}",
            f"{len(one.lives.vms) + one.lives.left_out:,}",
            f"{sum(one.outcomes.counts.values()):,}",
            f"{one.outcomes.failed:,}",
        ]
        for index, one in enumerate(pools)
    ]
    return tag("nav", table(columns, rows), aria_label="Pools")


def _anchor(index: int) -> str:
    return f"pool-{index + 1}"


def _pools(report: Report, canvas: Canvas) -> list[Html]:
    return [pool_page(one, canvas, _anchor(index)) for index, one in enumerate(report.pools)]


def _footer(maker: Maker, clock: Clock) -> Html:
    reading = tag(
        "p",
        "@N is an entry of the journal: ",
        tag("code", "xentrail events --since @N --until @N"),
        " shows it, ",
        tag("code", "xentrail prove N"),
        " proves it without the journal. Names and errors are as the pools told them; characters"
        " that cannot be seen are written as \\u and their number. In pictures, what is shorter"
        " than the width of a line is drawn as a line; of several such states of a VM the longest.",
    )
    made = facts(
        [
            ("made by", f"xentrail {maker.version}"),
            ("with", tag("code", shown(maker.command, 2000))),
            ("times in", clock.name),
            ("made at", tag("time", clock.text(maker.made_at_us), id="made-at")),
        ]
    )
    return tag("footer", section("About this report", reading, made, level="h2"))
