"""What it costs an idle pool to be recorded; by hand: `python -m tests.bench.idle_pool [MINUTES]`.

Simulated pools in which nothing happens are recorded in virtual time, one after the other. What
goes over the wire is counted by what was asked, requests and bytes both ways for each 10 s, once
the baseline is done; so are the changes that the questions themselves make, and the journal.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio
import trio.testing

from recorder.client.address import Address
from recorder.config import AuditTrail
from tests.truth.world import World, world

SETTLE_S = 60.0
"""By then the baseline is done, and the first census."""
PER_S = 10.0
MINUTES = 30
SIZES = ((1, 5), (3, 50), (16, 500))
"""Hosts and VMs of the pools."""


@dataclass
class Wire:
    """What went over all connections since the last `clear`, by what was asked."""

    requests: Counter[str] = field(default_factory=Counter)
    sent_bytes: Counter[str] = field(default_factory=Counter)
    received_bytes: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Begin to count anew."""
        for counter in (self.requests, self.sent_bytes, self.received_bytes):
            counter.clear()


class Counted(trio.abc.Stream):
    """A stream of the recorder that counts what goes over it, headers included.

    An answer is counted for the request that was sent last: there are never two at a time.
    """

    def __init__(self, inner: trio.abc.Stream, wire: Wire) -> None:
        self._inner = inner
        self._wire = wire
        self._asked = ""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; those that begin a request say what is asked."""
        text = bytes(data)
        if (asked := _asked(text)) is not None:
            self._asked = asked
            self._wire.requests[asked] += 1
        self._wire.sent_bytes[self._asked] += len(text)
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream inside."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive bytes and count them."""
        data = await self._inner.receive_some(max_bytes)
        self._wire.received_bytes[self._asked] += len(data)
        return data

    async def aclose(self) -> None:
        """Close the stream inside."""
        await self._inner.aclose()


def _asked(data: bytes) -> str | None:
    """Return the path or method that a request asks for, None if these bytes begin none."""
    head, _, body = data.partition(b"\r\n\r\n")
    verb, _, rest = head.partition(b" ")
    if verb == b"GET":
        return rest.partition(b" ")[0].partition(b"?")[0].decode()
    if verb != b"POST":
        return None
    try:
        return str(json.loads(body)["method"])
    except ValueError:
        return "POST"  # The body comes by itself.


async def _record(hosts: int, vms: int, minutes: int, data: Path) -> list[str]:
    """Record a pool for so long, and return what that was, line by line."""
    wire = Wire()
    async with world(1, data) as scene:
        scene.audit_trail = AuditTrail()
        addresses = [f"127.0.0.{number + 1}" for number in range(hosts)]
        pool = await scene.add_pool(
            "pool-1", vms=vms, hosts=hosts, per_minute=0.0, addresses=addresses
        )
        async with scene.recording(dial=partial(_dial, scene, wire)):
            await trio.sleep(SETTLE_S)
            wire.clear()
            journal, changes = _bytes_in(data / "journal"), len(pool.truth.changes)
            await trio.sleep(minutes * 60.0)
            asked = [*_told(wire, minutes)]
            made = len(pool.truth.changes) - changes
    tens = minutes * 60.0 / PER_S
    grown = (_bytes_in(data / "journal") - journal) / tens
    changed = f"{made / tens:.2f} changes in the pool"
    title = f"{hosts} hosts, {vms} VMs, for each {PER_S:g} s:"
    return [title, *asked, f"  {grown:.0f} bytes of journal, {changed}"]


async def _dial(scene: World, wire: Wire, address: Address) -> trio.abc.Stream:
    return Counted(await scene.dial(address), wire)


def _told(wire: Wire, minutes: int) -> Iterator[str]:
    tens = minutes * 60.0 / PER_S
    for asked, count in sorted(wire.requests.items()):
        sent, received = wire.sent_bytes[asked] / tens, wire.received_bytes[asked] / tens
        yield f"  {count / tens:6.2f} {asked:32} {sent:8.0f} bytes up {received:8.0f} down"


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print what is asked of pools of several sizes."""
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    for hosts, vms in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            clock = trio.testing.MockClock(autojump_threshold=0)
            lines = trio.run(_record, hosts, vms, minutes, Path(folder), clock=clock)
            sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
