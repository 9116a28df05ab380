"""Where the journal stands with each pool: what moves a tail, and what does not."""

import pytest

from recorder.journal.tails import Tails
from recorder.model import Body, GapCause, GapClosed, GapOpened
from tests.journal.samples import AUDIT_LINE

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
