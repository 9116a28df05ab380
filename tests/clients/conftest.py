"""A pool of four hosts whose operations take some milliseconds, and sessions of its clients."""

from collections.abc import Iterator

import pytest

from recorder.simulator.inventory import PoolSpec
from tests.clients.lab import PASSWORD, Lab, running_lab
from tests.clients.official import Clients

SPEED = 0.001
"""An operation that takes seconds in life takes as many milliseconds here."""


@pytest.fixture
def spec() -> PoolSpec:
    """Three guests run, each on another host; one is halted."""
    return PoolSpec(hosts=4, vms=4, seed=5, speed=SPEED, password=PASSWORD)


@pytest.fixture
def lab(spec: PoolSpec) -> Iterator[Lab]:
    with running_lab(spec) as running:
        yield running


@pytest.fixture
def clients() -> Iterator[Clients]:
    opened = Clients()
    yield opened
    opened.close()
