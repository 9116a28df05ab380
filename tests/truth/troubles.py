"""What goes wrong in a simulation: each kind with what it does and the gaps that it may cause."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from recorder.model import GapCause
from recorder.simulator.faults import effects
from recorder.simulator.faults.poolwide import Misfire
from recorder.simulator.faults.rule import Rule, When
from recorder.simulator.values import NULL_REF, Fault
from tests.truth.network import until
from tests.truth.scene import Scene, Site

Act = Callable[[Scene, Site, random.Random], Awaitable[None]]

LOST, SILENT = GapCause.CONNECTION_LOST, GapCause.SERVER_SILENT
SESSION, MASTER = GapCause.SESSION_LOST, GapCause.MASTER_CHANGED
EVENTS, FULL = GapCause.EVENTS_LOST, GapCause.DISK_FULL
DIED, STOPPED = GapCause.RECORDER_DIED, GapCause.RECORDER_STOPPED

CALLS = ("event.next", "event.next", "event.get_current_id", "event.from", "*.get_all_records", "*")
"""What a fault befalls; `event.next` more often, for an answer of it is lost for good."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trouble; `act` returns when it is over."""

    act: Act
    causes: frozenset[GapCause]
    weight: float = 1.0


def befalls(draw: Callable[[random.Random], effects.Effect], *, match: str = "") -> Act:
    """Return what lets an effect befall one call, or gives up if no call comes."""

    async def act(scene: Scene, site: Site, rng: random.Random) -> None:
        effect = draw(rng)
        name = f"trouble-{rng.randrange(10**9)}"
        when = When(name=name, match=match or rng.choice(CALLS), count=1)
        faults = site.front.faults
        entry = faults.add(Rule(when, effect, {}))
        assert entry is not None
        with trio.move_on_after(70):
            await until(lambda: entry.tally.fired > 0)
        faults.ledger.remove(name)
        if isinstance(effect, effects.Stall):
            await trio.sleep(effect.lasts_s or 0.0)

    return act


def befalls_event(effect: effects.Swallow) -> Act:
    """Return what lets an effect befall the next event."""

    async def act(scene: Scene, site: Site, rng: random.Random) -> None:
        name = f"event-{rng.randrange(10**9)}"
        faults = site.front.faults
        entry = faults.add(Rule(When(name=name, match="*", count=1), effect, {}))
        assert entry is not None
        await until(lambda: entry.tally.fired > 0)
        await trio.sleep(31)  # The next event shows that one is missing, a heartbeat at the latest.
        faults.ledger.remove(name)

    return act


def pool_wide(draw: Callable[[random.Random], effects.PoolEffect], lasts_s: float = 0.0) -> Act:
    """Return what lets an effect befall a whole pool; it is over after `lasts_s`."""

    async def act(scene: Scene, site: Site, rng: random.Random) -> None:
        effect = draw(rng)
        try:
            site.front.faults.act(effect)
        except Misfire:
            return  # It is impossible just now: there is only one host left, for example.
        told_s = [getattr(effect, key, None) or 0.0 for key in ("lasts_s", "down_s", "takeover_s")]
        await trio.sleep(max(lasts_s, *told_s))

    return act


def _slow(rng: random.Random) -> effects.Effect:
    return effects.Stall(lasts_s=rng.uniform(0.5, 60))


def _stall(rng: random.Random) -> effects.Effect:
    return effects.Stall(lasts_s=rng.choice([None, rng.uniform(60, 200)]))


def _drip(rng: random.Random) -> effects.Effect:
    return effects.Drip(bytes=rng.choice([50, 500]), pause_s=0.2)


def _reset(rng: random.Random) -> effects.Effect:
    return effects.Reset(moment=rng.choice(["before", "during", "after"]))


def _garbage(rng: random.Random) -> effects.Effect:
    return effects.Garbage(part=rng.choice(["reply", "body"]))


def _length(rng: random.Random) -> effects.Effect:
    return effects.ContentLength(by=rng.choice([-3, 5]))


def _page(rng: random.Random) -> effects.Effect:
    return effects.HttpStatus(status=rng.choice([500, 503]), done=rng.random() < 0.5)


def _restart(rng: random.Random) -> effects.PoolEffect:
    return effects.Restart(down_s=rng.uniform(0, 30), how=rng.choice(["silent", "refuse"]))


def _planned(rng: random.Random) -> effects.PoolEffect:
    return effects.Failover(takeover_s=rng.uniform(0, 60))


def _unplanned(rng: random.Random) -> effects.PoolEffect:
    return effects.Failover(
        planned=False,
        takeover_s=rng.uniform(5, 90),
        down_s=rng.uniform(100, 200),
        how=rng.choice(["silent", "refuse"]),
    )


