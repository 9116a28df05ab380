"""Points in time as people write them."""

import pytest

from recorder.instant import BadInstant, Instant, parse_instant

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


@pytest.mark.parametrize("text", ["", "yesterday", "-2", "-2y", "@", "@-1", "-99999999w", "2h"])
def test_instant_that_is_none_is_refused(text: str) -> None:
    """The message shows what can be written."""
    with pytest.raises(BadInstant) as caught:
        parse_instant(text, now_ns=NOW_NS)
    assert str(caught.value) == (
        f"{text!r} is no point in time; write 2026-11-23T21:48:24Z, -2h, -15m, -3d, now or @SEQ"
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
