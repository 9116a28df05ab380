"""The state machine of a subscription: what is written when, and what is never written twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    PoolTail,
    Stream,
)
from recorder.xapi.subscription import TRANSIT_MAX_NS, Chunk, Phase, Subscription


def event(number: int, cls: str = "vm") -> Event:
    return Event(number, 1.0, cls, Operation.MOD, "OpaqueRef:1", b"{}")


def bodies(drafts: list[Draft]) -> list[Body]:
    return [draft.body for draft in drafts]


def registered(tail: PoolTail | None = None, *, before: int = 5, after: int = 5) -> Subscription:
    subscription = Subscription("lab", tail or PoolTail())
    subscription.registered(
        Stream.REGISTER, id_before=before, id_after=after, asked_at_ns=100, at_ns=100
    )
    return subscription


def receive(
    subscription: Subscription, events: list[Event], *, at_ns: int
) -> tuple[list[Draft], str | None]:
    """Give the subscription an answer that came at once."""
    return subscription.batch(events, asked_at_ns=0, answered_at_ns=at_ns, at_ns=at_ns)


def live() -> Subscription:
    subscription = registered()
    subscription.baselined(classes=1, objects=0, at_ns=110)
    return subscription


def test_registration_opens_an_epoch() -> None:
    """The mark tells the stream and the id that the next event will get."""
    subscription = Subscription("lab", PoolTail())
    drafts = subscription.registered(
        Stream.REGISTER, id_before=4, id_after=6, asked_at_ns=9, at_ns=9
    )
    mark = Mark(MarkName.REGISTERED, {"stream": "register", "next_event_id": 6})
    assert drafts == [Draft(9, "lab", mark)]
    assert subscription.phase is Phase.BASELINE


def test_batch_becomes_one_entry_an_event() -> None:
    """Every event of a reply is an entry with the time of receipt."""
    drafts, hole = receive(registered(), [event(5), event(6)], at_ns=200)
    assert drafts == [Draft(200, "lab", event(5)), Draft(200, "lab", event(6))]
    assert hole is None


@pytest.mark.parametrize("first", [3, 4, 5, 6])
def test_first_event_may_come_from_between_the_two_readings(first: int) -> None:
    """The registration took effect somewhere between the id before and the id after it."""
    _, hole = receive(registered(before=3, after=6), [event(first)], at_ns=200)
    assert hole is None


def test_hole_before_the_first_event_is_found() -> None:
    """The first id may not be greater than the id read after the registration."""
    drafts, hole = receive(registered(before=3, after=6), [event(8)], at_ns=200)
    assert drafts == []
    assert hole == "events 6 to 7 never came"


def test_events_before_a_hole_are_kept() -> None:
    """What came before the hole is journaled; what came behind it is left to the baseline."""
    drafts, hole = receive(registered(), [event(5), event(6), event(9)], at_ns=200)
    assert [body.id for body in bodies(drafts) if isinstance(body, Event)] == [5, 6]
    assert hole == "events 7 to 8 never came"


def test_repeated_id_is_no_hole() -> None:
    """The server may give one id to two events."""
    drafts, hole = receive(registered(), [event(5), event(5), event(6)], at_ns=200)
    assert len(drafts) == 3
    assert hole is None


@given(st.lists(st.integers(1, 4), min_size=1), st.integers(0, 1000))
def test_hole_is_found_wherever_it_is(sizes: list[int], start: int) -> None:
    """Any cut of a dense run into batches is without a hole; leaving one id out is not."""
    subscription = registered(before=start, after=start)
    number = start
    for size in sizes:
        _, hole = receive(subscription, [event(number + n) for n in range(size)], at_ns=1)
        assert hole is None
        number += size
    assert receive(subscription, [event(number + 1)], at_ns=1)[1] is not None


def test_from_stream_has_no_holes() -> None:
    """Generations are not dense, and messages have the id 0."""
    subscription = Subscription("lab", PoolTail())
    subscription.registered(Stream.FROM, id_before=7, id_after=7, asked_at_ns=1, at_ns=1)
    _, hole = receive(subscription, [event(90), event(0), event(50)], at_ns=2)
    assert hole is None


def test_chunk_waits_for_every_event_below_its_high_mark() -> None:
    """The journal holds ids in order: a chunk comes after all events that it may contain."""
    subscription = registered()
    chunk = Chunk("vm", 5, 8, {"OpaqueRef:1": b"{}"})
    assert not subscription.may_write(chunk)
    receive(subscription, [event(5), event(6)], at_ns=1)
    assert not subscription.may_write(chunk)
    receive(subscription, [event(7)], at_ns=1)
    assert subscription.may_write(chunk)
    assert bodies(subscription.chunk(chunk, at_ns=2)) == [
        BaselineChunk("vm", 5, 8, 1),
        BaselineRecord("vm", "OpaqueRef:1", b"{}"),
    ]


def test_chunk_of_a_quiet_pool_is_written_at_once() -> None:
    """With nothing between the registration and the reading there is nothing to wait for."""
    assert registered().may_write(Chunk("vm", 5, 5, {}))


def test_loss_opens_a_gap_with_the_last_good_event() -> None:
    """A gap begins with the answer that was received last, not at the moment of the loss."""
    subscription = live()
    subscription.batch([event(5)], asked_at_ns=200, answered_at_ns=300, at_ns=300)
    drafts = subscription.lost(GapCause.EVENTS_LOST, "why", at_ns=900)
    assert bodies(drafts) == [GapOpened(GapCause.EVENTS_LOST, "why", 5, 200)]
    assert subscription.phase is Phase.OFFLINE


def test_gap_after_a_long_wait_begins_a_transit_before_the_last_answer() -> None:
    """A call that waited for minutes was answered shortly before its answer was received."""
    subscription = live()
    at_ns = 60 * 10**9
    subscription.batch([event(5)], asked_at_ns=200, answered_at_ns=at_ns, at_ns=at_ns)
    drafts = subscription.lost(GapCause.EVENTS_LOST, "why", at_ns=2 * at_ns)
    opened = GapOpened(GapCause.EVENTS_LOST, "why", 5, at_ns - TRANSIT_MAX_NS)
    assert bodies(drafts) == [opened]


def test_loss_without_an_event_dates_from_the_registration() -> None:
    """An epoch without events is complete from its registration on, and no further."""
    drafts = live().lost(GapCause.CONNECTION_LOST, "why", at_ns=900)
    assert bodies(drafts) == [GapOpened(GapCause.CONNECTION_LOST, "why", None, 100)]


def test_second_loss_opens_no_second_gap() -> None:
    """A gap stays the one gap until a baseline closes it."""
    subscription = live()
    subscription.lost(GapCause.SESSION_LOST, "", at_ns=900)
    subscription.gap_opened(77)
    assert subscription.lost(GapCause.CONNECTION_LOST, "", at_ns=901) == []
    subscription.registered(Stream.REGISTER, id_before=0, id_after=0, asked_at_ns=1000, at_ns=1000)
    assert subscription.lost(GapCause.EVENTS_LOST, "", at_ns=1001) == []
    subscription.registered(Stream.REGISTER, id_before=0, id_after=0, asked_at_ns=1100, at_ns=1100)
    closed = bodies(subscription.baselined(classes=2, objects=3, at_ns=1200))
    assert closed == [
        Mark(MarkName.BASELINE_DONE, {"classes": 2, "objects": 3}),
        GapClosed(77, 1100),
    ]
    assert not subscription.gap_is_open


def test_loss_before_the_first_baseline_is_a_gap_too() -> None:
    """Events of an epoch without a baseline are evidence, and so is what was missed after them."""
    subscription = registered()
    assert len(subscription.lost(GapCause.SESSION_LOST, "", at_ns=900)) == 1


def test_loss_while_offline_writes_nothing() -> None:
    """A pool that cannot be reached is not lost again with every attempt."""
    assert Subscription("lab", PoolTail()).lost(GapCause.CONNECTION_LOST, "", at_ns=1) == []


def test_gap_after_a_large_answer_begins_where_that_answer_began() -> None:
    """What happened while a large answer was on its way is missing too, however long that took."""
    subscription = live()
    answered_ns, at_ns = 60 * 10**9, 90 * 10**9
    subscription.batch([event(5)], asked_at_ns=200, answered_at_ns=answered_ns, at_ns=at_ns)
    drafts = subscription.lost(GapCause.EVENTS_LOST, "why", at_ns=2 * at_ns)
    opened = GapOpened(GapCause.EVENTS_LOST, "why", 5, answered_ns - TRANSIT_MAX_NS)
    assert bodies(drafts) == [opened]


@pytest.mark.parametrize("together", [True, False])
def test_gap_of_a_missing_id_begins_before_the_last_event(together: bool) -> None:
    """What is missing may have happened right after that event, long before the next answer."""
    subscription = live()
    receive(subscription, [event(5)], at_ns=60 * 10**9)
    answers = [[event(6), event(8)]] if together else [[event(6)], [event(8)]]
    for number, events in enumerate(answers, 2):
        subscription.batch(
            events,
            asked_at_ns=60 * 10**9 * (number - 1),
            answered_at_ns=60 * 10**9 * number,
            at_ns=60 * 10**9 * number,
        )
    (opened,) = bodies(subscription.lost(GapCause.IDS_MISSING, "why", at_ns=200 * 10**9))
    assert isinstance(opened, GapOpened)
    assert opened.last_event_id == 6
    assert opened.complete_until_ns == 60 * 10**9 - TRANSIT_MAX_NS


def happened(number: int, server_at_s: float) -> Event:
    return Event(number, server_at_s, "vm", Operation.MOD, "OpaqueRef:1", b"{}")


def test_gap_after_a_late_answer_begins_when_the_server_made_it() -> None:
    """A network that was cut for a minute held an answer back: what came after it is missing."""
    subscription, server_ahead_s = live(), 3600
    for number, made_at_s, answered_at_s in ((5, 100, 101), (6, 130, 190)):
        subscription.batch(
            [happened(number, made_at_s + server_ahead_s)],
            asked_at_ns=(made_at_s - 30) * 10**9,
            answered_at_ns=answered_at_s * 10**9,
            at_ns=answered_at_s * 10**9,
        )
    (opened,) = bodies(subscription.lost(GapCause.CONNECTION_LOST, "why", at_ns=200 * 10**9))
    assert isinstance(opened, GapOpened)
    assert opened.complete_until_ns is not None
    assert 125 * 10**9 < opened.complete_until_ns < 130 * 10**9


def test_death_of_the_recorder_before_is_a_gap_at_start() -> None:
    """What the journal shows as recording, without a recorder, ended at its last entry."""
    at_ns = 60 * 10**9
    tail = PoolTail(epoch=3, last_event_id=8, last_event_at_ns=at_ns, last_received_at_ns=at_ns)
    drafts = Subscription("lab", tail).died(at_ns=2 * at_ns)
    detail = "the recorder ended without a clean stop"
    opened = GapOpened(GapCause.RECORDER_DIED, detail, 8, at_ns - TRANSIT_MAX_NS)
    assert bodies(drafts) == [opened]


def test_clean_stop_before_is_no_second_gap_at_start() -> None:
    """The gap that a clean stop left open is continued."""
    subscription = Subscription("lab", PoolTail(epoch=3, open_gap=12))
    assert subscription.died(at_ns=900) == []
    subscription.registered(Stream.REGISTER, id_before=0, id_after=0, asked_at_ns=1000, at_ns=1000)
    closed = bodies(subscription.baselined(classes=1, objects=1, at_ns=1100))
    assert GapClosed(12, 1000) in closed


def test_new_pool_has_no_gap_at_start() -> None:
    """What was never recorded cannot have been interrupted."""
    assert Subscription("lab", PoolTail()).died(at_ns=900) == []
