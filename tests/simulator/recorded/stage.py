"""A simulated pool that is asked over streams in memory, on a clock that jumps."""

from dataclasses import dataclass

import trio
import trio.testing

from recorder.simulator.front import Front
from recorder.simulator.pool import SimulatedPool

from .names import Names

ANSWER_S_MAX = 10.0
"""How long the recording waited for a reply that did not come."""


@dataclass(slots=True)
class Stage:
    """A pool, and what is called how in it; `subject` is a VM that came to be before it showed."""

    pool: SimulatedPool
    front: Front
    names: Names
    nursery: trio.Nursery
    subject: str = ""

    async def ask(self, request: bytes, *, patience_s: float = ANSWER_S_MAX) -> bytes:
        """Send a translated request and return the whole reply, nothing if none comes."""
        client, server = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.front.serve_stream, server)
        reply = b""
        with trio.move_on_after(patience_s):
            await client.send_all(self.names.request(request))
            async for data in client:
                reply += data
        return reply
