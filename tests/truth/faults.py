"""What goes wrong in a simulated world: every few minutes something else, chosen by the seed."""

import trio

from tests.truth.world import World


async def disturb(one: World, name: str, *, times: int) -> None:
    """Disturb a pool and its network this many times, and leave it in peace in between."""
    front, pool = one.fronts[name], one.pools[name]

    async def silence() -> None:
        front.silence()
        await trio.sleep(200)
        front.speak()

    async def outage() -> None:
        one.unreachable.add(name)
        front.drop_connections()
        await trio.sleep(one.rng.uniform(1, 120))
        one.unreachable.discard(name)

    async def flood() -> None:
        pool.flood(3000)

    async def expire() -> None:
        front.sessions.expire_all()

    async def drop() -> None:
        front.drop_connections()

    for _ in range(times):
        await trio.sleep(one.rng.uniform(1, 600))
        await one.rng.choice([silence, outage, flood, expire, drop])()
