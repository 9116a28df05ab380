"""A day in a pool: people work in it at the same time, guests and hosts act by themselves.

It needs no network: calls are made at the dispatcher, each by the door of a client of its own.
"""

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial

import trio
import trio.testing

from recorder.simulator import guestpower
from recorder.simulator.audit import XAPI_24_11, XAPI_25_32
from recorder.simulator.calls import Call, Sent
from recorder.simulator.deeds import running_guest
from recorder.simulator.door import Door
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.truth import Truth
from recorder.simulator.values import Fault
from tests.attribution.people import PEOPLE, USERS, Act, Ideas, Person
from tests.truth.world import deterministic_scheduling, now_s

PASSWORD = "key of root"
UNDER_WAY_MAX = 8
"""Calls at a time: so few that most of them need not wait for each other."""
GUESTS_EVERY = 25
"""After so many calls, on average, a guest shuts down, reboots or crashes by itself."""
REST_S = 400.0
"""So long after the last call nothing is under way any more, and what HA does is done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a day is, and of what kind. All else comes from the seed."""

    seed: int
    calls: int = 200
    hosts: int = 2
    vms: int = 5
    speed: float = 0.3
    has_ha: bool = False
    late_s_max: float = 0.0
    forgers: bool = False
    has_restart: bool = False

    @classmethod
    def of(cls, seed: int, calls: int = 200) -> "Plan":
        """Return the plan of a seed: one in three pools has HA and loses a host.

        In every second one lines are out of order by milliseconds, in the others people lie. In one
        of five xapi restarts in the middle of it; another host is the master then, if there is one.
        """
        has_ha, late_s_max = seed % 3 == 0, 0.004 if seed % 2 else 0.0
        hosts = 3 if has_ha else 1 + seed % 2
        lies = seed % 2 == 0
        return cls(
            seed,
            calls,
            hosts,
            has_ha=has_ha,
            late_s_max=late_s_max,
            forgers=lies,
            has_restart=seed % 5 == 3,
        )

    @property
    def addresses(self) -> Sequence[str]:
        """Where its hosts answer, the first master first."""
        return [f"192.0.2.{number}" for number in range(11, 11 + self.hosts)]

    @property
    def spec(self) -> PoolSpec:
        """The pool that it is about."""
        return PoolSpec(
            hosts=self.hosts,
            vms=self.vms,
            seed=self.seed,
            speed=self.speed,
            password=PASSWORD,
            addresses=self.addresses,
            users=USERS,
            audit=XAPI_24_11 if self.seed % 4 == 1 else XAPI_25_32,
        )


@dataclass(slots=True)
class Day:
    """What a day left behind: the truth, and the lines of each host by its address.

    `epochs` has how many changes there were when somebody began to listen: first of all, and after
    each restart. From then on they have events with ids, which begin anew.
    """

    plan: Plan
    truth: Truth
    epochs: Sequence[int]
    lines: Mapping[str, Sequence[str]]
    bugs: Sequence[Exception]

    @property
    def begun(self) -> int:
        """How many changes there were when somebody began to listen."""
        return self.epochs[0]


@dataclass(slots=True)
class Pool:
    """A pool that runs, with everybody logged in."""

    plan: Plan
    simulated: SimulatedPool
    front: Front
    rng: random.Random
    hands: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(UNDER_WAY_MAX))
    sessions: list[str] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, plan: Plan) -> "Pool":
        """Return the pool of a plan, which does not run yet."""
        simulated = SimulatedPool.build(plan.spec, now_s=now_s)
        if plan.has_ha:
            protect(simulated)
        front = Front(simulated, now_s=now_s)
        front.trail.syslog.late_s_max = plan.late_s_max
        return cls(plan, simulated, front, random.Random(f"people of {plan.seed}"))

    def listen(self) -> None:
        """Let somebody listen, so that events have ids; nobody needs to read them."""
        self.simulated.hub.register("OpaqueRef:listener", ["*"])
        self.epochs.append(len(self.simulated.truth.changes))

    async def log_in(self, person: Person) -> str:
        """Open a session for somebody."""
        params: list[Sent] = [person.user, f"key of {person.user}", "1.0", f"client {person.user}"]
        call = Call("session.login_with_password", params)
        return str(await self.front.dispatcher.answer(call, self.door(person.address)))

    def door(self, client: str) -> Door:
        """Return the way in of a client, by a connection of its own."""
        address = self.front.dispatcher.master_address()
        peer, thread = f"HTTPS {client}", self.front.trail.thread()
        return Door(address, peer=peer, listener=":::80", thread=thread)

    async def act(self, act: Act) -> None:
        """Make a call; it may fail as well as succeed. A session that is lost is opened anew."""
        call = Call(act.method, [self.sessions[act.who], *act.args], act.headers)
        try:
            await self.front.dispatcher.answer(call, self.door(PEOPLE[act.who].address))
        except Fault as fault:
            if fault.code == "SESSION_INVALID":
                with suppress(Fault):  # Nobody is the master just now: at the next call, then.
                    self.sessions[act.who] = await self.log_in(PEOPLE[act.who])

    def restart(self) -> None:
        """Restart xapi; with a second host that one is the master from now on."""
        if len(self.simulated.hosts) > 1:
            self.front.move_master(self.simulated.hosts[1].ref)
        else:
            self.front.restart()
        self.listen()


