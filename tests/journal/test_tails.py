"""Where the journal stands with each pool: what moves a tail, and what does not."""

import random

import pytest

from recorder.journal.tails import Tails
from recorder.model import Body, Draft, Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from tests.journal.samples import AUDIT_LINE, BODIES

NO_LINES = GapOpened(GapCause.AUDIT_TRAIL, "lines are missing", None, 5)
NO_EVENTS = GapOpened(GapCause.EVENTS_LOST, "the queue ran over", 8, 5)


@pytest.mark.parametrize(
    ("bodies", "open_gap"),
    [
        ([NO_LINES, AUDIT_LINE], None),
        ([NO_LINES, NO_EVENTS], 2),
        ([NO_EVENTS, NO_LINES], 1),
        ([NO_EVENTS, NO_LINES, GapClosed(1, 5), NO_LINES], None),
    ],
)
def test_gap_of_the_audit_trail_opens_and_closes_no_gap_of_events(
    bodies: list[Body], open_gap: int | None
) -> None:
    """The recorder that starts next takes the pool for known, unless events are missing."""
    tails = Tails({})
    for seq, body in enumerate(bodies, 1):
        tails.take(seq, seq, "lab", body)
    tail = tails.freeze()["lab"]
    assert (tail.open_gap, tail.last_seq) == (open_gap, len(bodies))


def test_batch_moves_each_tail_to_its_last_entry_event_and_epoch() -> None:
    """One batch of many pools says of each what its own entries say, in the order they came in."""
    rng = random.Random(11)
    for _ in range(100):
        drafts = [
            Draft(rng.randrange(100), rng.choice(["lab", "other", ""]), rng.choice(BODIES))
            for _ in range(rng.randrange(1, 30))
        ]
        tails = Tails({})
        tails.take_all(7, drafts)
        told = tails.freeze()
        assert list(told) == list(dict.fromkeys(draft.pool for draft in drafts))
        for pool, tail in told.items():
            own = [(seq, draft) for seq, draft in enumerate(drafts, 7) if draft.pool == pool]
            assert (tail.last_seq, tail.last_received_at_ns) == (
                own[-1][0],
                own[-1][1].received_at_ns,
            )
            epochs = [seq for seq, draft in own if is_registration(draft.body)]
            assert tail.epoch == max(epochs, default=None)
            events = [
                (draft.body.id, draft.received_at_ns)
                for seq, draft in own
                if isinstance(draft.body, Event) and seq > max(epochs, default=0)
            ]
            last = events[-1] if events else (None, None)
            assert (tail.last_event_id, tail.last_event_at_ns) == last


def is_registration(body: Body) -> bool:
    return isinstance(body, Mark) and body.name is MarkName.REGISTERED
