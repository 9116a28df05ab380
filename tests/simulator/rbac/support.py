"""A small pool with users, called without a network; audit lines without what always differs."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from recorder.simulator.audit import XAPI_25_32, AuditHabits
from recorder.simulator.calls import Call, Result, Sent
from recorder.simulator.dispatch import Dispatcher, Door
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.users import UserSpec
from recorder.simulator.values import Fault

GOLDEN = Path(__file__).parents[2] / "golden" / "simulator" / "audit"
PASSWORD = "xenroot"
READER, OPERATOR = "EXAMPLE\\ro-user", "operator"
USERS = (
    UserSpec(READER, "reads", "read-only"),
    UserSpec(OPERATOR, "operates", "vm-operator"),
    UserSpec("poolop", "pools", "pool-operator"),
    UserSpec("stranger", "strange"),
)
PASSWORDS = {user.name: user.password for user in USERS} | {"root": PASSWORD}
NOW_S = 1_795_454_014.25
MASTER = Door("127.0.0.1", listener="127.0.0.1:8290", thread=80)
MEMBER = Door("127.0.0.2")
_REF = re.compile(r"OpaqueRef:[0-9a-f-]{36}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Bench:
    """A pool that runs, and ways to call it."""

    def __init__(self, pool: SimulatedPool, front: Front, dispatcher: Dispatcher) -> None:
        self.pool = pool
        self.sessions = front.sessions
        self.database = pool.database
        self.dispatcher = dispatcher
        self.root = self.login("root")

    def login(self, user: str, originator: str = "tests") -> str:
        """Open a session without a call."""
        return self.sessions.login(user, PASSWORDS[user], originator=originator, trusted=False)

    async def call(
        self,
        method: str,
        *params: Sent,
        session: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Result:
        """Call a method with a session, root's if there is no other."""
        own = [self.root if session is None else session]
        return await self.raw(method, *own, *params, headers=headers)

    async def raw(
        self,
        method: str,
        *params: Sent,
        door: Door = MASTER,
        headers: Mapping[str, str] | None = None,
    ) -> Result:
        """Call a method with exactly these parameters."""
        return await self.dispatcher.answer(Call(method, list(params), headers or {}), door)

    async def fault(self, method: str, *params: Sent, session: str | None = None) -> list[str]:
        """Call a method that fails and return its error."""
        with pytest.raises(Fault) as error:
            await self.call(method, *params, session=session)
        return [error.value.code, *error.value.params]

    async def finished(self, task: Result) -> dict[str, object]:
        """Wait for a task and return its record."""
        assert isinstance(task, str)
        await self.pool.tasks.ended(task).wait()
        return {**self.database.record("task", task)}

    def vm(self, name: str) -> str:
        """Return a VM by its name."""
        (vm,) = self.database.find("VM", "name_label", name)
        return vm

    def lines(self, address: str = "127.0.0.1") -> list[str]:
        """Return what has been written, without the prefix of syslog."""
        files = self.dispatcher.trail.files(address)
        return [line[line.index("[") :] for line in files.since("")]


@asynccontextmanager
async def a_bench(
    *, hosts: int = 1, vms: int = 3, audit: AuditHabits = XAPI_25_32
) -> AsyncIterator[Bench]:
    """A pool in which everything takes no time; it ends with the block."""
    spec = PoolSpec(
        hosts=hosts,
        vms=vms,
        speed=0.0,
        password=PASSWORD,
        addresses=("127.0.0.1", "127.0.0.2"),
        users=USERS,
        audit=audit,
    )
    pool = SimulatedPool.build(spec, now_s=lambda: NOW_S)
    front = Front(pool, now_s=lambda: NOW_S)
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        yield Bench(pool, front, Dispatcher(pool, front.sessions, now_s=lambda: NOW_S))
        nursery.cancel_scope.cancel()


def comparable(lines: list[str]) -> list[str]:
    """Return lines without times, threads, ports and digests; objects are numbered as they come."""
    known: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return known.setdefault(found[0], f"#{len(known)}")

    plain = []
    for line in lines:
        text = re.sub(r"^\[[^|]+\|audit\|\|\d+ ", "[", line)
        text = text.replace("127.0.0.1:8190", "127.0.0.1:8290")
        text = re.sub(r" ([RD]):[0-9a-f]{12}\|audit\]", r" \1:|audit]", text)
        text = re.sub(r"trackid=[0-9a-f]{32}", "trackid=", text)
        text = re.sub(r"'S-1-5-21-[0-9-]+'", "'S-1-5-21'", text)
        plain.append(_UUID.sub(number, _REF.sub(number, text)))
    return plain
