"""Somebody at work in a simulated pool, after a load: deeds at random times, and floods."""

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from .deeds import CALLS, CRASH, running_guest
from .guestpower import crash
from .load import Flood, Load
from .pool import SimulatedPool
from .values import NULL_REF, Fault, Value

CallAs = Callable[[str, Sequence[Value]], Awaitable[object]]
"""Calls a method with its arguments and raises Fault, as a client would see it."""

UNDER_WAY_MAX = 200
"""Deeds at a time: people have so many hands, and xapi refuses more than 100 that wait."""


async def stir(pool: SimulatedPool, rng: random.Random, *, per_minute: float) -> None:
    """Do ordinary things about `per_minute` times a minute, one after the other."""
    await drive(pool, Load(per_minute=per_minute), rng, hands_max=1)


async def drive(
    pool: SimulatedPool,
    load: Load,
    rng: random.Random,
    *,
    call: CallAs | None = None,
    hands_max: int = UNDER_WAY_MAX,
) -> None:
    """Do what a load says until cancelled; the same random source gives the same deeds and times.

    `call` is the client that does them (else they are done in the pool without a session). The
    nursery holds a child for each deed under way and one for each flood.
    """
    client = call or partial(_call_directly, pool)
    hands = trio.CapacityLimiter(hands_max)
    async with trio.open_nursery() as nursery:
        for flood in load.flood:
            nursery.start_soon(_flood, pool, flood)
        while load.per_minute > 0 and load.factor_max > 0:
            # Times of the busiest hour, thinned out to those of the hour that it is.
            await trio.sleep(rng.expovariate(load.per_minute * load.factor_max / 60.0))
            if rng.random() * load.factor_max < load.factor(pool.database.now_s()):
                kind = rng.choices(list(load.kinds), list(load.kinds.values()))[0]
                # The die is cast here and not in the child: its order would depend on trio.
                if (act := _chosen(pool, kind, rng, client)) is not None:
                    await hands.acquire_on_behalf_of(mark := object())
                    nursery.start_soon(_do, act, partial(_free, hands, mark))


def _chosen(
    pool: SimulatedPool, kind: str, rng: random.Random, client: CallAs
) -> Callable[[], Awaitable[object]] | None:
    """Return what to do for a kind, None if nothing fits."""
    if kind == CRASH:
        vm = running_guest(pool, rng)
        return None if vm is None else partial(crash, pool.toolstack, vm)
    deed = CALLS[kind](pool, rng)
    return None if deed is None else partial(client, deed.method, deed.args)


async def _do(act: Callable[[], Awaitable[object]], done: Callable[[], None]) -> None:
    try:
        await act()
    except Fault:
        # Another client was faster, or the hosts are full: people meet that too, and go on.
        return
    finally:
        done()


def _free(hands: trio.CapacityLimiter, mark: object) -> None:
    hands.release_on_behalf_of(mark)


async def _flood(pool: SimulatedPool, flood: Flood) -> None:
    await trio.sleep(flood.first_s)
    while True:
        pool.flood(flood.changes)
        await trio.sleep(flood.every_s)


async def _call_directly(pool: SimulatedPool, method: str, args: Sequence[Value]) -> None:
    cls, _, verb = method.partition(".")
    if method in pool.operations:
        await pool.call_operation(NULL_REF, method, args)
    else:
        await trio.lowlevel.checkpoint()
        pool.database.write(cls, str(args[0]), verb.removeprefix("set_"), args[1])
