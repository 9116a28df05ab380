"""Text of pools made fit to be shown, times and ticks."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from query.report.html import Html, tag
from query.report.shown import shown
from query.report.times import Clock, ticks
from tests.report.stories import EVIL_NAMES

DAY_US = 86_400_000_000
BERLIN = ZoneInfo("Europe/Berlin")
NOON_US = 1_700_046_000_000_000  # 2023-11-15T11:00:00Z


@pytest.mark.parametrize("name", EVIL_NAMES)
def test_shown_text_is_short_and_has_nothing_unseen(name: str) -> None:
    """Whatever it was: no control character, no other direction, a bounded length."""
    text = shown(name, 40)
    assert len(text) <= 40
    assert all(char.isprintable() for char in text)


def test_shown_text_writes_what_cannot_be_seen_as_its_number() -> None:
    """Line breaks as in Python; what can be seen stays."""
    assert shown("a\nb\x1b\u202e\U000e0001") == "a\\nb\\u001b\\u202e\\U000e0001"
    assert (
        shown("\u05e9\u05dc\u05d5\u05dd caf\u00e9 \u6771")
        == "\u05e9\u05dc\u05d5\u05dd caf\u00e9 \u6771"
    )
    assert shown("abcdef", 4) == "abc\u2026"
    assert shown("\x00" * 10, 12) == "\\u0000\\u000\u2026"
    assert shown("e" + "\u0301" * 9) == "e\u0301\u0301"


def test_text_in_html_is_escaped_and_html_is_not_escaped_twice() -> None:
    """In elements and in attributes."""
    told = tag("td", "<b>&", Html("<i>x</i>"), None, data_title="\"'<", class_=None)
    assert told.text == '<td data-title="&quot;&#x27;&lt;">&lt;b&gt;&amp;<i>x</i></td>'
    assert tag("meta", name="x").text == '<meta name="x">'


def test_clock_leaves_out_the_offset_that_its_name_says() -> None:
    """A time in another offset, as in summer, says so."""
    clock = Clock.of(BERLIN, NOON_US)
    assert clock.name == "Europe/Berlin (+01:00)"
    assert clock.text(NOON_US + 1) == "2023-11-15 12:00:00.001"
    assert clock.text(NOON_US - 150 * DAY_US) == "2023-06-18 13:00:00 +02:00"
    assert clock.text(None) == "\N{EN DASH}"
    assert (Clock.of(UTC, NOON_US).name, Clock.of(UTC, 0).text(0)) == ("UTC", "1970-01-01 00:00:00")


@pytest.mark.parametrize(
    ("length_us", "labels"),
    [
        (4_000_000, ["11:00:00", "11:00:01", "11:00:02", "11:00:03", "11:00:04"]),
        (4 * 3_600_000_000, ["11:00", "12:00", "13:00", "14:00", "15:00"]),
        (4 * DAY_US, ["16 Nov", "17 Nov", "18 Nov", "19 Nov"]),
        (20 * DAY_US, ["22 Nov", "29 Nov"]),
    ],
)
def test_ticks_are_at_round_times(length_us: int, labels: list[str]) -> None:
    """Of seconds, hours or days, as many as fit; the first one names the day, or the year."""
    found = ticks(UTC, NOON_US, NOON_US + length_us, 4)
    assert [tick.lines[0] for tick in found][-3:] == labels[-3:]
    assert len(found) <= 6
    assert found[0].lines[1:] == (("2023",) if length_us >= 4 * DAY_US else ("15 Nov",))
    assert all(tick.lines[1:] == () for tick in found[1:])


def test_ticks_of_days_are_at_midnight_of_the_zone_when_clocks_change() -> None:
    """A day of 25 hours is a day."""
    begin_us = 1_698_444_000_000_000  # 2023-10-28 00:00 in Berlin
    found = ticks(BERLIN, begin_us, begin_us + 3 * DAY_US, 4)
    assert [tick.lines[0] for tick in found] == ["28 Oct", "29 Oct", "30 Oct"]
    assert [tick.at_us - begin_us for tick in found] == [0, DAY_US, 2 * DAY_US + 3_600_000_000]


def test_ticks_name_each_new_day() -> None:
    """Hours over midnight."""
    found = ticks(UTC, NOON_US, NOON_US + DAY_US, 4)
    named = [tick.lines for tick in found if len(tick.lines) == 2]
    assert [lines[1] for lines in named] == ["15 Nov", "16 Nov"]
