"""The events of each operation are those of a real xapi 25.32: number, order, classes and fields.

The VM of these tests is set up like the recorded one: no disks, no memory, one network interface
or none, no type of domain. What still differs is in DIFFERENCES. 24.11, which is not followed,
differed in this and in nothing else:
- of a device that comes or goes, the sides are told the other way round (`vdi VBDs`, `vm VBDs`;
  `vm VIFs`, `network VIFs`);
- a hard shutdown also wrote `vm_metrics start_time` after VCPUs_number;
- progress had steps of 1/9 and 1/7, more of them seen (once 1.0000000000000002), and the cancel
  points were 9 (start) and 8 (hard shutdown);
- `allowed_operations` had another order, and no metadata_export.
"""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import pytest
import trio

from recorder.simulator import accessors
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.toolstack import Call
from recorder.simulator.values import NULL_REF, Fault, Value, texts_of
from recorder.simulator.xenops import DomainTask, perform
from tests.simulator.core.listings import Narrator, golden
from tests.simulator.core.support import a_pool, vm_named

SESSION = "OpaqueRef:s"
RECORDED = golden("recorded")

DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    # A domain of the simulated domain manager of that server has no console; every VM here has.
    "*": ("console#", "vm#1 consoles"),
    # xapi writes the progress that it happens to see: 0.2 in this run, none in the sync one.
    "Async.VM.hard_shutdown": ("task#1 progress=0.2",),
    # Seen were 0.4, 0.8 and 1.0 in this first start, 0.6 and 1.0 in the other one.
    "Async.VM.start-destroyed-while-waiting": ("task#1 progress=",),
}
"""Lines that are compared without, by listing (`*`: all), and why."""

Clock = trio.testing.MockClock


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: Clock) -> SimulatedPool:
    pool = a_pool()
    await nursery.start(pool.run)
    return pool


def _bare_vm(pool: SimulatedPool, *, interfaces: int = 0) -> str:
    """Make a halted VM like the recorded one, which was never started before."""
    database = pool.database
    vm = vm_named(pool, "vm-003")
    record = database.record("VM", vm)
    for vbd in texts_of(record, "VBDs"):
        database.delete("VBD", vbd)
    for vif in texts_of(record, "VIFs")[interfaces:]:
        database.delete("VIF", vif)
    recorded: Mapping[str, Value] = {
        "bios_strings": {},
        "platform": {},
        "generation_id": "0:0",
        "domain_type": "unspecified",
        "memory_target": 500,
        "last_boot_CPU_flags": {},
        **{f"memory_{name}": 0 for name in ("static_max", "dynamic_max", "overhead")},
    }
    for field, value in recorded.items():
        database.write("VM", vm, field, value)
    metrics = str(record["metrics"])
    database.write("VM_metrics", metrics, "hvm", False)
    database.write("VM_metrics", metrics, "current_domain_type", "unspecified")
    database.write("VM_metrics", metrics, "VCPUs_number", 0)
    pool.toolstack.update_allowed(vm)
    return vm


class _Listener:
    """Listens to everything from now on, in the words of the listings."""

    def __init__(self, pool: SimulatedPool) -> None:
        self._pool = pool
        pool.hub.register(SESSION, ["*"])
        self._narrator = Narrator(pool)
        self.ids: list[int] = []

    async def heard(self) -> list[str]:
        """Return what was told since the last time."""
        events = await self._pool.hub.next(SESSION)
        self.ids += [event.id for event in events]
        return self._narrator.tell(events)


async def _told(pool: SimulatedPool, method: str, args: Sequence[Value]) -> list[str]:
    """Return what a call tells; `Async.` lets it work for as long as it takes, but no agent."""
    listener = _Listener(pool)
    name = method.removeprefix("Async.")
    if name == method:
        await _ignoring_fault(pool, method, args)
    else:
        task = pool.start_operation(SESSION, name, args)
        await pool.tasks.ended(task).wait()
    lines = await listener.heard()
    assert listener.ids == list(range(listener.ids[0], listener.ids[0] + len(lines)))
    return lines


async def _ignoring_fault(pool: SimulatedPool, method: str, args: Sequence[Value]) -> None:
    with contextlib.suppress(Fault):
        await pool.call_operation(SESSION, method, args)


def _agrees(name: str, told: Sequence[str]) -> None:
    """Check a listing against the recorded one, line by line."""
    left_out = DIFFERENCES["*"] + DIFFERENCES.get(name, ())
    expected = [line for line in RECORDED[name] if not line.startswith(left_out)]
    assert [line for line in told if not line.startswith(left_out)] == expected


