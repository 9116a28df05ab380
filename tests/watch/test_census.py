"""The census: as many objects as the server counts, or a gap that says since when not."""

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock as Clock

from recorder.config import Limits
from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Detail,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Operation,
)
from recorder.xapi.census import Census, Mismatch
from tests.watch.scripted import ScriptedPool, at_s, check_gaps, fault, logged, stage

CENSUS_S = Limits().census_s
GHOST, MISS = "OpaqueRef:ghost", "OpaqueRef:miss"


def event(number: int, operation: Operation, ref: str, cls: str = "vm") -> Event:
    return Event(number, 1.0, cls, operation, ref, b"{}")


def counted(*refs: str) -> Census:
    """Return a census after a baseline with these VMs."""
    census = Census()
    census.read("vm", 5, refs)
    census.all_read()
    return census


# -- the census itself --------------------------------------------------------------------------


def test_same_numbers_agree() -> None:
    """As many as were read, with those born and without those gone, are no mismatch."""
    census = counted("a", "b")
    census.take([event(5, Operation.ADD, "c"), event(6, Operation.DEL, "a")])
    census.take([event(7, Operation.MOD, "b"), event(8, Operation.DEL, "b")])
    census.begin()
    assert census.mismatches({"vm": 1}) == []
    assert census.mismatches({"vm": 2}) == [Mismatch("vm", 1, 2)]


def test_classes_that_nobody_read_are_not_compared() -> None:
    """The server also counts what is not listed, and lists what it does not count."""
    census = counted("a")
    census.read("message", 5, ["m"])
    census.take([event(5, Operation.ADD, "s", cls="session")])
    census.begin()
    assert census.mismatches({"vm": 1, "session": 3, "message": 0}) == []
    assert census.mismatches({}) == []


@pytest.mark.parametrize(
    ("number", "operation", "there"),
    [(4, Operation.ADD, False), (5, Operation.ADD, True), (5, Operation.DEL, False)],
)
def test_reading_is_brought_up_to_date_by_events_of_its_bracket(
    number: int, operation: Operation, there: bool
) -> None:
    """An event with an id below `low` is in the reading already; one from `low` on is newer."""
    census = Census()
    census.take([event(number, operation, "x")])
    census.read("vm", 5, [] if operation is Operation.ADD else ["x"])
    census.begin()
    assert (census.mismatches({"vm": int(there)}) == []) is True
    assert census.mismatches({"vm": 7}) == [Mismatch("vm", int(there), 7)]


births = st.lists(
    st.tuples(st.sampled_from([Operation.ADD, Operation.DEL]), st.sampled_from("abcdef")),
    max_size=12,
)


@given(before=births, during=births, after=births, at=st.integers(0, 12))
def test_honest_server_is_never_doubted(
    before: list[tuple[Operation, str]],
    during: list[tuple[Operation, str]],
    after: list[tuple[Operation, str]],
    at: int,
) -> None:
    """Whenever the server counts between the question and its answer, and however late it is."""
    events = [event(n, *one) for n, one in enumerate([*before, *during, *after])]
    begun, asked = len(before), len(before) + len(during)
    census = Census()
    census.read("vm", 0, [])
    census.all_read()
    census.take(events[:begun])
    census.begin()
    census.take(events[begun:asked])
    truth: set[str] = set()
    for one in events[: begun + min(at, len(during))]:
        (truth.add if one.operation is Operation.ADD else truth.discard)(one.ref)
    census.take(events[asked:])
    assert census.mismatches({"vm": len(truth)}) == []


@given(early=births, low=st.integers(0, 12), again=st.booleans())
def test_reading_finds_no_difference_where_there_is_none(
    early: list[tuple[Operation, str]], low: int, again: bool
) -> None:
    """A class read at `low`, while events before and after it arrive, is what the events say."""
    events = [event(n, *one) for n, one in enumerate(early)]
    census = counted()
    census.reading("vm")
    census.take(events)
    there: set[str] = set()
    for one in events[:low]:
        (there.add if one.operation is Operation.ADD else there.discard)(one.ref)
    assert not census.differs("vm", low, there)
    assert census.differs("vm", low, there | {"ghost"})
    if again:
        census.read("vm", low, there)
        census.all_read()
        assert not census.differs("vm", 0, [ref for ref in "abcdef" if _is_there(events, ref)])


def _is_there(events: list[Event], ref: str) -> bool:
    last = [one.operation for one in events if one.ref == ref]
    return bool(last) and last[-1] is Operation.ADD


