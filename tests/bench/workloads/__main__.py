"""What a run costs its driver; run `python -m tests.bench.workloads`, or name parts of it.

- powercycle: 500 VMs, one round, 50 at a time;
- permute: 200 running VMs change hosts twice, 50 at a time.

Pool and recorder are in this process, on a virtual clock, so that only work takes time. What is
counted as the driver's own is the processor time of the tasks that carry a run out, their share of
the client among it, and of what they hear of the journal; by trio's instrumentation, task by task.
"""

import sys

import trio
import trio.testing

from tests.bench.child import memory_of
from tests.bench.plain import say
from tests.bench.workloads.ours import drive

VMS = {"powercycle": 500, "permute": 400}


async def measure(kind: str) -> None:
    """Run a workload, and tell what it took."""
    driven = await drive(kind, VMS[kind])
    over, calls = driven.report, driven.calls
    say(
        f"{kind}: {calls} calls, {over.status}, outcomes {over.parts[0].outcomes};"
        f" a call takes {1000 * driven.driver_s / calls:.2f} ms of the driver, of"
        f" {1000 * driven.all_s / calls:.1f} ms for pool, recorder and driver;"
        f" at most {driven.tasks_max} tasks at a time; {memory_of().peak_mb:.0f} MB for all of it"
    )


def main() -> None:
    """Run the parts that were named, or all."""
    for kind in sys.argv[1:] or VMS:
        trio.run(measure, kind, clock=trio.testing.MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
