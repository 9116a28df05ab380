"""A day as a recorder has it: by a session that may only read, while much goes wrong.

The people are those of `day`, the recorder is the real one on a machine of `tests.truth`; what goes
wrong is what `tests.trail` lets go wrong, but for clocks that jump.
"""

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import trio
import trio.testing
from msgspec.structs import replace

from recorder.journal.scan import scan
from recorder.model import AuditLine, Entry, Event
from recorder.simulator.users import UserSpec
from tests.attribution.day import REST_S, Day, Plan, Pool, protect, work
from tests.attribution.people import PEOPLE
from tests.trail.office import TRAIL, USUAL, strike
from tests.truth.machine import DATA
from tests.truth.network import until
from tests.truth.plan import Stroke
from tests.truth.scene import PASSWORD, USER, Scene, Shape, open_scene
from tests.truth.world import deterministic_scheduling

TROUBLES = tuple(kind for kind in (*USUAL, *TRAIL) if kind != "server-clock")
SETTLE_S = 300.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A day, what the journal has of it, and which change each event in there is, by seq."""

    day: Day
    entries: Sequence[Entry]
    changes: Mapping[int, int]
    strokes: Sequence[Stroke]

    @property
    def lines(self) -> int:
        """How many lines of the trail were recorded."""
        return sum(isinstance(entry.body, AuditLine) for entry in self.entries)


class _Workplace(Pool):
    """The recorder is the one who listens here; nobody has to read what it does not."""

    def listen(self) -> None:
        self.epochs.append(len(self.simulated.truth.changes))


def recorded(plan: Plan, *, kinds: Sequence[str] = TROUBLES, strokes_max: int = 4) -> Recorded:
    """Let a day pass in virtual time, and be recorded; the same plan gives the same journal."""
    with deterministic_scheduling(plan.seed):
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(partial(_recorded, plan, kinds, strokes_max), clock=clock)


async def _recorded(plan: Plan, kinds: Sequence[str], strokes_max: int) -> Recorded:
    rng = random.Random(f"troubles of {plan.seed}")
    # Calls come every 1.5 seconds, on average.
    lasts_s = plan.calls * 1.5
    strokes = [
        Stroke(rng.uniform(0, lasts_s), rng.choice(kinds), 0, f"{number} of {plan.seed}")
        for number in range(rng.randint(1, strokes_max) if kinds else 0)
    ]
    watcher = UserSpec(USER, PASSWORD, "read-only")
    addresses = [f"127.0.1.{number + 1}" for number in range(plan.hosts)]
    spec = replace(plan.spec, users=(*plan.spec.users, watcher), addresses=addresses)
    shape = Shape(per_minute=0.0001, trail=True, spec=spec)
    async with open_scene(plan.seed, shape) as scene:
        pool = await _opened(scene, plan)
        (site,) = scene.sites
        async with trio.open_nursery() as nursery:
            for stroke in strokes:
                nursery.start_soon(strike, scene, site, stroke)
            await work(pool)
        scene.machine.switch_on()
        await trio.sleep(REST_S)
        with trio.move_on_after(SETTLE_S):
            await until(lambda: site.is_recorded and not site.front.dead())
        await scene.machine.stop()
        entries = list(scan(DATA / "journal", disk=scene.machine.disk))
    files = pool.front.trail.files
    lines = {address: files(address).since("") for address in addresses}
    truth = pool.simulated.truth
    day = Day(plan, truth, pool.epochs, lines, pool.simulated.bugs.seen)
    return Recorded(day, entries, _changes(day, entries), strokes)


async def _opened(scene: Scene, plan: Plan) -> Pool:
    """Return the pool with everybody logged in, once it is recorded."""
    (site,) = scene.sites
    site.people.cancel()
    if plan.has_ha:
        protect(site.pool)
    pool = _Workplace(plan, site.pool, site.front, random.Random(f"people of {plan.seed}"))
    pool.front.trail.syslog.late_s_max = plan.late_s_max
    await until(lambda: site.name in scene.chronicle.live)
    pool.listen()
    pool.sessions += [await pool.log_in(person) for person in PEOPLE]
    return pool


_Told = tuple[int, str, str, str]


def _changes(day: Day, entries: Sequence[Entry]) -> Mapping[int, int]:
    """Return which change, by its index, each event is: of those with its id the last before it.

    Ids begin anew with xapi.
    """
    indexes = defaultdict[_Told, list[int]](list)
    for index, change in enumerate(day.truth.changes):
        if change.event_id is not None:
            told = (change.event_id, change.cls, change.operation, change.ref)
            indexes[told].append(index)
    found = {}
    for entry in entries:
        if isinstance(event := entry.body, Event):
            told = (event.id, event.cls, event.operation.value, event.ref)
            times = [day.truth.changes[index].at_s for index in indexes[told]]
            number = bisect_right(times, entry.received_at_ns / 1e9)
            found[entry.seq] = indexes[told][number - 1]
    return found
