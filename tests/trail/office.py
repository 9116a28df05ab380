"""A pool in which people call, its trail, a recorder that reads it, and what may go wrong there.

The trail is judged by what was written into the files of each host, line by line, as it happened.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
import trio.testing

from recorder.journal.scan import scan
from recorder.model import AuditLine, Entry, GapCause, GapOpened
from recorder.pools.trail.ends import is_complete
from recorder.pools.trail.own import OwnSessions
from recorder.simulator.auditfiles import AuditFiles
from recorder.simulator.faults import effects
from recorder.simulator.values import Fault
from tests.truth.machine import DATA
from tests.truth.network import until
from tests.truth.plan import Stroke
from tests.truth.scene import Scene, Shape, Site, open_scene
from tests.truth.troubles import KINDS
from tests.truth.world import BEGAN_NS, deterministic_scheduling

WORK_S, TROUBLES_S = 90.0, (15.0, 80.0)
CALM_S = 80.0
"""So long after a new session everything that was written before it was read, of all hosts."""

SETTLE_S = 300.0
LINE_LATE_S = 2.0

USUAL = (
    *("power", "kill", "stop", "torn-write", "reset", "half-reply", "connections-drop", "cable"),
    *("restart", "failover-planned", "failover-unplanned", "session-expires", "full-disk"),
)
"""What goes wrong with the recorder, the network and the pool: see `troubles`."""

TRAIL = ("rotation", "late", "half-line", "cut", "server-clock")
"""What goes wrong with the trail itself; the first one, and only that, loses lines."""


Noted = dict[int, list[tuple[float, str]]]
"""Lines with the virtual time at which each was written, by the identity of the files."""


@contextmanager
def writing() -> "Iterator[Noted]":
    """Note what is written into the files of hosts, by the identity of these."""
    noted: Noted = defaultdict(list)
    append = AuditFiles.append

    def noting(self: AuditFiles, line: str) -> None:
        noted[id(self)].append((trio.current_time(), line))
        append(self, line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuditFiles, "append", noting)
        yield noted


@dataclass(frozen=True)
class Day:
    """What one simulation left behind, of its one pool."""

    seed: int
    entries: Sequence[Entry]
    written: dict[str, list[tuple[float, str]]]
    end_s: float

    def at_ns(self, at_s: float) -> int:
        """Return a virtual time as the journal has it."""
        return BEGAN_NS + int(at_s * 1e9)

    @property
    def lines(self) -> "Counter[tuple[str, bytes]]":
        """How often each line of each host is in the journal."""
        bodies = [entry.body for entry in self.entries]
        return Counter((body.host, body.line) for body in bodies if isinstance(body, AuditLine))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """From when to when lines may be missing."""
        return [
            (entry.body.complete_until_ns or 0, entry.received_at_ns)
            for entry in self.entries
            if isinstance(entry.body, GapOpened) and entry.body.cause is GapCause.AUDIT_TRAIL
        ]

    def problems(self) -> list[str]:
        """What is in the journal too often, or neither in it nor in a gap."""
        return [*self._too_often(), *self._missing()]

    def _too_often(self) -> Iterator[str]:
        for (host, line), count in self.lines.items():
            texts = [text.encode() for _, text in self.written[host]]
            if count > max(texts.count(line), self._is_half(line, texts)):
                yield f"{count} times of {texts.count(line)}, {host}: {line!r}"

    def _is_half(self, line: bytes, texts: list[bytes]) -> bool:
        """Whether the file may have held this line for a while: one that was being written."""
        return not is_complete(line) and any(text.startswith(line) for text in texts)

    def _missing(self) -> Iterator[str]:
        lines = self.lines
        for host, written in self.written.items():
            for at_s, text in written:
                at_ns = self.at_ns(at_s)
                known = lines[host, text.encode()] > 0
                told = any(since_ns <= at_ns <= until_ns for since_ns, until_ns in self.gaps)
                if not (known or told or _is_own(text) or at_s > self.end_s):
                    yield f"missing since {at_s:.1f} s, {host}: {text}"


def _is_own(text: str) -> bool:
    """Whether the recorder has caused the line by looking, whichever session it was."""
    sessions = OwnSessions()
    sessions.learn(text.partition("'trackid=")[2][:32])
    return "watcher" in text and sessions.cause(text.encode()) is not None


Play = Callable[[Scene, Site], Awaitable[None]]


def played(play: Play, *, seed: int = 1, hosts: int = 2) -> Day:
    """Let a pool in which nobody does anything be recorded for as long as `play` takes."""
    with deterministic_scheduling(seed), writing() as noted:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(partial(_played, seed, hosts, play, noted), clock=clock)


async def _played(seed: int, hosts: int, play: Play, noted: Noted) -> Day:
    shape = Shape(hosts=hosts, vms=1, per_minute=0.0001, trail=True)
    async with open_scene(seed, shape) as scene:
        (site,) = scene.sites
        await play(scene, site)
        end_s = trio.current_time()
        await scene.machine.stop()
        return _outcome(seed, scene, noted, end_s)


def day(seed: int, *, kinds: Sequence[str] = (*USUAL, *TRAIL), strokes: int = 4) -> Day:
    """Let people work for a while, and things go wrong; the same seed is the same day."""
    with deterministic_scheduling(seed), writing() as noted:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(partial(_day, seed, kinds, strokes, noted), clock=clock)


async def _day(seed: int, kinds: Sequence[str], strokes: int, noted: Noted) -> Day:
    rng = random.Random(f"day {seed}")
    shape = Shape(hosts=rng.choice([2, 3]), vms=2, per_minute=0.5, trail=True)
    async with open_scene(seed, shape) as scene:
        (site,) = scene.sites
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_work, site, random.Random(f"work {seed}"))
            for number in range(rng.randint(1, strokes)):
                dice = f"{number} of {seed}"
                stroke = Stroke(rng.uniform(*TROUBLES_S), rng.choice(kinds), 0, dice)
                nursery.start_soon(strike, scene, site, stroke)
        scene.machine.switch_on()
        site.people.cancel()
        with trio.move_on_after(SETTLE_S):
            await until(lambda: site.is_recorded and not site.front.dead())
        await trio.sleep(CALM_S / 4)
        end_s = trio.current_time()
        await scene.machine.stop()
        scene.machine.switch_on()
        await trio.sleep(CALM_S)
        await scene.machine.stop()
        return _outcome(seed, scene, noted, end_s)


def _outcome(seed: int, scene: Scene, noted: Noted, end_s: float) -> Day:
    (site,) = scene.sites
    trail = site.front.dispatcher.trail
    written = {host: noted[id(files)] for host, files in list(trail._hosts.items())}
    journal = scan(DATA / "journal", disk=scene.machine.disk)
    entries = [entry for entry in journal if entry.pool == site.name]
    return Day(seed, entries, defaultdict(list, written), end_s)


async def _work(site: Site, rng: random.Random) -> None:
    """Call, now and then many times in a second."""
    call = site.front.insider()
    vms = site.pool.database.refs("VM")
    with trio.move_on_after(WORK_S):
        while True:
            await trio.sleep(rng.choice([0.01, 0.3, 2.0, 15.0]))
            name = f"named {rng.randrange(1000)} 'so' \\ and (so"
            try:
                await call("VM.set_name_description", [rng.choice(vms), name])
                await call("VM.add_tags", [rng.choice(vms), name])
            except Fault:
                continue  # The pool is without a master just now.


async def strike(scene: Scene, site: Site, stroke: Stroke) -> None:
    """Let something go wrong, with the trail or with whatever is in its way, when it is time."""
    await trio.sleep(stroke.at_s)
    rng, act = stroke.rng(), site.front.faults.act
    match stroke.kind:
        case "rotation":
            for _ in range(rng.randint(1, 3)):
                act(effects.AuditRotation(kept=rng.choice([0, 0, 1, 9])))
                await trio.sleep(rng.choice([0.0, 0.5, 5.0]))
        case "late":
            act(effects.Syslog(late_s=LINE_LATE_S, lasts_s=20.0))
        case "cut":
            act(effects.Syslog(bytes=300, lasts_s=20.0))
        case "half-line":
            act(effects.HalfLine(lasts_s=rng.choice([0.3, 2.0, 20.0])))
        case kind:
            await KINDS[kind].act(scene, site, rng)