def test_class_that_reads_right_twice_is_given_up() -> None:
    """A server that counts otherwise is asked for that class no more."""
    census = counted("a")
    census.begin()
    assert census.mismatches({"vm": 9})
    assert not census.unfounded("vm")
    assert census.mismatches({"vm": 9})
    assert census.unfounded("vm")
    assert census.mismatches({"vm": 9}) == []


# -- in the recorder ----------------------------------------------------------------------------


def lose_silently(pool: ScriptedPool, ref: str) -> None:
    """An object goes, and no event says so."""
    pool.records["VM"].pop(ref)


def gain_silently(pool: ScriptedPool, ref: str) -> None:
    pool.records["VM"][ref] = {"uuid": f"uuid of {ref}"}


async def test_honest_pool_is_never_doubted(tmp_path: Path, autojump_clock: Clock) -> None:
    """Objects come and go for hours, over a slow line, and the census looks into nothing."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.reply_s = 5.0
        async with one.recording():
            for number in range(200):
                gain_silently(pool, f"OpaqueRef:{number}")
                pool.emit(operation="add", ref=f"OpaqueRef:{number}")
                await trio.sleep(37)
                if number % 3 == 0:
                    lose_silently(pool, f"OpaqueRef:{number}")
                    pool.emit(operation="del", ref=f"OpaqueRef:{number}")
        assert pool.count("event.from") > 100
        assert pool.count("VM.get_all_records") == 1
        assert len(one.bodies(GapOpened)) == 1  # the stop's
        assert one.marks(MarkName.UNCOUNTED) == []


@pytest.mark.parametrize("change", [gain_silently, lose_silently])
async def test_ghost_or_miss_is_a_gap_and_its_class_is_read_again(
    change: object, tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The gap begins where the numbers agreed last, and is closed by the class read anew."""
    caplog.set_level("INFO")
    ref = MISS if change is gain_silently else GHOST
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.records["VM"][GHOST] = {"uuid": "ghost"}
        async with one.recording():
            await trio.sleep(3.5 * CENSUS_S)
            assert callable(change)
            change(pool, ref)
            await trio.sleep(5 * CENSUS_S)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.CENSUS_MISMATCH
        numbers = (2, 3) if ref == MISS else (2, 1)
        assert opened.detail == "vm: {} recorded, {} counted by the server".format(*numbers)
        assert opened.complete_until_ns is not None
        assert at_s(opened.complete_until_ns) == pytest.approx(3 * CENSUS_S, abs=1)
        assert closed is not None
        assert at_s(closed.blind_until_ns) == pytest.approx(4 * CENSUS_S, abs=1)
        bodies = [entry.body for entry in one.entries()]
        start = bodies.index(opened)
        chunk, *records = bodies[start + 1 : bodies.index(closed)]
        assert isinstance(chunk, BaselineChunk)
        assert (chunk.cls, chunk.count) == ("vm", numbers[1])
        assert {r.ref for r in records if isinstance(r, BaselineRecord)} == set(pool.records["VM"])
        detail: Detail = {"classes": 1, "objects": numbers[1], "class": "vm"}
        assert records[-1] == Mark(MarkName.BASELINE_DONE, detail)
        assert len(one.marks(MarkName.REGISTERED)) == 1
        check_gaps(one)
    assert len(logged(caplog, "gap-closed")) == 1