def _death(rng: random.Random) -> effects.PoolEffect:
    return effects.HostDeath(down_s=rng.uniform(10, 90), noticed_s=rng.uniform(0, 60))


def _emergency(rng: random.Random) -> effects.PoolEffect:
    return effects.Emergency(lasts_s=rng.uniform(1, 60))


def _loop(rng: random.Random) -> effects.PoolEffect:
    return effects.SlaveLoop(lasts_s=rng.uniform(1, 60))


def _silence(rng: random.Random) -> effects.PoolEffect:
    return effects.Silence(lasts_s=rng.uniform(1, 200))


def _no_beat(rng: random.Random) -> effects.PoolEffect:
    return effects.StopHeartbeats(lasts_s=rng.uniform(30, 250))


async def _roll_back(scene: Scene, site: Site, rng: random.Random) -> None:
    """The master dies and comes back, or another takes over, with an older database."""
    down_s, flush_s = rng.uniform(0, 30), rng.uniform(1, 60)
    effect: effects.PoolEffect = effects.Crash(down_s=down_s, flush_s=flush_s)
    if rng.random() < 0.5:
        effect = effects.Failover(
            planned=False, takeover_s=down_s, down_s=120.0, rollback=True, flush_s=flush_s
        )
    # A rule that is to strike has the database flushed, from the moment it is there.
    name = f"rollback-{rng.randrange(10**9)}"
    faults = site.front.faults
    faults.add(Rule(When(name=name, at_s=faults.now_s() + flush_s * 1.5), effect, {}))
    await trio.sleep(flush_s * 1.2)
    if rng.random() < 0.5:
        site.front.drop_connections()  # The next session sees what is undone soon.
    await trio.sleep(flush_s * 0.3 + max(down_s, 120.0))
    faults.ledger.remove(name)


async def _eject(scene: Scene, site: Site, rng: random.Random) -> None:
    """A host leaves the pool, and answers as a pool of its own."""
    if site.front.emergency or site.front.dead():
        return  # Nobody ejects the host that is about to be the master.
    try:
        site.front.faults.act(effects.HostEjected(down_s=rng.uniform(0, 30)))
    except Misfire:
        return  # Only the master is left.
    await trio.sleep(30)


async def _flood(scene: Scene, site: Site, rng: random.Random) -> None:
    site.pool.flood(rng.choice([30, 200]))


async def _jump(scene: Scene, site: Site, rng: random.Random) -> None:
    """The clock of the pool jumps, by less than a session may be idle."""
    site.jump(rng.uniform(-4000, 4000))


async def _step(scene: Scene, site: Site, rng: random.Random) -> None:
    """The clock of the recorder jumps."""
    scene.chronicle.clock_steps.append(trio.current_time())
    scene.machine.clock_ahead_ns += int(rng.uniform(-4000, 4000) * 1e9)


async def _cut(scene: Scene, site: Site, rng: random.Random) -> None:
    scene.network.cut()
    await trio.sleep(rng.choice([rng.uniform(0.1, 5), rng.uniform(5, 200)]))
    scene.network.mend()


async def _refused_logins(scene: Scene, site: Site, rng: random.Random) -> None:
    """The directory is down: a session that ends cannot be had again for a while."""
    name = f"directory-{rng.randrange(10**9)}"
    faults = site.front.faults
    faults.add(Rule(When(name=name, match="session.login_*"), effects.LoginRefused(), {}))
    site.front.drop_connections()
    await trio.sleep(rng.uniform(1, 100))
    faults.ledger.remove(name)


async def _slow_disk(scene: Scene, site: Site, rng: random.Random) -> None:
    scene.machine.disk_takes_s = rng.choice([0.05, 0.5, 3.0])
    await trio.sleep(rng.uniform(5, 60))
    scene.machine.disk_takes_s = 0.0


async def _full_disk(scene: Scene, site: Site, rng: random.Random) -> None:
    lasts_s = rng.choice([rng.uniform(0.1, 5), rng.uniform(5, 200)])
    with trio.move_on_after(lasts_s):
        while True:
            scene.machine.disk.full = True  # Also that of a process which was started meanwhile.
            await trio.sleep(1)
    scene.machine.disk.full = False


async def _bad_sync(scene: Scene, site: Site, rng: random.Random) -> None:
    scene.machine.refuse_a_sync()
    await trio.sleep(40)
    scene.machine.spare_the_disk()


async def _torn(scene: Scene, site: Site, rng: random.Random) -> None:
    scene.machine.lose_power_in_a_call(rng.randint(1, 30))
    await trio.sleep(60)
    scene.machine.spare_the_disk()


