"""Operations that were never recorded write in the order of xapi's source, frozen as listings.

Where the order comes from: message_forwarding.ml (what is marked, what comes before and after),
xapi_vm.ml (what is written first), xapi_xenops.ml (what is written when a domain comes, goes,
moves, pauses), xapi_guest_agent.ml (a guest's report). The VM has a disk, an interface and an
agent. What happens to disks and SRs themselves is left out (tests of storage), and so is what the
monitoring of hosts sees meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest
import trio

from recorder.simulator import guestpower
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.toolstack import Toolstack
from recorder.simulator.values import NULL_REF, Value
from tests.simulator.core.listings import Narrator, golden
from tests.simulator.core.support import a_pool, vm_named

SESSION = "OpaqueRef:s"
DEDUCED = golden("deduced")

_LEFT_OUT = ("sr#", "vdi#", "host_metrics#", "pool#")
_AGENT_S = 7.0
_POWER: Mapping[str, Callable[[Toolstack, str], Awaitable[str]]] = {
    "guest crash": guestpower.crash,
    "guest reboot": guestpower.reboot,
    "guest shutdown": guestpower.shutdown,
}


def _steps(vm: str, hosts: Sequence[str]) -> Sequence[tuple[str, str, list[Value]]]:
    """Return name, method and arguments of each step; together they are the life of a VM."""
    return (
        ("VM.pool_migrate", "VM.pool_migrate", [vm, hosts[1], {"live": "true"}]),
        ("VM.pause", "VM.pause", [vm]),
        ("VM.unpause", "VM.unpause", [vm]),
        ("VM.clean_reboot", "VM.clean_reboot", [vm]),
        ("agent report", "", []),
        ("VM.hard_reboot", "VM.hard_reboot", [vm]),
        ("", "", []),
        ("VM.suspend", "VM.suspend", [vm]),
        ("VM.resume", "VM.resume", [vm, False, False]),
        ("", "VM.suspend", [vm]),
        ("VM.hard_shutdown of a suspended VM", "VM.hard_shutdown", [vm]),
        ("VM.start_on paused", "VM.start_on", [vm, hosts[0], True, False]),
        ("", "VM.unpause", [vm]),
        ("", "", []),
        ("VM.clean_shutdown", "VM.clean_shutdown", [vm]),
        ("VM.clone", "VM.clone", [vm, "clone"]),
        ("", "VM.copy", [vm, "copy", NULL_REF]),
        ("VM.start", "VM.start", [vm, False, False]),
        ("", "", []),
        ("VM.hard_shutdown", "VM.hard_shutdown", [vm]),
        ("", "VM.start", [vm, False, False]),
        ("", "", []),
        ("guest crash", "", []),
        ("", "", []),
        ("guest reboot", "", []),
        ("", "", []),
        ("guest shutdown", "", []),
    )


async def _do(pool: SimulatedPool, vm: str, name: str, method: str, args: list[Value]) -> None:
    if method:
        await pool.call_operation(SESSION, method, args)
    elif name in _POWER:
        await _POWER[name](pool.toolstack, vm)
    else:
        await trio.sleep(_AGENT_S)


async def lives(pool: SimulatedPool) -> Mapping[str, list[str]]:
    """Lead a VM through all steps; returns what each of the named ones told."""
    vm = vm_named(pool, "vm-001")
    for vdi in pool.database.refs("VDI"):
        pool.database.write("VDI", vdi, "managed", True)
    told: dict[str, list[str]] = {}
    for number, step in enumerate(_steps(vm, [host.ref for host in pool.hosts])):
        pool.hub.register(SESSION, ["*"])
        narrator = Narrator(pool)
        await _do(pool, vm, *step)
        # Even a step that tells nothing must end: the listener never gets an empty answer.
        pool.database.write("pool", pool.pool_ref, "name_description", f"step {number}")
        lines = narrator.tell(await pool.hub.next(SESSION))
        told[step[0]] = [line for line in lines if not line.startswith(_LEFT_OUT)]
    told.pop("")
    return told


async def test_unrecorded_operations_write_in_the_order_of_the_source(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Migration, pause, reboots, suspend, resume, shutdowns, copies, and guests by themselves."""
    pool = a_pool()
    await nursery.start(pool.run)
    told = await lives(pool)
    assert told.keys() == DEDUCED.keys()
    for name, lines in told.items():
        assert (name, lines) == (name, DEDUCED[name])


@pytest.mark.parametrize("name", sorted(DEDUCED))
def test_deduced_listing_keeps_what_was_recorded_of_all_operations(name: str) -> None:
    """A VM's operation is shown first and taken back last, each time with what is allowed then."""
    lines = [line for line in DEDUCED[name] if line.startswith("vm#1 ")]
    if not name.startswith("VM."):
        assert not any("current_operations" in line for line in lines)
        return
    assert lines[0].startswith("vm#1 current_operations={")
    assert lines[1].startswith("vm#1 allowed_operations=")
    assert "vm#1 current_operations={}" in lines
    assert lines[-1].startswith("vm#1 allowed_operations=")
