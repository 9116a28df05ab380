"""What the tests of hosts share: a pool at rest, calls, and a network side that listens."""

from collections.abc import Sequence

import pytest
import trio

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Fault, Value, text_of, texts_of

from .support import a_pool

SESSION = "OpaqueRef:session"


class Listener:
    """A network side that only writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def toolstack_restarted(self) -> None:
        """Write it down."""
        self.heard.append("restarted")

    def master_moved(self) -> None:
        """Write it down."""
        self.heard.append("moved")

    def host_down(self, host: str) -> None:
        """Write it down."""
        self.heard.append(f"down {host}")

    def host_up(self, host: str) -> None:
        """Write it down."""
        self.heard.append(f"up {host}")


async def fault_of(pool: SimulatedPool, method: str, args: Sequence[Value]) -> list[str]:
    """What a call fails with: code and parameters."""
    with pytest.raises(Fault) as raised:
        await pool.call_operation(SESSION, method, args)
    return [raised.value.code, *raised.value.params]


async def do(pool: SimulatedPool, method: str, *args: Value) -> Value:
    """Call an operation to its end."""
    return await pool.call_operation(SESSION, method, list(args))


def live(pool: SimulatedPool, host: str) -> Value:
    """What the pool thinks of a host."""
    metrics = text_of(pool.database.record("host", host), "metrics")
    return pool.database.field("host_metrics", metrics, "live")


def guests(pool: SimulatedPool, host: str) -> list[str]:
    """The VMs on a host but its control domain."""
    residents = texts_of(pool.database.record("host", host), "resident_VMs")
    return [vm for vm in residents if not pool.database.field("VM", vm, "is_control_domain")]


async def a_settled_pool(nursery: trio.Nursery) -> SimulatedPool:
    """A running pool: three hosts with ten VMs, whose monitoring has settled."""
    made = a_pool(PoolSpec())
    await nursery.start(made.run)
    await trio.sleep(10)
    return made


def messages(pool: SimulatedPool) -> list[str]:
    """The names of all messages, oldest first."""
    database = pool.database
    return [str(database.field("message", ref, "name")) for ref in database.refs("message")]