async def test_starts_and_shutdowns_are_those_of_xapi(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """A first and a later start, sync and Async shutdowns, and starts that fail."""
    vm = _bare_vm(pool)
    for host in pool.hosts:
        pool.database.write("host", host.ref, "allowed_operations", [])
    start: list[Value] = [vm, False, False]
    steps: Sequence[tuple[str, str, list[Value]]] = (
        ("VM.start-first", "VM.start", start),
        ("VM.start-failing", "VM.start", start),
        ("Async.VM.start-failing", "Async.VM.start", start),
        ("Async.VM.hard_shutdown", "Async.VM.hard_shutdown", [vm]),
        ("Async.VM.start-later", "Async.VM.start", start),
        ("VM.hard_shutdown", "VM.hard_shutdown", [vm]),
        ("VM.start-unknown", "VM.start", ["OpaqueRef:no", False, False]),
    )
    for name, method, args in steps:
        _agrees(name, await _told(pool, method, args))


async def test_copies_and_their_ends_are_those_of_xapi(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Clones, a snapshot, and how all of them go again."""
    vm = _bare_vm(pool, interfaces=1)
    _agrees("VM.clone", await _told(pool, "VM.clone", [vm, "one"]))
    _agrees("Async.VM.clone", await _told(pool, "Async.VM.clone", [vm, "two"]))
    _agrees("VM.snapshot", await _told(pool, "VM.snapshot", [vm, "snap"]))
    snapshot = vm_named(pool, "snap")
    _agrees("VM.destroy-snapshot", await _told(pool, "VM.destroy", [snapshot]))
    one = vm_named(pool, "one")
    _agrees("VM.destroy", await _told(pool, "VM.destroy", [one]))
    _agrees("Async.VM.destroy", await _told(pool, "Async.VM.destroy", [vm_named(pool, "two")]))
    _agrees("VM.destroy-gone", await _told(pool, "VM.destroy", [one]))


async def test_devices_networks_and_secrets_are_those_of_xapi(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Small calls that make a task: what they write themselves comes before its end."""
    database = pool.database
    vm = vm_named(pool, "vm-003")
    (vbd,) = texts_of(database.record("VM", vm), "VBDs")
    (vif,) = texts_of(database.record("VM", vm), "VIFs")
    database.write("VIF", vif, "metrics", NULL_REF)
    _agrees("VBD.destroy", await _told(pool, "VBD.destroy", [vbd]))
    _agrees("VIF.destroy", await _told(pool, "VIF.destroy", [vif]))
    network: dict[str, Value] = {"name_label": "lab", "other_config": {}}
    _agrees("network.create", await _told(pool, "network.create", [network]))


def _in_background(lines: Sequence[str]) -> list[str]:
    """Say what a call tells as Async: its task has the prefix in its name, and stays."""
    first, *rest, last = lines
    assert last == "task#1 del"
    return [first.replace(" add ", " add Async."), *rest]


async def test_async_tells_the_same_and_keeps_its_task(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """What was recorded in one way only is told in the other way, too, but for the task's end."""
    database = pool.database
    vm = _bare_vm(pool, interfaces=1)
    for host in pool.hosts:
        database.write("host", host.ref, "allowed_operations", [])
    (vif,) = texts_of(database.record("VM", vm), "VIFs")
    database.write("VIF", vif, "metrics", NULL_REF)
    told = await _told(pool, "Async.VM.snapshot", [vm, "snap"])
    assert told == _in_background(RECORDED["VM.snapshot"])
    told = await _told(pool, "Async.VM.destroy", [vm_named(pool, "snap")])
    assert told == _in_background(RECORDED["VM.destroy-snapshot"])
    told = await _told(pool, "Async.VIF.destroy", [vif])
    assert told == _in_background(RECORDED["VIF.destroy"])
    left_out = DIFFERENCES["*"]
    start: list[Value] = [vm, False, False]
    first = await _told(pool, "Async.VM.start", start)
    assert [line for line in first if not line.startswith(left_out)] == _in_background(
        RECORDED["VM.start-first"]
    )
    await _told(pool, "VM.hard_shutdown", [vm])
    later = await _told(pool, "VM.start", start)
    assert (
        _in_background([line for line in later if not line.startswith(left_out)])
        == RECORDED["Async.VM.start-later"]
    )


async def test_secret_tells_of_its_task_only(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """The class itself has no events."""
    secret: dict[str, Value] = {"value": "s", "other_config": {}}
    _agrees("secret.create", await _told(pool, "secret.create", [secret]))


async def test_tasks_and_messages_of_clients_are_those_of_xapi(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Calls without a task of their own write one thing each."""
    listener = _Listener(pool)

    async def told(method: str, args: list[Value]) -> tuple[Value, list[str]]:
        result = await pool.call_operation(SESSION, method, args)
        return result, await listener.heard()

    task, lines = await told("task.create", ["my task", ""])
    _agrees("task.create", lines)
    for method, args in (
        ("task.set_progress", [task, 0.5]),
        ("task.cancel", [task]),
        ("task.set_status", [task, "success"]),
        ("task.destroy", [task]),
    ):
        _agrees(method, (await told(method, args))[1])
    uuid = pool.database.field("pool", pool.pool_ref, "uuid")
    message, lines = await told("message.create", ["hello", 3, "Pool", uuid, "text"])
    _agrees("message.create", lines)
    _agrees("message.destroy", (await told("message.destroy", [message]))[1])


@pytest.mark.parametrize("keeps_task", [True, False])
async def test_denied_call_fails_its_task_at_once(
    pool: SimulatedPool, autojump_clock: Clock, keeps_task: bool
) -> None:
    """A refusal before the operation takes hold never says that the task may be cancelled."""
    vm = vm_named(pool, "vm-003")
    prefix = "Async." if keeps_task else ""
    listener = _Listener(pool)
    task = pool.tasks.begin(f"{prefix}VM.start")
    pool.tasks.fail(task, Fault("RBAC_PERMISSION_DENIED", "vm.start", f"No permission on {vm}"))
    if not keeps_task:
        pool.tasks.remove(task)
    _agrees(f"{prefix}VM.start-denied", await listener.heard())


async def _while_held(
    pool: SimulatedPool, vm: str, name: str, interfere: str, *, held_s: float
) -> list[str]:
    """Start a VM that something else holds, do something to the task, and return its events."""
    pool.database.write("VM", vm, "current_operations", {"OpaqueRef:other": "clone"})
    listener = _Listener(pool)
    async with trio.open_nursery() as nursery:
        if name.startswith("Async."):
            task = pool.start_operation(SESSION, "VM.start", [vm, False, False])
        else:
            nursery.start_soon(partial(_ignoring_fault, pool, "VM.start", [vm, False, False]))
            await trio.testing.wait_all_tasks_blocked()
            (task,) = pool.database.refs("task")
        await trio.sleep(held_s)
        await pool.call_operation(SESSION, interfere, [task])
        if interfere == "task.destroy":
            pool.database.write("VM", vm, "current_operations", {})
        await pool.tasks.ended(task).wait()
    return [line for line in await listener.heard() if line.startswith("task#1 ")]


@pytest.mark.parametrize(
    ("name", "interfere"),
    [
        ("Async.VM.start-cancelled-while-waiting", "task.cancel"),
        ("VM.start-cancelled-while-waiting", "task.cancel"),
        ("Async.VM.start-destroyed-while-waiting", "task.destroy"),
    ],
)
async def test_waiting_task_is_cancelled_or_destroyed_as_in_xapi(
    pool: SimulatedPool, autojump_clock: Clock, name: str, interfere: str
) -> None:
    """The request is written at once; the end comes when the operation looks again."""
    vm = _bare_vm(pool)
    _agrees(name, await _while_held(pool, vm, name, interfere, held_s=0.5))


async def test_failing_pause_is_that_of_xapi(pool: SimulatedPool, autojump_clock: Clock) -> None:
    """The operation leaves the VM before its task ends; a cancel that comes later is written."""
    vm = _bare_vm(pool)
    await pool.call_operation(SESSION, "VM.start", [vm, False, False])
    listener = _Listener(pool)
    task = pool.tasks.begin("Async.VM.pause")
    call = Call(pool.toolstack, SESSION, task)
    try:
        async with call.operation_on(vm, "pause"):
            await perform(call, DomainTask(0.2, 1))
            raise Fault("INTERNAL_ERROR", f"VM not in expected power state: {vm}, paused, running")
    except Fault as fault:
        pool.tasks.fail(task, fault)
    pool.tasks.cancel(task)
    _agrees("Async.VM.pause-failing", await listener.heard())


async def test_other_config_of_a_task_is_anybodys(
    pool: SimulatedPool, autojump_clock: Clock
) -> None:
    """Keys are added once, taken away as often as one likes, and each change is one event."""
    task = await pool.call_operation(SESSION, "task.create", ["mine", ""])
    listener = _Listener(pool)
    await pool.call_operation(SESSION, "task.add_to_other_config", [task, "k", "v"])
    with pytest.raises(Fault, match="MAP_DUPLICATE_KEY"):
        await pool.call_operation(SESSION, "task.add_to_other_config", [task, "k", "w"])
    for _again in range(2):
        await pool.call_operation(SESSION, "task.remove_from_other_config", [task, "k"])
    assert await listener.heard() == ['task#1 other_config={"k": "v"}', "task#1 other_config={}"]


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        ("VM", "name_label", "other"),
        ("VM", "tags", ["blue"]),
        ("pool", "name_description", "ours"),
        ("pool", "other_config", {"a": "b"}),
        ("task", "other_config", {"a": "b"}),
        ("host", "name_description", "rack 7"),
        ("VM_metrics", "other_config", {"a": "b"}),
    ],
)
async def test_setter_is_one_event(
    pool: SimulatedPool, autojump_clock: Clock, cls: str, field: str, value: Value
) -> None:
    """A field that is set to another value gives one event, to the same value none."""
    if cls == "task":
        await pool.call_operation(SESSION, "task.create", ["mine", ""])
    ref = pool.database.refs(cls)[-1]
    listener = _Listener(pool)
    for _again in range(2):
        if f"{cls}.set_{field}" in pool.operations:
            await pool.call_operation(SESSION, f"{cls}.set_{field}", [ref, value])
        else:
            accessors.set_field(pool.database, cls, field, [ref, value])
    (line,) = await listener.heard()
    assert line.split("=")[0] == f"{cls.lower()}#1 {field}"
