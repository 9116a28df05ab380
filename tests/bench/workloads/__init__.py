"""Workloads: what the engine adds of its own to each operation."""

from functools import partial

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.child import Cost, costs_of

TITLE = "Workloads"
VMS = {"powercycle": 40, "permute": 50}
"""VMs of the pool, by kind; half of them run."""
BARE = "bare loop"
OFFICIAL = "samples with XenAPI.py"
WAYS = {OURS: "ours", BARE: "bare", OFFICIAL: "official"}
BESIDE = {OURS: "with its recorder", BARE: "listening"}
UNIT = "ms of a processor a call"
CALL_MS_MAX = 5.0

WORK = """
All VMs of a simulated pool go through a powercycle (halted, then start, suspend, resume, clean
shutdown), and running ones change hosts twice, 50 at a time.

- xentrail runs a script: each call is intended, made, and its end told in the journal, in this
  order. The driver is the tasks of trio that carry the run out, and what they hear of the journal;
  with the recorder beside it, that is all that records the pool meanwhile.
- The bare loop calls the same operations in the background through the same client, waits for the
  events that end their tasks, destroys them, and records nothing. It has to listen to events by
  itself, which is told apart: the driver hears them of the recorder.
- The sample programs of the SDK call the same, one VM after the other in the powercycle, through
  XenAPI.py. They wait by asking again, which costs more the longer an operation takes.

Pool and driver are in one process. The clock of the first two is virtual, so that only work takes
time; that of the samples is the pool's, which hurries. Counted are seconds of the processor.
"""

BOUND = """
A call is two requests and two replies of XAPI, to make it and to destroy its task, and the events
of its VM and its task: that is the bare loop, and more than a third of the driver's time. The rest
is what makes a run provable: entries for intent, call and end, each durable before what follows
from it, a look at the VM before each call, and at every event of it after.
"""


def measure(bench: Bench) -> Chapter:
    """Measure powercycle and permute."""
    chapter = Chapter(WORK, BOUND)
    for kind, full in VMS.items():
        vms = bench.of(full, full // 4)
        works = [(who, partial(_costs, way, kind, vms)) for who, way in WAYS.items()]
        for who, costs in by_turns(bench, works).items():
            for part in ("alone", "both") if who in BESIDE else ("alone",):
                name = who if part == "alone" else f"{who}, {BESIDE[who]}"
                values = [cost[part].cpu_s * 1000 for cost in costs]
                chapter.figures.append(Figure.of(kind, name, UNIT, values))
        ours, bare = (chapter.find(kind, who, UNIT) for who in (OURS, BARE))
        all_ours, all_bare = (
            chapter.find(kind, f"{who}, {beside}", UNIT) for who, beside in BESIDE.items()
        )
        chapter.verdicts += [
            Verdict(f"driver, a call of {kind}", "ms", ours.spread, Limit("at most", CALL_MS_MAX)),
            ratio(f"{kind}, driver against the bare loop", ours, bare),
            ratio(f"{kind}, with recorder against the bare loop listening", all_ours, all_bare),
        ]
    return chapter


def _costs(way: str, kind: str, vms: int) -> dict[str, Cost]:
    """Return what a call costs, in a process of its own."""
    return costs_of("tests.bench.workloads.work", way, kind, vms)
