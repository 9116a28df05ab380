"""Which lines of an answer are new: files that grow, turn over, repeat themselves and go back."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from recorder.pools.trail.ends import instant_of, text_of
from recorder.pools.trail.window import STRAY_MAX, TRIES, Window, digest_of

BEGAN = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
OVERLAP_S = 5.0


def line(at_s: float, text: str = "") -> bytes:
    """A line of xapi, some seconds after the beginning."""
    at = text_of(BEGAN + timedelta(seconds=at_s)).decode()
    return f"Nov 23 host xapi: [{at}Z|audit||1 x|{text or at_s}|audit] ('a')".encode()


def answer(file: list[bytes], since: bytes) -> list[bytes]:
    """What xapi sends of a file."""
    return [one for one in file if instant_of(one) >= since]


class Reader:
    """Reads a file again and again; `told` are the lines that were new, None where one was cut."""

    def __init__(self) -> None:
        self.window = Window(OVERLAP_S)
        self.told: list[bytes | None] = []

    def read(self, file: list[bytes], now: datetime = BEGAN) -> None:
        window = self.window
        lines = answer(file, window.since)
        reading = window.read(now)
        for one in lines:
            known = reading.take(one, digest_of(one))
            if reading.found and reading.passed:
                window.begin_again(reading.passed)
                reading.passed = []
            if known is not None:
                if reading.is_cut:
                    self.told.append(None)
                    reading.is_cut = False
                self.told.append(one)
                window.add(known)
            window.anchor = reading.last or window.anchor
        window.was_read(0, is_whole=True)

    def restarted(self) -> "Reader":
        """A reader that knows what a mark in the journal says, and the lines of its span."""
        other, old = Reader(), self.window
        other.told = self.told
        other.window = Window(
            OVERLAP_S,
            newest=old.newest,
            anchor=old.anchor,
            by_order=old.needs_order,
            recent=list(old._recent),
        )
        return other


def test_line_is_new_once_however_often_it_is_sent() -> None:
    """Answers overlap by some seconds."""
    file = [line(at) for at in range(20)]
    reader = Reader()
    for end in (1, 1, 2, 7, 20, 20):
        reader.read(file[:end])
    assert reader.told == file


def test_same_bytes_twice_in_the_file_are_two_lines() -> None:
    """They are in one place after the other, and not the same line seen twice."""
    file = [line(1), line(1), line(2), line(1), line(2)]
    reader = Reader()
    for end in (1, 1, 3, 3, 4, 5, 5):
        reader.read(file[:end])
    assert reader.told == file


def test_line_that_is_late_by_less_than_the_overlap_is_not_missed() -> None:
    """Times in a file are not sorted."""
    file = [line(10), line(12), line(11.5), line(20), line(15.1)]
    reader = Reader()
    for end in range(1, len(file) + 1):
        reader.read(file[:end])
    assert reader.told == file


def test_file_that_turned_over_behind_the_last_line_is_whole() -> None:
    """What the host dropped was read."""
    file = [line(at) for at in range(10)]
    reader = Reader()
    reader.read(file[:6])
    reader.read(file[5:])
    assert reader.told == file


@pytest.mark.parametrize("kept", [[], [7], [7, 8]])
def test_file_that_lost_lines_in_between_is_cut_before_the_next(kept: list[int]) -> None:
    """The last line that was read is not in it, so that others may be missing, too."""
    file = [line(at) for at in range(10)]
    reader = Reader()
    reader.read(file[:6])
    reader.read([line(at) for at in kept])
    rest = [line(at) for at in kept] if kept else []
    assert reader.told == file[:6] + ([None, *rest] if rest else [])
    reader.read([*rest, line(9)])
    assert reader.told == [*file[:6], None, *rest, line(9)]


def test_clock_that_goes_back_hides_nothing_once_all_is_read_by_order() -> None:
    """What is behind the last known line is new, whatever its time, and nothing comes twice."""
    before = [line(at, "before") for at in range(3600, 3610)]
    after = [line(at, "after") for at in range(10)]
    reader = Reader()
    reader.read(before)
    reader.read([*before, *after[:3]])
    assert reader.told == before, "they are hidden, and somebody has to notice"
    reader.window.by_order = True
    for end in (3, 3, 5, 10):
        reader.read([*before, *after[:end]])
    assert reader.told == [*before, *after]
    assert len(answer([*before, *after], reader.window.since)) < 17, "times are trusted again"


def test_file_with_a_clock_that_once_went_back_is_read_once() -> None:
    """The first answer of all holds whatever happened to the host."""
    file = [*(line(at) for at in range(3600, 3605)), *(line(at) for at in range(5))]
    reader = Reader()
    for _ in range(3):
        reader.read(file)
    assert reader.told == file


def test_line_of_another_year_hides_nothing() -> None:
    """Anybody on a host can write a line; one from the future is one line and no more."""
    forged = line(400 * 86400.0)
    file = [line(1), forged, line(2), line(3)]
    reader = Reader()
    for end in range(1, 5):
        reader.read(file[:end])
    reader.read(file)
    assert reader.told == file


def test_lines_without_a_time_come_once() -> None:
    """xapi sends them with every answer."""
    stray = b"Nov 23 17:00:00 host1 rsyslogd: no bracket here"
    file = [line(1), stray, line(2), stray, line(30), line(40)]
    reader = Reader()
    for end in range(1, 7):
        reader.read(file[:end])
    reader = reader.restarted()
    reader.read(file)
    reader.read([*file, line(41)])
    assert reader.told == [*file, line(41)]
    assert STRAY_MAX > 1000


def test_half_a_line_is_asked_for_again_and_taken_in_the_end() -> None:
    """The server ends every line, also one that is still being written."""
    window = Window(OVERLAP_S)
    half, other = line(1)[:-1], line(1)[:-2]
    assert [window.holds_back(half) for _ in range(TRIES)] == [True] * (TRIES - 1) + [False]
    assert window.holds_back(other), "another half is another line"
    assert not window.holds_back(line(1))
    assert window.holds_back(half), "the count begins anew"


def test_time_up_to_which_all_is_known_is_that_of_the_answer_before() -> None:
    """An answer may have broken off without a sign; the next one has the rest."""
    window = Window(OVERLAP_S)
    for asked_at_ns, known_at_ns in [(10, 10), (20, 10), (30, 20)]:
        window.was_read(asked_at_ns, is_whole=True)
        assert window.whole_at_ns == known_at_ns
    window.was_read(40, is_whole=False)
    assert window.whole_at_ns == 20


@pytest.mark.parametrize("seed", range(300))
def test_any_file_is_read_once_and_what_it_lost_is_a_cut(seed: int) -> None:
    """Files grow with small inversions, turn over, and the reader is restarted."""
    rng = random.Random(seed)
    file: list[bytes] = []
    lost: set[int] = set()
    unknown: set[int] = set()
    first, at_s, reader, read_to = 0, 0.0, Reader(), 0
    for _ in range(30):
        for _ in range(rng.choice([0, 1, 1, 2, 9])):
            at_s += rng.choice([0.0, 0.001, 0.5, 2.0, 30.0])
            file.append(line(at_s - rng.choice([0.0, 0.0, 0.004]), f"{rng.random()}"))
        if rng.random() < 0.2:
            first = max(first, rng.randint(max(0, len(file) - 6), len(file)))
            dropped = set(range(read_to, first))
            (lost if reader.told else unknown).update(dropped)
        if rng.random() < 0.2:
            reader = reader.restarted()
        if rng.random() < 0.7:
            reader.read(file[first:], BEGAN + timedelta(seconds=at_s))
            read_to = max(read_to, len(file))
    reader.read([*file[first:], line(at_s + 1, "end")], BEGAN + timedelta(seconds=at_s))
    wanted = [one for number, one in enumerate(file) if number not in lost | unknown]
    assert [one for one in reader.told if one is not None] == [*wanted, line(at_s + 1, "end")]
    assert (None in reader.told) >= bool(lost)