async def test_events_during_the_reading_are_kept_apart(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What happens while a class is read again is told by its events, and is no second gap."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(1)
            gain_silently(pool, MISS)

            async def read_slowly(_session: str) -> object:
                answer = dict(pool.records["VM"])
                await trio.sleep(5)
                pool.records["VM"]["OpaqueRef:new"] = {"uuid": "new"}
                pool.emit(operation="add", ref="OpaqueRef:new")
                await trio.sleep(5)
                return answer

            pool.host.methods["VM.get_all_records"] = read_slowly
            await trio.sleep(1.5 * CENSUS_S)
            pool.add_class("VM")
            await trio.sleep(5 * CENSUS_S)
        assert [gap.cause for gap in one.bodies(GapOpened)] == [
            GapCause.CENSUS_MISMATCH,
            GapCause.RECORDER_STOPPED,
        ]
        check_gaps(one)


async def test_connection_lost_while_a_class_is_read_again(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Nothing was found out yet: the gap is the connection's, and the new baseline closes it."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(1)
            gain_silently(pool, MISS)

            async def die(_session: str) -> object:
                pool.add_class("VM")
                pool.trouble(fault("SESSION_INVALID", "OpaqueRef:s"))
                await trio.sleep_forever()
                raise AssertionError

            pool.host.methods["VM.get_all_records"] = die
            await trio.sleep(5 * CENSUS_S)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.SESSION_LOST
        assert closed is not None
        check_gaps(one)


async def test_full_disk_in_the_middle_of_a_correction(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A gap that was opened and not closed when the epoch ends is closed by the next one."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        async with one.recording():
            await trio.sleep(1)
            gain_silently(pool, MISS)
            await trio.sleep(CENSUS_S - 2)
            one.disk.write_error = 28
            await trio.sleep(10)
            pool.trouble(fault("SESSION_INVALID", "OpaqueRef:s"))
            await trio.sleep(10)
            one.disk.write_error = None
            await trio.sleep(CENSUS_S * 3)
        gaps = one.bodies(GapOpened)
        assert [gap.cause for gap in gaps] == [
            GapCause.CENSUS_MISMATCH,
            GapCause.RECORDER_STOPPED,
        ]
        assert len(one.bodies(GapClosed)) == 1
        check_gaps(one)


async def test_server_that_counts_otherwise_is_believed_in_what_it_lists(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A class whose reading is what was recorded is no gap; after two readings it is left alone."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        counts = {"vm": 7, "pool": 1}
        pool.host.methods["event.from"] = lambda *_: {
            "events": [],
            "valid_ref_counts": counts,
            "token": "7,0",
        }
        async with one.recording():
            await trio.sleep(20.5 * CENSUS_S)
        assert pool.count("VM.get_all_records") == 3
        assert len(one.bodies(GapOpened)) == 1  # the stop's
        marks = one.marks(MarkName.UNCOUNTED)
        assert [mark.detail for mark in marks] == [{"class": "vm", "recorded": 1, "counted": 7}]


async def test_refused_census_is_said_once_and_recording_goes_on(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A server without `event.from` is recorded without a census."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.host.methods["event.from"] = fault("MESSAGE_REMOVED")
        async with one.recording():
            await trio.sleep(10 * CENSUS_S)
            pool.emit(3)
            await trio.sleep(1)
        assert pool.count("event.from") == 1
        assert [m.detail for m in one.marks(MarkName.UNCOUNTED)] == [{"error": "MESSAGE_REMOVED"}]
        assert len(one.bodies(GapOpened)) == 1
        assert len(one.ids()) >= 3


async def test_session_that_ends_in_a_census_is_a_loss(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """An answer that speaks of the session is not taken for one about the census."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        count = pool.count_objects
        pool.host.methods["event.from"] = fault("SESSION_INVALID", "OpaqueRef:s")
        async with one.recording():
            await trio.sleep(CENSUS_S + 1)
            pool.host.methods["event.from"] = count
            await trio.sleep(3 * CENSUS_S)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.SESSION_LOST
        assert closed is not None


# -- the stream of last states ------------------------------------------------------------------


async def test_deletions_that_a_stream_of_last_states_missed(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The server forgets deletions beyond some 510: the census finds them, a new epoch tells."""
    async with stage(tmp_path) as one:
        one.follow_states()
        pool = one.pools["lab"]
        pool.records["VM"] |= {f"OpaqueRef:{n}": {"uuid": str(n)} for n in range(20)}
        async with one.recording():
            await trio.sleep(3 * CENSUS_S)
            for number in range(20):
                lose_silently(pool, f"OpaqueRef:{number}")
            await trio.sleep(5 * CENSUS_S)
        opened, closed = one.only_gap()
        assert opened.cause is GapCause.CENSUS_MISMATCH
        assert opened.detail == "vm: 21 recorded, 1 counted by the server"
        assert opened.complete_until_ns is not None
        assert CENSUS_S < at_s(opened.complete_until_ns) <= 3 * CENSUS_S
        assert closed is not None
        assert len(one.marks(MarkName.REGISTERED)) == 2
        assert [chunk.count for chunk in one.bodies(BaselineChunk) if chunk.cls == "vm"] == [21, 1]
        check_gaps(one)


async def test_honest_stream_of_last_states_is_never_doubted(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Objects that come and go between two answers are no mismatch."""
    async with stage(tmp_path) as one:
        one.follow_states()
        pool = one.pools["lab"]
        async with one.recording():
            for number in range(200):
                gain_silently(pool, f"OpaqueRef:{number}")
                await trio.sleep(0.3)  # counted already, and not told yet
                pool.emit(operation="add", ref=f"OpaqueRef:{number}")
                await trio.sleep(11)
        assert len(one.bodies(GapOpened)) == 1
        assert one.marks(MarkName.UNCOUNTED) == []
