"""What a run goes by: the last that was told, in the order of the journal."""

from collections.abc import Sequence

import trio
import trio.testing

from recorder.model import BaselineRecord, Body, Draft, Event, Mark, MarkName, Operation
from recorder.workloads import witness
from recorder.workloads.witness import Seen, Witness

Clock = trio.testing.MockClock


def event(cls: str, ref: str, snapshot: bytes | None, operation: str = "mod") -> Event:
    return Event(1, 0.0, cls, Operation(operation), ref, snapshot)


def heard(*bodies: Body, pool: str = "lab", follow: Sequence[str] = ("vm",)) -> Witness:
    """Return a witness that has heard of entries @1, @2 and so on."""
    one = Witness("lab")
    for ref in follow:
        one.follow(ref, b"asked")
    one.observe(range(1, len(bodies) + 1), [Draft(0, pool, body) for body in bodies])
    return one


def test_last_event_counts_and_only_of_what_is_followed() -> None:
    """All tasks are followed: one may end before it is known that it is ours."""
    one = heard(event("vm", "vm", b"1"), event("vm", "other", b"2"), event("task", "t", b"3"))
    assert one.object("vm") == Seen(1, b"1")
    assert not one.follows(["other"])
    assert one.task("t") == Seen(3, b"3")
    assert heard(event("vm", "vm", b"1"), pool="another").object("vm") == Seen(0, b"asked")


def test_deletion_without_a_record_leaves_the_last_one() -> None:
    """As a stream of last states tells it."""
    one = heard(
        event("vm", "vm", b"1"),
        event("vm", "vm", None, "del"),
        event("task", "t", b"2"),
        event("task", "t", None, "del"),
        event("task", "never seen", None, "del"),
    )
    assert one.object("vm") == Seen(2, b"1", gone=True)
    assert one.task("t") == Seen(4, b"2", gone=True)
    assert one.task("never seen") == Seen(5, b"{}", gone=True)


def test_baseline_counts_unless_an_event_of_its_epoch_was_told_before_it() -> None:
    """Such an event may be newer than the baseline; one of an epoch before is older."""
    registered, row = Mark(MarkName.REGISTERED), BaselineRecord("vm", "vm", b"read")
    assert heard(registered, row).object("vm") == Seen(2, b"read")
    assert heard(event("vm", "vm", b"1"), registered, row).object("vm") == Seen(3, b"read")
    assert heard(registered, event("vm", "vm", b"1"), row).object("vm") == Seen(2, b"1")
    task = BaselineRecord("task", "t", b"read")
    assert heard(registered, task).task("t") == Seen(2, b"read")
    assert heard(registered, event("task", "t", b"1"), task).task("t") == Seen(2, b"1")


def test_tasks_that_nobody_asked_for_are_forgotten_oldest_first() -> None:
    """A recorder that runs for weeks remembers only so many."""
    count = witness.TASKS_MAX + 1
    one = heard(*(event("task", f"t{number}", b"{}") for number in range(count)))
    assert one.task("t0") is None
    assert one.task("t1") is not None


async def test_news_wakes_whoever_waits_for_it_and_nobody_else(autojump_clock: Clock) -> None:
    """Once for each time that something is told."""
    one = Witness("lab")
    with trio.move_on_after(5) as late:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.news, "t")
            await trio.testing.wait_all_tasks_blocked()
            one.observe(range(1, 2), [Draft(0, "lab", event("task", "t", b"{}"))])
    assert not late.cancelled_caught
    with trio.move_on_after(5) as late:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.news, "u")
            await trio.testing.wait_all_tasks_blocked()
            one.observe(range(2, 3), [Draft(0, "lab", event("task", "t", b"{}"))])
    assert late.cancelled_caught
