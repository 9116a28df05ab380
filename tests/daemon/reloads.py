"""A recorder whose configuration can be written anew, for the tests of reloads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio
import trio.testing

from recorder.config import Config, Reading
from recorder.control import endpoint
from recorder.model import GapOpened
from tests.daemon.clients import Json, ask, pool_status, status
from tests.watch.scripted import ScriptedPool, Stage, stage


@dataclass
class Written:
    """What the configuration file says when it is read again."""

    config: Config
    mistakes: tuple[str, ...] = ()
    reads: list[float] = field(default_factory=list)

    def read(self) -> Reading:
        self.reads.append(trio.current_time())
        return Reading(self.config, self.mistakes)

    def change(self, name: str, **fields: object) -> None:
        """Write other values into the table of one pool."""
        pools = [
            msgspec.structs.replace(pool, **fields) if pool.name == name else pool
            for pool in self.config.pools
        ]
        self.config = msgspec.structs.replace(self.config, pools=tuple(pools))


@asynccontextmanager
async def reloadable(data: Path, *names: str) -> AsyncIterator[tuple[Stage, Written]]:
    """Record some of three pools, kept, other and third; give what the file says."""
    async with stage(data, {name: ScriptedPool() for name in ("kept", "other", "third")}) as one:
        written = Written(one.config(*names))
        one.listen, one.reread = endpoint.listen, written.read
        async with one.recording(*names):
            await trio.sleep(5)
            yield one, written


async def reload(data: Path) -> tuple[dict[str, str], list[str]]:
    """Reload; return what was done with each pool, and what needs a restart."""
    told = (await ask(data, {"command": "reload"}))["reload"]
    assert isinstance(told, dict)
    return {one["pool"]: one["action"] for one in told["pools"]}, told["needs_restart"]


async def names(data: Path) -> list[str]:
    pools = (await status(data))["pools"]
    assert isinstance(pools, list)
    return [pool["pool"] for pool in pools]


async def check_kept(one: Stage, before: Json) -> None:
    """The pool `kept` is in the session and the epoch that it was in, and live."""
    after = await pool_status(one.data, "kept")
    assert (after["epoch"], after["connected_at"]) == (before["epoch"], before["connected_at"])
    assert after["state"] == "live"
    assert one.pools["kept"].count("session.login_with_password") == 1
    assert one.bodies(GapOpened, "kept") == []
