"""The rival that users have: the sample programs of the SDK with its official client."""

import time

from recorder.simulator.inventory import PoolSpec
from tests.clients import samples
from tests.clients.lab import PASSWORD, running_lab
from tests.clients.official import Clients

SPEED = 0.002
"""An operation that takes seconds in life takes as many times 2 ms; so does the pause of a second
between two looks of the samples, which is why they look as often as in life."""
PAUSE_S = 1.0 * SPEED
ITERATIONS = 2


def drive(kind: str, vms: int) -> tuple[int, float]:
    """Return how many calls were made on so many VMs, and the seconds of the client's thread.

    The pool is in another thread, so that the time of this one is the client's.
    """
    spec = PoolSpec(hosts=16, vms=vms, seed=1, speed=SPEED, password=PASSWORD, keeps_truth=False)
    with running_lab(spec) as lab:
        clients = Clients()
        session = clients.login(lab.url)
        began_s = time.thread_time()
        if kind == "powercycle":
            calls = 4 * samples.powercycle(session, boots=1, pause_s=PAUSE_S)
        else:
            calls = ITERATIONS * len(samples.permute(session, ITERATIONS, pause_s=PAUSE_S))
        spent_s = time.thread_time() - began_s
        clients.close()
    return calls, spent_s
