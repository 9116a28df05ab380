"""A run of a workload in virtual time, and what it costs its driver."""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from recorder.control.running import RunReport
from recorder.model import Draft, MarkName
from recorder.workloads.witness import Witness
from tests.workloads.theatre import Theatre, script, step, theatre

KINDS = {
    "powercycle": step("powercycle", concurrency=50),
    "permute": step("permute", order="shuffle", iterations=2, concurrency=50),
}
DRIVERS = ("Work.abreast", "Runs._live")


class TasksTime(trio.abc.Instrument):
    """Adds up the processor time of the tasks of trio, by their names."""

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self.heard_s = 0.0
        self._began_s = 0.0

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        """A task goes on."""
        self._began_s = time.process_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It waits again."""
        self.spent_s[task.name] += time.process_time() - self._began_s

    def hear(self, witness: Witness, seqs: range, drafts: Sequence[Draft]) -> None:
        """Count what a run hears of the journal, in a task of the recorder."""
        began_s = time.process_time()
        observe(witness, seqs, drafts)
        self.heard_s += time.process_time() - began_s

    def of(self, *words: str) -> float:
        """Return the seconds of tasks with one of these words in their names."""
        return sum(s for name, s in self.spent_s.items() if any(word in name for word in words))


observe = Witness.observe


def _heard_by(drivers: TasksTime) -> Callable[[Witness, range, Sequence[Draft]], None]:
    """Return a method that lets the time of a witness count."""

    def hear(witness: Witness, seqs: range, drafts: Sequence[Draft]) -> None:
        drivers.hear(witness, seqs, drafts)

    return hear


@dataclass(frozen=True, slots=True)
class Driven:
    """What came of a run: calls made, tasks at a time, and seconds of a processor.

    They are of the driver, of recorder and driver, and of all, the pool included.
    """

    report: RunReport
    calls: int
    tasks_max: int
    driver_s: float
    recorder_s: float
    all_s: float


async def drive(kind: str, vms: int) -> Driven:
    """Run a workload of one step on so many VMs; half of them run."""
    with tempfile.TemporaryDirectory() as folder:
        async with theatre(Path(folder), vms=vms, hosts=16) as play:
            drivers, most = TasksTime(), 0

            def look() -> None:
                nonlocal most
                most = max(most, _tasks_on(play))

            play.when_begun(look)
            trio.lowlevel.add_instrument(drivers)
            Witness.observe = _heard_by(drivers)  # type: ignore[method-assign,assignment]
            began_s = time.process_time()
            told = await play.run(script(KINDS[kind]))
            all_s = time.process_time() - began_s
            trio.lowlevel.remove_instrument(drivers)
            calls = len(play.marks(MarkName.STEP_CALLED))
    driver_s = drivers.of(*DRIVERS) + drivers.heard_s
    recorder_s = drivers.of("recorder.") - drivers.of("recorder.simulator.")
    return Driven(told.over, calls, most, driver_s, recorder_s, all_s)


def _tasks_on(play: Theatre) -> int:
    rows = (play.pool.database.record("task", ref) for ref in play.pool.database.refs("task"))
    return sum("Async.VM" in str(row["name_label"]) for row in rows)
