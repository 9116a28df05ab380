"""The part of a report that is about one pool."""

from collections.abc import Sequence

from recorder.model import Stream

from .gather import PoolReport
from .html import Html, Piece, tag
from .pictures import Canvas
from .runpart import runs_part
from .seenpart import seen_part
from .shown import shown
from .tables import evidence, facts, name
from .taskpart import busiest_part, tasks_part
from .times import Clock
from .vmpart import vms_part


def pool_page(report: PoolReport, canvas: Canvas, anchor: str) -> Html:
    """Return all that is said of a pool; `anchor` is what links to it."""
    return tag(
        "section",
        tag("h2", "Pool ", name(report.facts.pool)),
        _facts(report, canvas.clock),
        seen_part(report.coverage, canvas),
        vms_part(report.lives, report.coverage, canvas),
        runs_part(report.runs, canvas),
        tasks_part(report.outcomes, canvas.clock),
        busiest_part(report.busiest, canvas.clock),
        class_="pool",
        id=anchor,
    )


def _facts(report: PoolReport, clock: Clock) -> Html:
    told = report.facts
    classes = ", ".join(f"{number:,} {shown(cls, 30)}" for cls, number in told.classes.items())
    more = " …" if sum(told.classes.values()) < told.objects else ""
    pairs: list[tuple[str, Piece]] = [
        ("uuid", told.uuid and tag("code", shown(told.uuid, 60))),
        ("name in the pool", name(told.label) if told.label != told.pool else None),
        ("master", _told(name(told.master), told.seq)),
        ("product", _told(name(told.product), told.host_seq)),
        ("hosts", f"{told.hosts:,}"),
        ("objects", f"{told.objects:,}: {classes}{more}"),
        ("recorded since", _told(clock.at(told.first_at), told.first_seq)),
        ("followed by", _streams(told.streams)),
    ]
    doubt = tag("p", f"As at the end of the period, {told.doubt}.", class_="note")
    return tag("div", facts(pairs), doubt if told.doubt else None)


def _told(value: Piece, seq: int | None) -> Html:
    return tag("span", value, " ", evidence(seq))


def _streams(streams: Sequence[str]) -> str:
    words = {
        Stream.REGISTER.value: "every change (event.next)",
        Stream.FROM.value: "last states only (event.from): states in between may be missing",
    }
    return "; ".join(words.get(stream, stream) for stream in streams) or "nothing yet"
