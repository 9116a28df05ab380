"""What `xentrail simulate` does: serve pools that are alive, and say where they are."""

import json
import random
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec
import trio

from .. import clock
from ..errors import ConfigError
from . import control
from .activity import drive
from .faults.injector import install
from .faults.rule import Plan
from .image import PoolImage
from .inventory import PoolSpec
from .load import Load
from .presets import Counts
from .server import Listening, Served, Sockets, answer, listen
from .users import UserSpec

PORT_MAX = 65_535


class Format(StrEnum):
    """How a pool is announced."""

    TEXT = "text"
    JSON = "json"


class SimulateOptions(msgspec.Struct, frozen=True):
    """The options of the command.

    With an image that pool is served, and neither `pools` nor `counts` matter; `rewrite_addresses`
    makes its hosts tell where they answer instead of where they did in life. `speed` scales how
    long operations take. `control` is where the socket for commands is to be; `users` may log in
    besides root.
    """

    port: int
    tls_port: int | None = None
    pools: int = 1
    counts: Counts = msgspec.field(default_factory=Counts)
    seed: int = 1
    password: str = msgspec.field(default_factory=lambda: PoolSpec().password)
    speed: float = 1.0
    load: Load = msgspec.field(default_factory=Load)
    faults: Plan | None = None
    control: Path | None = None
    format: Format = Format.TEXT
    image: PoolImage | None = None
    rewrite_addresses: bool = False
    users: Sequence[UserSpec] = ()

    @property
    def pool_count(self) -> int:
        """The number of pools that are served."""
        return self.pools if self.image is None else 1


async def simulate(options: SimulateOptions, *, announce: Callable[[str], None]) -> None:
    """Serve pools until cancelled; `announce` gets a line a pool once they accept connections.

    The nursery holds the server with the pools, the socket for commands, and an actor for each pool
    that changes something now and then; all end when cancelled. Raises ConfigError for options that
    contradict each other, TransportError if a port can't be had.
    """
    _check_ports(options)
    sockets = Sockets(port=options.port, tls_port=options.tls_port)
    listening = await listen(specs(options), sockets, now_s=_now_s)
    await _install_faults(options.faults, listening)
    async with trio.open_nursery() as nursery:
        served = await nursery.start(partial(answer, listening))
        if options.control is not None:
            fronts = {pool.name: pool.front for pool in served}
            await nursery.start(control.attend, options.control, fronts)
        for pool in served:
            announce(announcement(pool, options.format))
        for number, pool in enumerate(served):
            rng = random.Random(f"activity of {options.seed + number}")
            client = pool.front.insider()
            nursery.start_soon(partial(drive, pool.pool, options.load, rng, call=client))


async def _install_faults(plan: Plan | None, listening: list[Listening]) -> None:
    """Put the rules in force before the first call. Raises ConfigError; no socket stays open."""
    try:
        if plan is not None:
            install(plan, {pool.served.name: pool.served.front.faults for pool in listening})
    except ConfigError:
        for pool in listening:
            await pool.close()
        raise


def _now_s() -> float:
    return clock.wall_ns() / 1e9


def specs(options: SimulateOptions) -> list[PoolSpec]:
    """Return what each pool consists of; made-up ones differ in name and seed."""
    if options.image is not None:
        return [
            PoolSpec(
                name=options.image.name,
                seed=options.seed,
                password=options.password,
                speed=options.speed,
                keeps_truth=False,
                image=options.image,
                rewrites_addresses=options.rewrite_addresses,
                users=options.users,
            )
        ]
    return [
        PoolSpec(
            name=f"pool-{number + 1}",
            seed=options.seed + number,
            password=options.password,
            speed=options.speed,
            keeps_truth=False,
            users=options.users,
            hosts=options.counts.hosts,
            vms=options.counts.vms,
            storage=options.counts.storage,
            networks=options.counts.networks,
            disks=options.counts.disks,
            interfaces=options.counts.interfaces,
            snapshots=options.counts.snapshots,
        )
        for number in range(options.pools)
    ]


def announcement(served: Served, form: Format) -> str:
    """Return the line that tells a person or a program where a pool is."""
    if form is Format.JSON:
        return json.dumps(
            {
                "pool": served.name,
                "url": served.url,
                "tls_url": served.tls_url,
                "members": list(served.members),
                "user": served.user,
                "password": served.password,
                "fingerprint": served.certificate.fingerprint if served.tls_url else None,
            }
        )
    words = [f"{served.name} at {served.url}"]
    if served.tls_url:
        words.append(f"and {served.tls_url} (SHA-256 {served.certificate.fingerprint})")
    if served.members:
        words.append(f"with members {', '.join(served.members)}")
    words.append(f"user {served.user}, password {served.password}")
    return ", ".join(words)


def _check_ports(options: SimulateOptions) -> None:
    """Raise ConfigError where pools would need a port that there is not, or one for two."""
    count = options.pool_count
    for option, port in (("--port", options.port), ("--tls-port", options.tls_port)):
        if port and port + count - 1 > PORT_MAX:
            raise ConfigError(
                f"{option} {port}: {count} pools take as many ports in a row, and {PORT_MAX} is "
                "the last one: choose a lower one"
            )
    if options.port and options.port == options.tls_port:
        raise ConfigError(f"--port and --tls-port are both {options.port}: move one of them")
    if options.port and options.tls_port and abs(options.port - options.tls_port) < count:
        raise ConfigError(
            f"--port {options.port} and --tls-port {options.tls_port} are too close for "
            f"{count} pools, which take as many ports in a row: move one of them"
        )
