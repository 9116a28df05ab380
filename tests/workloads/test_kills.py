"""The death of a driver at any moment: its run goes on, nothing is done twice or made up."""

import pytest

from tests.workloads.schedules import play, schedule_of

pytestmark = pytest.mark.seeds

SEEDS = 300
BLOCK = 20


@pytest.mark.parametrize(
    "first",
    [
        *range(0, SEEDS, BLOCK),
        *(
            pytest.param(first, marks=pytest.mark.soak)
            for first in range(SEEDS, SEEDS + 10_000, BLOCK)
        ),
    ],
)
def test_run_survives_the_deaths_of_its_driver(first: int) -> None:
    """Whatever else goes wrong, and also if the one that resumes it dies, too.

    `python -m tests.workloads.schedules SEED` plays the one that is named.
    """
    for seed in range(first, first + BLOCK):
        try:
            play(schedule_of(seed)).check()
        except Exception as error:
            raise AssertionError(f"schedule {seed}: {error!r}") from error
