"""The network of a simulation: every host has an address, every machine a cable that may be cut."""

from collections.abc import Callable
from functools import partial

import trio
import trio.testing

from recorder.client.address import Address
from recorder.simulator.front import Front


async def until(holds: Callable[[], bool], *, every_s: float = 1.0) -> None:
    """Look again and again, in virtual time, until something holds."""
    while not holds():  # noqa: ASYNC110 - the simulator tells nobody of what is looked for here
        await trio.sleep(every_s)


class Network:
    """Hosts by address. Bytes arrive `latency_s` late; while it is `cut`, none arrive at all."""

    def __init__(self, nursery: trio.Nursery) -> None:
        """`nursery` holds one server a connection."""
        self.nursery = nursery
        self.fronts: dict[str, Front] = {}
        self.latency_s = 0.0
        self._whole = trio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Let every packet vanish until `mend`."""
        if self._whole.is_set():
            self._whole = trio.Event()

    def mend(self) -> None:
        """Let packets through again; what was on its way arrives late."""
        self._whole.set()

    async def passage(self) -> None:
        """Wait until a packet can get through."""
        await self._whole.wait()

    def serve(self, address: str, stream: trio.abc.Stream) -> None:
        """Let the host with this address serve a connection."""
        front = self.fronts[address]
        self.nursery.start_soon(partial(front.serve_stream, stream, address=address))


class Cable:
    """What connects one run of the recorder: once it is pulled, nobody hears of it any more."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.pulled = False

    async def dial(self, address: Address) -> trio.abc.Stream:
        """Open a stream to the host with this address; it is what a transport takes for sockets."""
        await self.network.passage()
        if self.pulled:
            await trio.sleep_forever()
        if address.host not in self.network.fronts:
            raise OSError("no route to host")
        client, server = trio.testing.memory_stream_pair()
        self.network.serve(address.host, server)
        return Wire(client, self)


class Wire(trio.abc.Stream):
    """The recorder's end of a connection."""

    def __init__(self, near: trio.abc.Stream, cable: Cable) -> None:
        self._near = near
        self._cable = cable

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self._cable.pulled:
            raise trio.BrokenResourceError
        await self._cable.network.passage()
        await self._near.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._near.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._near.receive_some(max_bytes)
        network = self._cable.network
        if network.latency_s:
            await trio.sleep(network.latency_s)
        await network.passage()
        return data

    async def aclose(self) -> None:
        if not self._cable.pulled:  # A machine without power says no good-bye.
            await self._near.aclose()
