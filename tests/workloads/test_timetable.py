"""When schedules are due, above all when clocks change."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from recorder.timetable import Schedule, times_after, times_between


def at_ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 10**9)


def due(cron: str, after: str, count: int, zone: str = "Europe/Berlin") -> list[str]:
    """Return the next times in UTC, without their date where it is that of `after`."""
    schedule = Schedule("x", cron, "x.toml", ("lab",), time_zone=zone)  # type: ignore[arg-type]  # never opened
    times = islice(times_after(schedule, at_ns(after)), count)
    return [f"{datetime.fromtimestamp(at / 1e9, UTC):%d %H:%M}" for at in times]


@pytest.mark.parametrize(
    ("cron", "after", "times"),
    [
        ("30 3 * * *", "2026-11-27T12:00Z", ["28 02:30", "29 02:30"]),
        ("30 3 * * MON-FRI", "2026-11-27T12:00Z", ["30 02:30", "01 02:30"]),
        ("0 0 L * *", "2026-11-27T12:00Z", ["29 23:00", "30 23:00"]),
        # Clocks go from 02:00 to 03:00: the hour that is left out, and hours by the *.
        ("30 2 * * *", "2026-03-28T12:00Z", ["29 01:00", "30 00:30"]),
        ("30 * * * *", "2026-03-28T23:45Z", ["29 00:30", "29 01:30", "29 02:30"]),
        # Clocks go from 03:00 to 02:00: the hour that comes twice.
        ("30 2 * * *", "2026-10-24T12:00Z", ["25 00:30", "26 01:30"]),
        ("30 2 * * *", "2026-10-25T00:45Z", ["26 01:30"]),
        ("30 2 * * *", "2026-10-25T01:10Z", ["26 01:30"]),
        ("*/30 * * * *", "2026-10-25T00:15Z", ["25 00:30", "25 01:00", "25 01:30", "25 02:00"]),
    ],
)
def test_schedule_is_due_once_a_day_whatever_clocks_do(
    cron: str, after: str, times: list[str]
) -> None:
    """A fixed time of day comes once; what follows the * follows the time that passes."""
    assert due(cron, after, len(times)) == times


def test_times_between_have_the_second_end_and_not_the_first() -> None:
    """So that two ranges that touch have each time once."""
    schedule = Schedule("x", "0 * * * *", "x.toml", ("lab",))  # type: ignore[arg-type]  # never opened
    first, second = at_ns("2026-11-27T12:00Z"), at_ns("2026-11-27T14:00Z")
    assert list(times_between(schedule, first, second)) == [at_ns("2026-11-27T13:00Z"), second]
    assert list(times_between(schedule, second, first)) == []
