"""Sets of pools with their recorders, under load by turns."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from recorder.journal.scan import scan
from recorder.model import Event, GapCause, GapOpened
from tests.bench.chapter import (
    OURS,
    Bench,
    Chapter,
    Figure,
    Limit,
    Spread,
    Verdict,
    by_turns,
    ratio,
)
from tests.bench.child import Memory
from tests.bench.scale.command import Recorder, recording
from tests.bench.scale.pools import CHANGED, Burst, Numbers, Pools, served

POOL_VMS = 7
POOLS = (1, 10, 50, 200)
POOLS_QUICK = (1, 10)
VMS = (140, 700, 2_750)
VMS_QUICK = (70, 350)
LOAD_PER_S = 400
LOADS = {1: (500, 1_000, 2_000, 4_000, 8_000), 50: (250, 500, 1_000, 2_000)}
LOADS_QUICK = {1: (500, 4_000), 10: (500, 1_000)}
"""Changes a second in all pools together, by the number of pools."""
BURST_CHANGES_MAX = 3_000
"""The server keeps 10 MB of events for those who are late."""
LOOK_S = 0.01
PATIENCE_S = 10.0
"""After so long without any of them, changes count as lost."""
POOLS_MB_MAX = 200
OBJECTS_MB_MAX = 250


@dataclass
class Point:
    """A set of pools and its recorder; `made` counts the changes."""

    pools: Pools
    recorder: Recorder
    made: int = 0
    gaps: int = 0
    memory: list[Memory] = field(default_factory=list)

    def load(self, burst: Burst) -> "Borne":
        """Make changes, and wait until the journal has all of them, or no more come."""
        written = self.recorder.follow()
        began_s, cpu_s = time.perf_counter(), self.recorder.cpu_s
        self.pools.begin(burst)
        made, found, found_s = None, 0, began_s
        while found != made and time.perf_counter() - found_s < PATIENCE_S:
            time.sleep(LOOK_S)
            if new := written.count(CHANGED):
                found, found_s = found + new, time.perf_counter()
            if made is None and self.pools.line.poll():
                made = self.pools.done()
        took_s, cpu_s = found_s - began_s, self.recorder.cpu_s - cpu_s
        assert made is not None, "changes are made in time"
        self.made += made
        self.memory.append(self.recorder.memory)
        return Borne(found / took_s, cpu_s / found)

    def missing(self) -> int:
        """Return how many changes are not in the journal; the recorder is not running any more."""
        events = 0
        for entry in scan(self.recorder.data / "journal"):
            match entry.body:
                case Event(snapshot=bytes() as snapshot) if CHANGED in snapshot:
                    events += 1
                case GapOpened(cause=cause) if cause is not GapCause.RECORDER_STOPPED:
                    self.gaps += 1
                case _:
                    pass
        return self.made - events


@dataclass(frozen=True, slots=True)
class Borne:
    """How a load was borne: events a second, seconds of processors an event."""

    per_s: float
    cpu_s: float


def measure_points(bench: Bench, chapter: Chapter) -> None:
    """Measure against the numbers of pools, of objects, and of changes a second."""
    pools, vms = (POOLS_QUICK, VMS_QUICK) if bench.quick else (POOLS, VMS)
    with ExitStack() as stack:
        numbers = [Numbers(count, POOL_VMS) for count in pools]
        numbers += [Numbers(1, count, hosts=max(2, count // 170)) for count in vms]
        points = [
            stack.enter_context(_point(bench.folder / str(place), one))
            for place, one in enumerate(numbers)
        ]
        for one in points:
            one.recorder.wait_for(" recording ", len(one.pools.serving.pools))
        by_pools = dict(zip(pools, points, strict=False))
        by_objects = {one.pools.serving.objects: one for one in points[len(pools) :]}
        _under_one_load(bench, chapter, by_pools, by_objects)
        _under_loads(bench, chapter, by_pools)
    _judge(chapter, points)


@contextmanager
def _point(folder: Path, numbers: Numbers) -> Iterator[Point]:
    folder.mkdir()
    with served([numbers]) as pools, recording(folder, pools.serving.pools) as recorder:
        yield Point(pools, recorder)


def _under_one_load(
    bench: Bench, chapter: Chapter, by_pools: dict[int, Point], by_objects: dict[int, Point]
) -> None:
    """The same load on each point, one after the other."""
    burst = Burst(LOAD_PER_S, bench.of(1_000, 500) / 1000)
    for of_what, points in (("pools", by_pools), ("objects", by_objects)):
        works = [(str(count), partial(one.load, burst)) for count, one in points.items()]
        for count, borne in by_turns(bench, works).items():
            cpu_us = [one.cpu_s * 1e6 for one in borne]
            peaks = [memory.now_mb for memory in points[int(count)].memory]
            chapter.figures += [
                Figure.of(count, OURS, f"events/s, by {of_what}", [one.per_s for one in borne]),
                Figure.of(count, OURS, f"µs of processors an event, by {of_what}", cpu_us),
                Figure.of(count, OURS, f"MB, by {of_what}", peaks),
            ]
        _compare(chapter, of_what, list(points))


def _compare(chapter: Chapter, of_what: str, counts: Sequence[int]) -> None:
    """Tell how much more the most cost than fewer, and how much memory that takes."""
    unit = f"µs of processors an event, by {of_what}"
    *fewer, many = [chapter.find(str(count), OURS, unit) for count in counts]
    for few in fewer:
        told = f"cost of an event, {many.what} {of_what} against {few.what}"
        chapter.verdicts.append(ratio(told, many, few))
    memory = chapter.find(many.what, OURS, f"MB, by {of_what}")
    limit = Limit("at most", POOLS_MB_MAX if of_what == "pools" else OBJECTS_MB_MAX)
    chapter.verdicts.append(
        Verdict(f"memory with {many.what} {of_what}", "MB", memory.spread, limit)
    )


def _under_loads(bench: Bench, chapter: Chapter, by_pools: dict[int, Point]) -> None:
    """More and more changes a second."""
    loads = LOADS_QUICK if bench.quick else LOADS
    full_s = bench.of(1_000, 500) / 1000
    works = {
        (pools, per_s): partial(
            by_pools[pools].load, Burst(per_s, min(full_s, BURST_CHANGES_MAX / per_s))
        )
        for pools, rates in loads.items()
        for per_s in rates
    }
    named = {f"{pools} pools, {per_s} changes/s": work for (pools, per_s), work in works.items()}
    outcomes = by_turns(bench, list(named.items()))
    for (pools, per_s), borne in zip(works, outcomes.values(), strict=True):
        who = "1 pool" if pools == 1 else f"{pools} pools"
        cpu_us = [one.cpu_s * 1e6 for one in borne]
        chapter.figures += [
            Figure.of(str(per_s), who, "events/s, by changes/s", [one.per_s for one in borne]),
            Figure.of(str(per_s), who, "µs of processors an event, by changes/s", cpu_us),
        ]
    for pools in loads:
        who = "1 pool" if pools == 1 else f"{pools} pools"
        found = [f for f in chapter.figures if (f.who, f.unit) == (who, "events/s, by changes/s")]
        most = max(found, key=lambda figure: figure.spread.median)
        chapter.verdicts.append(
            Verdict(f"most recorded of {who}, simulator beside it", "events/s", most.spread)
        )


def _judge(chapter: Chapter, points: Sequence[Point]) -> None:
    missing = [float(point.missing()) for point in points]
    lost = Spread((sum(missing),))
    chapter.verdicts.append(Verdict("changes not recorded", "changes", lost, Limit("at most", 0)))
    if gaps := sum(point.gaps for point in points):
        chapter.remarks.append(f"{gaps} gaps were opened while it was measured.")