async def _hide_birth(scene: Scene, site: Site, rng: random.Random) -> None:
    """A snapshot is taken, and the server never tells of it."""
    name = f"hidden-{rng.randrange(10**9)}"
    faults = site.front.faults
    faults.add(Rule(When(name=name, match="VM.add", count=1), effects.Swallow(), {}))
    vms = site.pool.database.refs("VM")
    vm = rng.choice([one for one in vms if _is_guest(site, one)])
    with suppress(Fault):  # Another snapshot of it is being taken: then there is none to hide.
        await site.pool.call_operation(NULL_REF, "VM.snapshot", [vm, name])
    faults.ledger.remove(name)
    await trio.sleep(130)


def _is_guest(site: Site, vm: str) -> bool:
    record = site.pool.database.record("VM", vm)
    return not (record["is_a_template"] or record["is_control_domain"] or record["is_a_snapshot"])


def recorder_ends(end: str) -> Act:
    """Return what ends the recorder, and starts it again after a while."""

    async def act(scene: Scene, site: Site, rng: random.Random) -> None:
        machine = scene.machine
        if not machine.is_on:
            return  # Another trouble has just ended it.
        ends = {"stop": machine.stop, "power": machine.lose_power, "kill": machine.kill}
        await ends[end]()
        await trio.sleep(rng.choice([0.0, rng.uniform(0, 3), rng.uniform(3, 120)]))
        machine.switch_on()
        await machine.started()

    return act


def _of(*causes: GapCause) -> frozenset[GapCause]:
    return frozenset(causes)


BROKEN = _of(LOST)
MOVED = _of(LOST, SESSION, MASTER, SILENT)
HELD_UP = _of(LOST, SILENT, EVENTS)

KINDS: dict[str, Kind] = {
    "reset": Kind(befalls(_reset), BROKEN),
    "reset-connect": Kind(befalls(lambda _: effects.Reset(), match="connect"), BROKEN, 0.5),
    "stall": Kind(befalls(_stall), HELD_UP),
    "slow": Kind(befalls(_slow), HELD_UP),
    "drip": Kind(befalls(_drip), HELD_UP),
    "half-reply": Kind(befalls(lambda rng: effects.HalfReply(fraction=rng.random())), BROKEN),
    "garbage": Kind(befalls(_garbage), BROKEN),
    "wrong-length": Kind(befalls(_length), HELD_UP, 0.5),
    "twice": Kind(befalls(lambda _: effects.Duplicate()), BROKEN, 0.5),
    "http-page": Kind(befalls(_page), BROKEN),
    "session-expires": Kind(befalls(lambda _: effects.ExpireSession()), _of(SESSION)),
    "sessions-expire": Kind(pool_wide(lambda _: effects.ExpireSessions()), _of(SESSION)),
    "connections-drop": Kind(pool_wide(lambda _: effects.DropConnections()), BROKEN),
    "restart": Kind(pool_wide(_restart), MOVED),
    "failover-planned": Kind(pool_wide(_planned), MOVED),
    "failover-unplanned": Kind(pool_wide(_unplanned), MOVED),
    "rollback": Kind(_roll_back, MOVED),
    "host-dies": Kind(pool_wide(_death), _of()),
    "host-ejected": Kind(_eject, _of()),
    "emergency": Kind(pool_wide(_emergency), _of(LOST)),
    "slave-loop": Kind(pool_wide(_loop), _of(MASTER)),
    "flood": Kind(_flood, _of(EVENTS)),
    "events-lost": Kind(pool_wide(lambda _: effects.EventsLost()), _of(EVENTS)),
    "no-heartbeat": Kind(pool_wide(_no_beat), _of(SILENT)),
    "silence": Kind(pool_wide(_silence), HELD_UP),
    "hidden": Kind(_hide_birth, _of(GapCause.CENSUS_MISMATCH)),
    "hidden-id": Kind(befalls_event(effects.Swallow(leaves_gap=True)), _of(GapCause.IDS_MISSING)),
    "server-clock": Kind(_jump, _of()),
    "recorder-clock": Kind(_step, _of(), 0.5),
    "cable": Kind(_cut, HELD_UP),
    "directory": Kind(_refused_logins, BROKEN),
    "slow-disk": Kind(_slow_disk, _of(EVENTS, DIED)),
    "full-disk": Kind(_full_disk, _of(FULL, EVENTS, SILENT, LOST, DIED)),
    "bad-sync": Kind(_bad_sync, _of(DIED, STOPPED)),
    "power": Kind(recorder_ends("power"), _of(DIED)),
    "torn-write": Kind(_torn, _of(DIED)),
    "kill": Kind(recorder_ends("kill"), _of(DIED)),
    "stop": Kind(recorder_ends("stop"), _of(STOPPED)),
}
