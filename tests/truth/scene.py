"""The scene of a simulation: pools that live, the network, and the machine of the recorder.

Everything is in one trio loop, and everything that chance decides comes from one seed.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from recorder.config import AuditTrail, Config, Journal, Limits, Pool, Tls
from recorder.model import Stream
from recorder.simulator.activity import drive
from recorder.simulator.calls import Call, Result
from recorder.simulator.faults.effects import ClockJump
from recorder.simulator.faults.injector import Injector, Proceed
from recorder.simulator.faults.line import Line
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.load import Load
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.users import UserSpec
from recorder.simulator.values import Fault
from tests.truth.chronicle import Chronicle
from tests.truth.machine import Machine
from tests.truth.network import Network
from tests.truth.world import now_s

USER = "watcher"
PASSWORD = "the key of the watcher"

QUEUE_BYTES_MAX = 200_000
"""A small queue overflows as a large one does, after fewer events."""

KINDS = {"power": 5.0, "edit": 3.0, "migrate": 2.0, "snapshot": 0.5, "alert": 0.5, "crash": 0.3}
"""What happens in the pools; nothing is removed, so that what a server hides can be counted."""


CLASSES = {
    *("VBD", "VDI", "VIF", "VM", "VM_guest_metrics", "VM_metrics", "VIF_metrics", "console"),
    *("host", "host_metrics", "message", "pool", "task"),
}
"""The classes that change while people work, and one whose methods are gone."""

KEEP_DAYS = 0.1
"""So much is left of the journal of a simulation that lasts for days."""

STEADY = ("power", "edit", "migrate", "crash")
"""Kinds that leave as many objects as there were."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is recorded: how many pools, of how many hosts and VMs, over which stream.

    One that `lasts` for days does not grow: no snapshot is taken, the journal is kept short, and
    neither pools nor recorder are asked to write down what they did for the oracle. With `trail`
    the audit trail is collected as well, which takes half as long again. A `spec` describes the one
    pool instead; what records it is a user of its own.
    """

    pools: int = 1
    hosts: int = 2
    vms: int = 3
    per_minute: float = 5.0
    latency_s: float = 0.0
    stream: Stream = Stream.REGISTER
    lasts: bool = False
    trail: bool = False
    spec: PoolSpec | None = None


class Listener(Injector):
    """Notes which methods are called, and which of them the user was not permitted to call.

    It makes the server one of few classes: with all of them a simulation takes twice as long, and
    the two thousand roles, which never change, would be nine tenths of every journal.
    """

    def __init__(self, front: Front, chronicle: Chronicle) -> None:
        super().__init__(front)
        self._chronicle = chronicle

    async def answer(self, call: Call, address: str, line: Line, proceed: Proceed) -> Result:
        self._chronicle.calls[call.method] += 1
        try:
            result = await super().answer(call, address, line, proceed)
        except Fault as fault:
            if fault.code == "RBAC_PERMISSION_DENIED":
                self._chronicle.refused.append(call.method)
            raise
        return self._of_few_classes(result) if call.method == "system.listMethods" else result

    def _of_few_classes(self, methods: Result) -> Result:
        assert isinstance(methods, list)
        return [name for name in methods if str(name).partition(".")[0] in CLASSES]


class Site:
    """One pool with its front; people work in it while it is `busy`."""

    def __init__(self, scene: "Scene", number: int) -> None:
        shape, seed = scene.shape, scene.seed
        self.name = f"pool-{number}"
        self._chronicle = scene.chronicle
        self._stream = shape.stream
        self._rng = random.Random(f"people of {self.name} of {seed}")
        kinds = {kind: KINDS[kind] for kind in KINDS if kind in STEADY or not shape.lasts}
        self._load = Load(per_minute=shape.per_minute, kinds=kinds)
        spec = shape.spec or PoolSpec(
            name=self.name,
            hosts=shape.hosts,
            vms=shape.vms,
            seed=random.Random(f"{self.name} of {seed}").randrange(10**6),
            addresses=[f"127.0.{number}.{host + 1}" for host in range(shape.hosts)],
            users=(UserSpec(USER, PASSWORD, "read-only"),),
            queue_bytes_max=QUEUE_BYTES_MAX,
            keeps_truth=not shape.lasts,
        )
        self.pool = SimulatedPool.build(spec, now_s=now_s)
        self.front = Front(self.pool, now_s=now_s)
        self.front.faults = Listener(self.front, scene.chronicle)
        self.people = trio.CancelScope()
        for host in self.pool.hosts:
            scene.network.fronts[host.address] = self.front

    async def live(self) -> None:
        """Let people work in the pool until `people` is cancelled."""
        with self.people:
            await drive(self.pool, self._load, self._rng, hands_max=2)

    def jump(self, by_s: float) -> None:
        """Let the clock of the pool jump."""
        self.front.faults.act(ClockJump(by_s=by_s))
        steps = self._chronicle.server_steps.setdefault(self.name, [])
        steps.append((len(self.pool.truth.changes), by_s))

    @property
    def is_recorded(self) -> bool:
        """Whether nothing is missing: no gap is open, and the last change is in the journal.

        A stream of last states has no heartbeats: there the last change may be one that nobody is
        told of, and only the gaps can be seen from here.
        """
        if self._stream is Stream.FROM:
            return self.name in self._chronicle.live
        last = self.pool.truth.changes[-1]
        event = self._chronicle.last_events.get(self.name)
        return (
            self.name in self._chronicle.live
            and event is not None
            and (event.id, event.ref) == (last.event_id, last.ref)
        )


class Scene:
    """What `open_scene` opens."""

    def __init__(self, nursery: trio.Nursery, seed: int, shape: Shape) -> None:
        self.nursery = nursery
        self.seed = seed
        self.shape = shape
        self.chronicle = Chronicle()
        self.network = Network(nursery)
        self.network.latency_s = shape.latency_s
        self.sites = [Site(self, number) for number in range(1, shape.pools + 1)]
        config = Config(
            pools=tuple(map(self._pool_of, self.sites)),
            limits=Limits(segment_mib_max=1),
            journal=Journal(keep_days=KEEP_DAYS if shape.lasts else None),
        )
        self.machine = Machine(
            config,
            self.network,
            self.chronicle,
            seed=seed,
            password=PASSWORD,
            observed=not shape.lasts,
        )

    def _pool_of(self, site: Site) -> Pool:
        address = f"http://{site.pool.hosts[0].address}"
        # There is no TLS here; to read the authorities of the system takes longer than a baseline.
        tls, stream = Tls(verify=False), self.shape.stream
        return Pool(
            name=site.name,
            addresses=(address,),
            user=USER,
            tls=tls,
            stream=stream,
            audit_trail=AuditTrail(enabled=self.shape.trail),
        )


@asynccontextmanager
async def open_scene(seed: int, shape: Shape) -> AsyncIterator[Scene]:
    """Let pools live and a recorder record them; all of it ends with the context."""
    async with trio.open_nursery() as nursery:
        scene = Scene(nursery, seed, shape)
        for site in scene.sites:
            await nursery.start(site.front.run)
            nursery.start_soon(site.live)
        nursery.start_soon(scene.machine.run)
        yield scene
        nursery.cancel_scope.cancel()
