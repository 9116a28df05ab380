"""Runs what a plan says, and hands over what the oracle needs. As a program it does one seed again:

.venv/bin/python -m tests.truth.simulate SEED [register|from]
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing

from recorder.journal.scan import scan
from recorder.model import RECORDER, Entry, Stream
from recorder.simulator.truth import Truth
from tests.truth.chronicle import Chronicle, Span
from tests.truth.machine import DATA, MachineDisk
from tests.truth.network import until
from tests.truth.plan import Plan, Stroke, plan_of
from tests.truth.scene import Scene, open_scene
from tests.truth.troubles import KINDS
from tests.truth.world import deterministic_scheduling

SETTLE_S = 420.0
"""So long after the last trouble everything is recorded again: a dead connection is given up
after 95 s, a call after 120 s, and a refused password is tried again after 60 s."""

REST_S = 40.0
"""What people have begun is done by then, and a heartbeat has come."""

LAST_STATES_REST_S = 320.0
"""Without heartbeats a connection that is dead is noticed when a call has lasted too long."""

LOOK_S = 5.0

SIMULATION_S_MAX = 3600.0
"""None takes half as long: one that does waits for something that never comes."""

START_S, ROUND_TRIPS = 1.0, 8
"""A start is recording within a second, and the time that so many calls are on their way."""

STOPS = KINDS["stop"].causes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulation left behind."""

    plan: Plan
    chronicle: Chronicle
    truths: Mapping[str, Truth]
    recorded: Mapping[str, int]
    """How many changes there were when the recorder was stopped: it has seen the last one."""
    disk: MachineDisk
    redaction_key: bytes
    bugs: tuple[Exception, ...]

    def entries(self) -> list[Entry]:
        """Return the whole journal."""
        return list(scan(DATA / "journal", disk=self.disk))

    def write_to(self, folder: Path) -> None:
        """Copy the journal into a real folder, for those who read nothing else."""
        journal = DATA / "journal"
        (folder / "journal").mkdir(parents=True)
        for name in self.disk.listing(journal):
            if not self.disk.listing(journal / name):  # The folder of torn tails stays behind.
                (folder / "journal" / name).write_bytes(self.disk.content(journal / name))


def simulate(plan: Plan) -> Outcome:
    """Do what the plan says, in virtual time; the same plan gives the same outcome."""
    with deterministic_scheduling(plan.seed):
        return trio.run(_simulate, plan, clock=trio.testing.MockClock(autojump_threshold=0))


async def _simulate(plan: Plan) -> Outcome:
    with trio.fail_after(SIMULATION_S_MAX):
        return await _play(plan)


async def _play(plan: Plan) -> Outcome:
    async with open_scene(plan.seed, plan.shape) as scene:
        async with trio.open_nursery() as nursery:
            for stroke in plan.strokes:
                nursery.start_soon(_strike, scene, stroke)
        await _settle(scene)
        if plan.restarts:
            await _restart(scene)
        recorded = {site.name: len(site.pool.truth.changes) for site in scene.sites}
        scene.chronicle.begin("end", STOPS)
        await scene.machine.stop()
        # What is under way in the pools when the scene ends, ends in them, too.
        truths = {site.name: _as_it_is(site.pool.truth) for site in scene.sites}
    return Outcome(
        plan,
        scene.chronicle,
        truths,
        recorded,
        scene.machine.disk,
        scene.machine.redaction_key,
        tuple(bug for site in scene.sites for bug in site.pool.bugs.seen),
    )


def _as_it_is(truth: Truth) -> Truth:
    copy = Truth()
    copy.changes = [*truth.changes]
    return copy


async def _strike(scene: Scene, stroke: Stroke) -> None:
    """Let one trouble happen, from its begin to its end."""
    await trio.sleep(stroke.at_s)
    kind = KINDS[stroke.kind]
    site = scene.sites[stroke.site]
    trouble = scene.chronicle.begin(stroke.kind, kind.causes)
    await kind.act(scene, site, stroke.rng())
    trouble.over_s = trio.current_time()


async def _settle(scene: Scene) -> None:
    """Let the pools come to rest, and the recorder find everything again."""
    scene.machine.switch_on()
    for site in scene.sites:
        site.people.cancel()
    await trio.sleep(REST_S if scene.shape.stream is Stream.REGISTER else LAST_STATES_REST_S)
    await _until_recorded(scene)


async def _until_recorded(scene: Scene) -> None:
    with trio.move_on_after(SETTLE_S):
        await until(lambda: all(site.is_recorded for site in scene.sites), every_s=LOOK_S)


async def _restart(scene: Scene) -> None:
    """Stop the recorder and start it again, and note how long it takes until all is recorded."""
    chronicle = scene.chronicle
    chronicle.begin("restart", STOPS)
    await scene.machine.stop()
    began_s = trio.current_time()
    scene.machine.switch_on()
    with trio.move_on_after(SETTLE_S):
        await until(lambda: len(chronicle.registered) == len(scene.sites), every_s=0.05)
    allowed_s = START_S + ROUND_TRIPS * 2 * scene.network.latency_s
    chronicle.starts.append(Span(trio.current_time() - began_s, allowed_s))
    await _until_recorded(scene)


def digest_of(outcome: Outcome) -> str:
    """Return a digest of all that was recorded of the pools, equal for equal journals."""
    digest = hashlib.sha256()
    for entry in outcome.entries():
        if entry.pool != RECORDER:  # The recorder names its process in its own marks.
            digest.update(repr(entry).encode())
    return digest.hexdigest()


def main() -> None:
    """Do one seed, say what went wrong, and end as the oracle decides."""
    from tests.truth.oracle import check

    seed, stream = [*sys.argv[1:], Stream.REGISTER.value][:2]
    plan = plan_of(int(seed), stream=Stream(stream))
    sys.stdout.write(f"{plan}\n")
    outcome = simulate(plan)
    sys.stdout.write(f"journal {digest_of(outcome)}\n")
    for trouble in outcome.chronicle.troubles:
        sys.stdout.write(f"  {trouble.kind}: {trouble.began_s:.3f} to {trouble.over_s} s\n")
    check(outcome)
    sys.stdout.write("all promises held\n")


if __name__ == "__main__":
    main()
