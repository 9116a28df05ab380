"""Scale: what an event costs with more pools, more objects, and more of them a second."""

from tests.bench.chapter import Bench, Chapter
from tests.bench.scale.points import measure_points

TITLE = "Scale"

WORK = """
The real command records simulated pools over TLS, each set of pools in one process and its recorder
in another; all of them run at the same time, and one after the other gets its changes of VMs.

- *Against the number of pools*: 1, 10, 50 and 200 pools of some 100 objects, with as many changes a
  second in all pools together.
- *Against the number of objects*: one pool, small to 20,000 objects, the same changes a second.
- *Against the load*: more and more changes a second, in one pool and in 50: where what is recorded
  a second stays behind what is changed is the knee.

The clock runs from the first change until the journal has all of them. Processors are those of the
recorder, with what it does beside (polls of audit trails, heartbeats).
"""

BOUND = """
Each change that comes alone costs a reply: TLS, HTTP, a turn of trio, an entry, a sync. A pool that
changes often has many changes in one reply, which share that; spread over ten pools each comes
alone, and that is what an event costs at most. From there on neither the number of pools nor that
of objects matters: nothing is done for each of them when an event comes.

At the knee the recorder is busy for a small part of one processor: it is the simulator, which makes
the changes and serves them, that has no more. What a recorder takes from a server that is never
late is in the chapter on ingest.
"""


def measure(bench: Bench) -> Chapter:
    """Measure all of it."""
    chapter = Chapter(WORK, BOUND)
    measure_points(bench, chapter)
    return chapter
