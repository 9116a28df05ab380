"""The pictures, read as what they are: boxes at places, in fills, with text."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from query.report.coverage import coverage_of
from query.report.html import Html
from query.report.pictures import HOST_FILLS, host_fills
from recorder.instant import Instant
from tests.report.stories import Days, a_day, canvas_of, evil_day, reported

PLOT_PX = 795
_PATH = re.compile(r"M([\d.]+),([\d.]+)h([\d.]+)v([\d.]+)h")


def boxes(picture: Html, fill: str) -> list[tuple[float, float, float]]:
    """Return left, width and top of the boxes of a fill in the wide picture, from left to right."""
    found = []
    for path in wide(picture).iter("path"):
        place = _PATH.match(path.get("d", ""))
        if path.get("fill") == fill and place is not None:
            left, top, width, _ = map(float, place.groups())
            found.append((left, width, top))
    return sorted(found)


def wide(picture: Html) -> ElementTree.Element:
    """Return the picture for a page; it is well formed XML, too."""
    both = ElementTree.fromstring(picture.text)  # noqa: S314 - it is ours
    assert [svg.get("class") for svg in both] == ["wide", "narrow"]
    return both[0]


def texts(picture: Html) -> list[str]:
    return [text.text or "" for text in wide(picture).iter("text")]


def test_gap_is_hatched_over_all_lanes_and_nothing_is_known_in_it(tmp_path: Path) -> None:
    """No bar of a state reaches into the gap, in either picture."""
    with a_day().history(tmp_path) as history:
        report, canvas = reported(history)
    (pool,) = report.pools
    lives, coverage = pool.lives, pool.coverage
    (doubt,) = lives.doubts
    period = report.period
    begin, end = (
        (at_us - period.begin_us) / period.length_us * PLOT_PX
        for at_us in (doubt.begin_us, doubt.end_us)
    )
    fills = host_fills(lives)
    for picture in (
        canvas.power(lives.vms, lives, coverage, "power"),
        canvas.hosts(lives.vms, lives, coverage, fills, "hosts"),
    ):
        hatched = boxes(picture, "url(#gap)")
        cloud = next(box for box in hatched if box[2] == 0)
        assert cloud[:2] == pytest.approx((begin, end - begin), abs=0.11)
        known = [
            box
            for fill in ("var(--running)", "var(--halted)", "var(--suspended)", *HOST_FILLS)
            for box in boxes(picture, fill)
        ]
        assert len(known) >= 5
        assert all(left + width <= begin + 0.11 or left >= end - 0.11 for left, width, _ in known)


def test_gap_of_a_moment_is_seen_in_a_long_period(tmp_path: Path) -> None:
    """A line is drawn however short the gap is."""
    days = Days()
    days.begin(web1=("Running", "h1"))
    days.quiet(2)
    gap = days.lab.lose()
    days.lab.register()
    days.read(web1=("Running", "h1"))
    days.lab.close(gap)
    year = Instant(at_us=days.us(1) + 365 * 86_400_000_000)
    with days.history(tmp_path) as history:
        report, canvas = reported(history, until=year)
    (pool,) = report.pools
    for picture in (
        canvas.coverage(pool.coverage, "seen"),
        canvas.power(pool.lives.vms, pool.lives, pool.coverage, "power"),
    ):
        lines = [one for one in wide(picture).iter("line") if one.get("stroke") == "var(--gap)"]
        assert [one.get("stroke-width") for one in lines] == ["1.5"]
        assert min(width for _, width, _ in boxes(picture, "url(#gap)")) >= 1.4


def test_coverage_shows_what_nobody_recorded(tmp_path: Path) -> None:
    """In a pattern of its own, neither seen nor blind."""
    days = a_day()
    with days.history(tmp_path) as history:
        report, canvas = reported(history, until=Instant(at_us=days.us(days.told.seq) + 9_000_000))
        coverage = coverage_of(history, "lab", report.period)
    picture = canvas.coverage(coverage, "seen")
    ((left, width, _),) = boxes(picture, "url(#unrecorded)")
    (*_, last_seen) = boxes(picture, "var(--seen)")
    assert left == pytest.approx(last_seen[0] + last_seen[1], abs=0.11)
    assert left + width == pytest.approx(960)


def test_states_differ_in_thickness_too(tmp_path: Path) -> None:
    """Who sees no colours, or prints in grey, sees what runs."""
    with a_day().history(tmp_path) as history:
        report, canvas = reported(history)
    (pool,) = report.pools
    picture = canvas.power(pool.lives.vms, pool.lives, pool.coverage, "power")
    heights = {
        path.get("fill"): round(float(place[4]))
        for path in wide(picture).iter("path")
        if (place := _PATH.match(path.get("d", ""))) is not None
    }
    assert heights["var(--running)"] > heights["var(--suspended)"] > heights["var(--halted)"] >= 2


def test_hosts_are_named_in_their_bars_where_there_is_room(tmp_path: Path) -> None:
    """A bar that is too short stays without; colours go by name."""
    with a_day().history(tmp_path) as history:
        report, canvas = reported(history)
    (pool,) = report.pools
    fills = host_fills(pool.lives)
    assert fills == {"host h1": "var(--host-0)", "host h2": "var(--host-1)"}
    picture = canvas.hosts(pool.lives.vms, pool.lives, pool.coverage, fills, "hosts")
    assert {"web1", "db1", "host h2"} <= set(texts(picture))
    many = {f"host {i}": fill for i, fill in enumerate([*HOST_FILLS, "var(--other)"])}
    assert len(set(many.values())) == len(HOST_FILLS) + 1


def test_names_in_pictures_are_text(tmp_path: Path) -> None:
    """A name cannot end the picture, nor begin an element in it."""
    with evil_day().history(tmp_path) as history:
        report, canvas = reported(history)
    (pool,) = report.pools
    picture = canvas.power(pool.lives.vms, pool.lives, pool.coverage, 'a "text" <b>')
    svg = wide(picture)
    assert {one.tag for one in svg.iter()} <= {"svg", "g", "path", "line", "text", "tspan"}
    assert svg.get("aria-label") == 'a "text" <b>'
    assert any(text.startswith("]]></text></svg>") for text in texts(picture))
    assert max(map(len, texts(picture))) <= 60


def test_picture_of_very_many_changes_stays_small(tmp_path: Path) -> None:
    """What would be drawn at the same pixels is drawn once."""
    days = Days()
    days.begin(web1=("Halted", None))
    for _ in range(1500):
        days.turn("web1", "Running", "h1")
        days.turn("web1", "Halted")
    later = Instant(at_us=days.us(days.told.seq) + 10_000_000_000)
    with days.history(tmp_path) as history:
        report, _ = reported(history, until=later)
    (pool,) = report.pools
    assert len(pool.lives.vms[0].power) > 3000
    canvas = canvas_of(report.period)
    picture = canvas.power(pool.lives.vms, pool.lives, pool.coverage, "power")
    assert len(picture.text) < 60_000
