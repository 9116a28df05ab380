"""All requests of a recording, put again to a pool that was set up alike."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

from .deeds import DEEDS, ENDS_WHILE_BLOCKED
from .names import Names
from .recordings import Exchange, exchange, read
from .setting import setting_of
from .stage import Stage

NOW_S = 1_795_452_672.0
FIRST_STAMP = 59
"""The generation of the first write that the recording made: its login."""
PASSWORD = "xenroot"
"""The password in the recorded requests; it opens nothing but a simulated pool."""


@dataclass(frozen=True, slots=True)
class Played:
    """An exchange, and our reply to the same request; both are in our names."""

    exchange: Exchange
    theirs: bytes
    ours: bytes


async def stage_for(
    folder: str, nursery: trio.Nursery, *, first: str, next_stamp: int, speed: float = 0.0
) -> Stage:
    """Build the pool of a recording and let it run in the nursery; its time passes as trio's does.

    `first` and `next_stamp` are those of `setting_of`.
    """
    begun = trio.current_time()

    def now_s() -> float:
        return NOW_S + trio.current_time() - begun

    setting = setting_of(folder, first=first, next_stamp=next_stamp)
    spec = PoolSpec(image=setting.image, password=PASSWORD, speed=speed)
    pool = SimulatedPool.build(spec, now_s=now_s)
    setting.stamp(pool.database)
    front = Front(pool, now_s=now_s)
    await nursery.start(front.run)
    known = b"".join(
        repr((ref, row.record)).encode()
        for table in pool.hub.rows.tables.values()
        for ref, row in table.rows.items()
    )
    return Stage(pool, front, Names(known), nursery)


async def play(stage: Stage, exchanges: Sequence[Exchange]) -> AsyncIterator[Played]:
    """Put the requests in their order and yield what came of each."""
    for item in exchanges:
        if item.number in DEEDS:
            DEEDS[item.number](stage)
        if item.number in ENDS_WHILE_BLOCKED:
            reply = await _ask_and_end(stage, item)
        else:
            reply = await stage.ask(item.request)
        yield played_of(stage, item, reply)


def played_of(stage: Stage, item: Exchange, reply: bytes) -> Played:
    """Say a reply and the recorded one in our names, of which some may be new."""
    if not item.method.startswith("role."):  # Those have the same names everywhere.
        stage.names.learn(item.reply, reply)
    theirs = stage.names.undated(stage.names.translate(item.reply))
    return Played(item, theirs, stage.names.undated(reply))


async def replay(folder: str) -> tuple[list[Played], Names]:
    """Return what comes of every request of `v25.32.0` or `v24.11.0`."""
    async with trio.open_nursery() as nursery:
        first = exchange(folder, "json2-event.from-empty-token-all").name
        stage = await stage_for(folder, nursery, first=first, next_stamp=FIRST_STAMP)
        (stage.subject,) = {
            ref.decode()
            for ref in _refs(exchange(folder, "-json2-get_record-VM").request)
            if ref.decode() != exchange(folder, "-json2-get_record-VM").session
        }
        played = [item async for item in play(stage, read(folder))]
        nursery.cancel_scope.cancel()
    return played, stage.names


def _refs(request: bytes) -> list[bytes]:
    return [word for word in request.split(b'"') if word.startswith(b"OpaqueRef:")]


async def _ask_and_end(stage: Stage, item: Exchange) -> bytes:
    replies: list[bytes] = []

    async def ask() -> None:
        replies.append(await stage.ask(item.request))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.sleep(0.1)
        ours = stage.names.translate(item.session.encode()).decode()
        stage.front.sessions.expire(ours)
    return replies[0]
