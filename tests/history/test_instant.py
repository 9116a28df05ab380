"""Points in time as people write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from recorder.instant import BadInstant, Instant, parse_instant, shown_in, us_of

NOW_NS = 1_700_000_000_123_456_789
NOW_US = NOW_NS // 1000
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", Instant(at_us=NOW_US)),
        ("-2h", Instant(at_us=NOW_US - 2 * HOUR_US)),
        ("now-2h", Instant(at_us=NOW_US - 2 * HOUR_US)),
        ("-1d12h", Instant(at_us=NOW_US - 36 * HOUR_US)),
        ("-90s", Instant(at_us=NOW_US - 90_000_000)),
        ("@12", Instant(seq=12)),
        ("2023-11-14T22:13:20Z", Instant(at_us=1_700_000_000_000_000)),
        ("2023-11-14T22:13:20", Instant(at_us=1_700_000_000_000_000)),
        ("2023-11-14 23:13:20.000001+01:00", Instant(at_us=1_700_000_000_000_001)),
        ("2023-11-14", Instant(at_us=1_699_920_000_000_000)),
    ],
)
def test_instant_is_read(text: str, instant: Instant) -> None:
    """ISO times (UTC without a zone), how long ago, now, and sequence numbers."""
    assert parse_instant(text, now_ns=NOW_NS) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday 25:00",
        "tomorrow",
        "3:1",
        "monday noon",
        "-2",
        "-2y",
        "@",
        "@-1",
        "-99999999w",
        "2h",
    ],
)
def test_instant_that_is_none_is_refused(text: str) -> None:
    """The message shows what can be written."""
    with pytest.raises(BadInstant) as caught:
        parse_instant(text, now_ns=NOW_NS)
    assert str(caught.value) == (
        f"{text!r} is no point in time; write 2026-11-23T21:48:24Z, -2h, -3d, now,"
        " 'yesterday 03:12', 03:12 or @SEQ"
    )


def test_instant_that_is_shown_can_be_asked_for() -> None:
    """A time on the screen includes what happened then: it is rounded up, not cut off."""
    whole_us = NOW_US // 1_000_000 * 1_000_000
    assert str(Instant(at_us=whole_us)) == "2023-11-14T22:13:20Z"
    assert str(Instant(at_us=whole_us + 123_001)) == "2023-11-14T22:13:20.124Z"
    assert str(Instant(at_us=whole_us + 999_001)) == "2023-11-14T22:13:21Z"
    again = parse_instant("2023-11-14T22:13:20.124Z", now_ns=0)
    assert again.at_us == whole_us + 124_000
    assert str(Instant(seq=7)) == "@7"


BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY_NS = 1_792_915_800_000_000_000  # 2026-10-25T08:10:00Z, the day on which clocks went back


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("yesterday 23:12", "2026-10-24T21:12"),
        ("Yesterday", "2026-10-23T22:00"),
        ("today 9:10", "2026-10-25T08:10"),
        ("03:12", "2026-10-25T02:12"),
        ("03:12:05.5", "2026-10-25T02:12:05.5"),
        ("sunday 12:00", "2026-10-18T10:00"),
        ("monday 12:00", "2026-10-19T10:00"),
        ("2026-10-25 03:12", "2026-10-25T02:12"),
        ("2026-10-25T02:12+02:00", "2026-10-25T00:12"),
        ("2026-10-25T02:12Z", "2026-10-25T02:12"),
    ],
)
def test_days_and_clocks_are_those_of_the_zone(text: str, utc: str) -> None:
    """A time that names its own zone stays what it is."""
    expected = us_of(datetime.fromisoformat(utc).replace(tzinfo=UTC))
    assert parse_instant(text, now_ns=SUNDAY_NS, zone=BERLIN) == Instant(at_us=expected)


def test_hour_that_was_twice_or_never_is_refused() -> None:
    """Nobody may guess which of two moments was meant."""
    with pytest.raises(BadInstant) as caught:
        parse_instant("today 02:30", now_ns=SUNDAY_NS, zone=BERLIN)
    assert str(caught.value) == (
        "'today 02:30' was twice in Europe/Berlin: write 2026-10-25T02:30:00+02:00"
        " or 2026-10-25T02:30:00+01:00"
    )
    with pytest.raises(BadInstant) as caught:
        parse_instant("2026-03-29 02:30", now_ns=SUNDAY_NS, zone=BERLIN)
    assert str(caught.value) == (
        "'2026-03-29 02:30' never was in Europe/Berlin: the clocks went forward"
    )


def test_instant_is_shown_in_the_zone_and_can_be_asked_for() -> None:
    """With the offset, so that it means the same to everybody."""
    instant = Instant(at_us=SUNDAY_NS // 1000 + 1_000)
    with shown_in(BERLIN):
        assert str(instant) == "2026-10-25T09:10:00.001+01:00"
        assert parse_instant(str(instant), now_ns=0, zone=UTC) == instant
    assert str(instant) == "2026-10-25T08:10:00.001Z"
