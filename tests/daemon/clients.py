"""Clients of the control socket of a recorder in this process, for the tests of it."""

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from recorder.control import endpoint
from tests.watch.scripted import ScriptedPool, Stage, stage

Json = dict[str, object]

WAIT_S_MAX = 1000.0
"""Of virtual time: an answer that never comes is a failure, not a test that hangs."""


@asynccontextmanager
async def controlled(data: Path, *names: str) -> AsyncIterator[Stage]:
    """Record scripted pools, with a control socket."""
    async with stage(data, {name: ScriptedPool() for name in names or ("lab",)}) as one:
        one.listen = endpoint.listen
        async with one.recording():
            await trio.sleep(1)
            yield one


@dataclass
class Client:
    """One connection."""

    stream: trio.SocketStream
    _lines: deque[bytes] = field(default_factory=deque)
    _begun: bytes = b""

    async def send(self, request: bytes | Json) -> None:
        line = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        await self.stream.send_all(line)

    async def line(self) -> Json | None:
        """Return the next line, None at the end of the connection."""
        while not self._lines:
            with trio.fail_after(WAIT_S_MAX):
                piece = await self.stream.receive_some(1_000_000)
            if not piece:
                assert not self._begun, "the connection ended in the middle of a line"
                return None
            *ended, self._begun = (self._begun + piece).split(b"\n")
            self._lines += ended
        told: Json = json.loads(self._lines.popleft())
        return told

    async def rest(self) -> list[Json]:
        """Return all lines up to the end of the connection."""
        told = []
        while (line := await self.line()) is not None:
            told.append(line)
        return told


@asynccontextmanager
async def connected(data: Path) -> AsyncIterator[Client]:
    """Connect to the recorder of a data folder."""
    plain = endpoint.connect(data, timeout_s=1)
    plain.setblocking(False)
    async with trio.SocketStream(trio.socket.from_stdlib_socket(plain)) as stream:
        yield Client(stream)


async def ask(data: Path, request: bytes | Json) -> Json:
    """Return the one line that answers a request."""
    async with connected(data) as client:
        await client.send(request)
        answer = await client.line()
        assert answer is not None
        assert await client.line() is None
        assert answer["protocol"] == 1
        return answer


async def status(data: Path) -> Json:
    """Return a status."""
    told = (await ask(data, {"command": "status"}))["status"]
    assert isinstance(told, dict)
    return told


async def recorder_status(data: Path) -> dict[str, int]:
    """Return the status of the recorder itself, of which tests look at numbers."""
    told = (await status(data))["recorder"]
    assert isinstance(told, dict)
    return told


async def pool_status(data: Path, name: str = "lab") -> Json:
    """Return the status of one pool."""
    pools = (await status(data))["pools"]
    assert isinstance(pools, list)
    (found,) = [pool for pool in pools if pool["pool"] == name]
    assert isinstance(found, dict)
    return found


async def refusal(data: Path, request: bytes | Json) -> tuple[str, list[str]]:
    """Return name and texts of an error."""
    error = (await ask(data, request))["error"]
    assert isinstance(error, dict)
    return error["name"], error["texts"]


@asynccontextmanager
async def following(data: Path, **wanted: object) -> AsyncIterator[Client]:
    """Follow for the length of the context."""
    async with connected(data) as client:
        await client.send({"command": "follow", **wanted})
        first = await client.line()
        assert first is not None
        assert "following" in first, first
        yield client