async def work(pool: Pool) -> None:
    """Let people make all the calls of the plan, and the rest happen in between.

    The nursery holds the calls under way, at most UNDER_WAY_MAX, and guests that act.
    """
    ideas = Ideas(pool.simulated, pool.rng, forgers=pool.plan.forgers)
    plan = pool.plan
    made, falls_at = 0, plan.calls // 2 if plan.has_ha else -1
    restarts_at = plan.calls * 2 // 3 if plan.has_restart else -1
    async with trio.open_nursery() as nursery:
        while made < plan.calls:
            await trio.sleep(ideas.pause_s())
            for act in ideas.next():
                await trio.sleep(act.wait_s)
                await pool.hands.acquire_on_behalf_of(mark := object())
                nursery.start_soon(_with_a_hand, pool, mark, act)
                made += 1
                if made == falls_at:
                    nursery.start_soon(_lose_a_host, pool)
                if made == restarts_at:
                    pool.restart()
            if pool.rng.random() < 1 / GUESTS_EVERY:
                nursery.start_soon(_stir_a_guest, pool, pool.rng.random())


async def _with_a_hand(pool: Pool, mark: object, act: Act) -> None:
    try:
        await pool.act(act)
    finally:
        pool.hands.release_on_behalf_of(mark)


async def _stir_a_guest(pool: Pool, die: float) -> None:
    vm = running_guest(pool.simulated, pool.rng)
    acts = (guestpower.crash, guestpower.reboot, guestpower.shutdown)
    try:
        if vm is not None:
            await acts[int(die * len(acts))](pool.simulated.toolstack, vm)
    except Fault:
        return  # Somebody else was faster.


async def _lose_a_host(pool: Pool) -> None:
    """Let the last host fall, and come back when HA has started its VMs elsewhere."""
    host = pool.simulated.hosts[-1].ref
    pool.simulated.kill_host(host)
    await trio.sleep(120)
    pool.simulated.revive_host(host)


def protect(simulated: SimulatedPool) -> None:
    """Let HA start the VMs of a pool again when their host falls."""
    database = simulated.database
    database.write("pool", simulated.pool_ref, "ha_enabled", True)
    for vm in database.refs("VM"):
        if database.field("VM", vm, "is_a_template") is not True:
            database.write("VM", vm, "ha_restart_priority", "best-effort")


def spend(plan: Plan) -> Day:
    """Let a day pass in virtual time; the same plan gives the same day."""
    with deterministic_scheduling(plan.seed):
        return trio.run(partial(_spend, plan), clock=trio.testing.MockClock(autojump_threshold=0))


@cache
def day_of(seed: int) -> Day:
    """Return the day of a seed, which is spent once however many tests ask for it."""
    return spend(Plan.of(seed))


async def _spend(plan: Plan) -> Day:
    pool = Pool.of(plan)
    pool.listen()
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.front.run)
        pool.sessions += [await pool.log_in(person) for person in PEOPLE]
        await work(pool)
        await trio.sleep(REST_S)
        nursery.cancel_scope.cancel()
    files = pool.front.trail.files
    lines = {address: files(address).since("") for address in plan.addresses}
    return Day(plan, pool.simulated.truth, pool.epochs, lines, pool.simulated.bugs.seen)
