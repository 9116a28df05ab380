"""What a run costs its driver; run `python -m tests.bench.workloads`, or name parts of it.

- powercycle: 500 VMs, one round, 50 at a time;
- permute: 200 running VMs change hosts twice, 50 at a time.

Pool and recorder are in this process, on a virtual clock, so that only work takes time. What is
counted as the driver's own is the processor time of the tasks that carry a run out, their share of
the client among it, and of what they hear of the journal; by trio's instrumentation, task by task.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
import trio.testing

from recorder.model import Draft, MarkName
from recorder.workloads.witness import Witness
from tests.workloads.theatre import Theatre, script, step, theatre

PARTS = {
    "powercycle": (500, step("powercycle", concurrency=50)),
    "permute": (400, step("permute", order="shuffle", iterations=2, concurrency=50)),
}
DRIVERS = ("Work.abreast", "Runs._live")


class DriversTime(trio.abc.Instrument):
    """Adds up the processor time of the tasks of runs."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        self._began_s = 0.0

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self._began_s = time.process_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if any(name in task.name for name in DRIVERS):
            self.spent_s += time.process_time() - self._began_s

    def hear(self, witness: Witness, seqs: range, drafts: Sequence[Draft]) -> None:
        began_s = time.process_time()
        observe(witness, seqs, drafts)
        self.spent_s += time.process_time() - began_s


observe = Witness.observe


def heard_by(drivers: DriversTime) -> Callable[[Witness, range, Sequence[Draft]], None]:
    """Return a method that lets the time of a witness count."""

    def hear(witness: Witness, seqs: range, drafts: Sequence[Draft]) -> None:
        drivers.hear(witness, seqs, drafts)

    return hear


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tasks_on(play: Theatre) -> int:
    rows = (play.pool.database.record("task", ref) for ref in play.pool.database.refs("task"))
    return sum("Async.VM" in str(row["name_label"]) for row in rows)


async def measure(name: str) -> None:
    vms, one = PARTS[name]
    with tempfile.TemporaryDirectory() as folder:
        async with theatre(Path(folder), vms=vms, hosts=16) as play:
            drivers, most = DriversTime(), 0

            def look() -> None:
                nonlocal most
                most = max(most, tasks_on(play))

            play.when_begun(look)
            trio.lowlevel.add_instrument(drivers)
            Witness.observe = heard_by(drivers)  # type: ignore[method-assign,assignment]
            began_s = time.process_time()
            told = await play.run(script(one))
            all_s = time.process_time() - began_s
            trio.lowlevel.remove_instrument(drivers)
            made = len(play.marks(MarkName.STEP_CALLED))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(
        f"{name}: {made} calls, {told.over.status}, outcomes {told.over.parts[0].outcomes};"
        f" a call takes {1000 * drivers.spent_s / made:.2f} ms of the driver, of"
        f" {1000 * all_s / made:.1f} ms for pool, recorder and driver;"
        f" at most {most} tasks at a time; {megabytes:.0f} MiB for all of it"
    )


def main() -> None:
    for name in sys.argv[1:] or PARTS:
        trio.run(measure, name, clock=trio.testing.MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
