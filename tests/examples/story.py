"""One night of a pool, the same in every run: what the examples of the README are asked about.

A pool of three hosts, 2026-11-23 in UTC: a VM is moved and restarted, a start is refused, a
description changes, and for ninety seconds the cable is out while somebody works on. At the end a
workload starts a VM and lets two swap their hosts.
"""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from recorder.client.address import Address
from recorder.client.session import Credentials, Session, open_session
from recorder.client.tls import TlsPolicy
from recorder.config import AuditTrail
from recorder.threads import inline
from recorder.xapi.jsonrpc import Param
from tests.daemon.clients import connected
from tests.truth.world import World, deterministic_scheduling, now_s, world

POOL = "lab"
NAMES = ("web1", "web2", "db1", "mail1")
WORKLOAD = """name = "morning start"
[[steps]]
kind = "start_async"
vms = { names = ["web1"] }
[[steps]]
kind = "permute"
vms = { names = ["web*"] }
"""
BEGINS_S = 1_795_402_800.0  # 2026-11-23T03:00:00Z
ENDS_NS = 1_795_406_400 * 10**9  # an hour later: the `now` of the examples


def tell(data: Path) -> None:
    """Record the night into `data`."""
    with deterministic_scheduling(1):
        trio.run(_night, data, clock=trio.testing.MockClock(autojump_threshold=0))


async def _night(data: Path) -> None:
    await trio.sleep(BEGINS_S - now_s())
    async with world(1, data) as one:
        one.audit_trail = AuditTrail()
        await one.add_pool(POOL, vms=len(NAMES), per_minute=0)
        async with _operator(one) as session:
            vms = await _name_vms(session)
        cable = Cable(one)
        async with one.recording(dial=cable.dial):
            await _until("03:05")
            async with _operator(one) as session:
                await _evening(session, vms)
            await _until("03:20")
            await cable.pull()
            async with _operator(one) as session:
                await session.call("VM.set_name_label", vms["mail1"], "mail", returns=str)
                await _until("03:21")
                cable.is_out = False
                await _until("03:30")
                await _finished(session, "Async.VM.clean_shutdown", vms["web1"])
            await _until("03:41")
            await _run(data)
            await _until("03:45")


class Cable:
    """The recorder's way to the pool, which can be out while others still have theirs."""

    def __init__(self, one: World) -> None:
        self._world = one
        self.is_out = False

    async def dial(self, address: Address) -> trio.abc.Stream:
        """Open a stream. Raises OSError while the cable is out."""
        if self.is_out:
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
        return await self._world.dial(address)

    async def pull(self) -> None:
        """Cut what is open, and let nothing new through."""
        self.is_out = True
        self._world.fronts[POOL].drop_connections()
        await trio.sleep(1)


async def _evening(session: Session, vms: dict[str, str]) -> None:
    """What is done before the cable is out, in order."""
    hosts = await session.call("host.get_all", returns=list[str])
    await _finished(session, "Async.VM.start", vms["web1"], False, False)
    await _until("03:10")
    here = await session.call("VM.get_resident_on", vms["web1"], returns=str)
    there = next(host for host in hosts if host != here)
    await _finished(session, "Async.VM.pool_migrate", vms["web1"], there, {"live": "true"})
    await _until("03:12")
    await _finished(session, "Async.VM.start", vms["web1"], False, False)
    await _until("03:14")
    description = "moved to the new cluster"
    await session.call("VM.set_name_description", vms["db1"], description, returns=str)


async def _run(data: Path) -> None:
    """Let the recorder run a workload, to its end."""
    async with connected(data) as client:
        await client.send({"command": "run", "pool": POOL, "script": WORKLOAD})
        while await client.line() is not None:
            pass


@asynccontextmanager
async def _operator(one: World) -> AsyncIterator[Session]:
    credentials = Credentials("root", one.pools[POOL].spec.password)
    address = Address.parse("http://127.0.0.1:1")
    async with open_session(
        [address], TlsPolicy(), credentials, dial=one.dial, run_sync=inline
    ) as session:
        yield session


async def _name_vms(session: Session) -> dict[str, str]:
    """Give the VMs the names of the story, halted ones first; return their references by name."""
    found = []
    for vm in await session.call("VM.get_all", returns=list[str]):
        template = await session.call("VM.get_is_a_template", vm, returns=bool)
        domain = await session.call("VM.get_is_control_domain", vm, returns=bool)
        if not (template or domain):
            found.append((await session.call("VM.get_power_state", vm, returns=str), vm))
    named = dict(zip(NAMES, (vm for _, vm in sorted(found)), strict=True))
    for name, vm in named.items():
        await session.call("VM.set_name_label", vm, name, returns=str)
    return named


async def _finished(session: Session, method: str, *params: Param) -> None:
    task = await session.call(method, *params, returns=str)
    while True:
        if await session.call("task.get_status", task, returns=str) != "pending":
            return
        await trio.sleep(1)


async def _until(clock: str) -> None:
    hours, minutes = map(int, clock.split(":"))
    await trio.sleep(BEGINS_S + (hours - 3) * 3600 + minutes * 60 - now_s())
