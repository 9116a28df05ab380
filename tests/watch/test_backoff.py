"""The pauses between attempts to reach a pool."""

import random

from recorder.xapi.backoff import FIRST_WAIT_S, Backoff


def test_waits_grow_to_the_cap_and_never_beyond() -> None:
    """A pool that stays away is asked less and less often, within the cap."""
    backoff = Backoff(cap_s=10.0, uniform=random.Random(1).uniform)
    waits_s = [backoff.next_s() for _ in range(200)]
    assert min(waits_s) >= FIRST_WAIT_S
    assert 9.0 < max(waits_s) <= 10.0


def test_success_resets_the_wait() -> None:
    """After a success the next wait is short again."""
    backoff = Backoff(cap_s=10.0, uniform=lambda low, high: high)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 3 * FIRST_WAIT_S


def test_waits_differ_between_recorders() -> None:
    """Recorders that lost one server together do not come back in step."""
    waits = {Backoff(cap_s=10.0, uniform=random.Random(seed).uniform).next_s() for seed in range(9)}
    assert len(waits) == 9
