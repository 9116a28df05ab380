"""What `xentrail simulate` does: serve pools that are alive, and say where they are."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import trio

from .. import clock
from ..errors import ConfigError
from .activity import stir
from .inventory import PoolSpec
from .server import Served, Sockets, answer, listen


class Format(StrEnum):
    """How a pool is announced."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """The options of the command. `activity` is in operations per minute and pool, 0 for none."""

    port: int
    tls_port: int | None = None
    pools: int = 1
    hosts: int = 3
    vms: int = 10
    seed: int = 1
    password: str = field(default_factory=lambda: PoolSpec().password)
    speed: float = 1.0
    activity: float = 6.0
    format: Format = Format.TEXT


async def simulate(options: SimulateOptions, *, announce: Callable[[str], None]) -> None:
    """Serve pools until cancelled; `announce` gets a line a pool once they accept connections.

    The nursery holds the server with the pools, and an actor for each pool that changes something
    now and then; all end when cancelled. Raises ConfigError for options that contradict each other,
    TransportError if a port can't be had.
    """
    _check_ports(options)
    sockets = Sockets(port=options.port, tls_port=options.tls_port)
    listening = await listen(specs(options), sockets, now_s=_now_s)
    async with trio.open_nursery() as nursery:
        served = await nursery.start(partial(answer, listening))
        for pool in served:
            announce(announcement(pool, options.format))
        if options.activity > 0:
            for number, pool in enumerate(served):
                rng = random.Random(f"activity of {options.seed + number}")
                nursery.start_soon(partial(stir, pool.pool, rng, per_minute=options.activity))


def _now_s() -> float:
    return clock.wall_ns() / 1e9


def specs(options: SimulateOptions) -> list[PoolSpec]:
    """Return what each pool consists of; they differ in name and seed."""
    return [
        PoolSpec(
            name=f"pool-{number + 1}",
            hosts=options.hosts,
            vms=options.vms,
            seed=options.seed + number,
            password=options.password,
            speed=options.speed,
            keeps_truth=False,
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
    """Raise ConfigError where plain and TLS ports of several pools would meet."""
    if not options.port or not options.tls_port:
        return
    if abs(options.port - options.tls_port) < options.pools:
        raise ConfigError(
            f"--port {options.port} and --tls-port {options.tls_port} are too close for "
            f"{options.pools} pools, which take as many ports in a row: move one of them"
        )
