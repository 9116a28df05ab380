"""What the tests of storage, devices and networks share: pools with disks, and calls that fail."""

from collections.abc import Sequence
from itertools import count

import pytest

from recorder.simulator.plugins import add_plugins
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Fault, Record, Value, text_of, texts_of
from tests.simulator.core.support import Storyteller, a_pool

SESSION = "OpaqueRef:s"
GIB = 1024**3
_listeners = count()
END = ["task finished", "task progress", "task result", "task status"]


def a_furnished_pool() -> SimulatedPool:
    """The default pool, with storage plugins and with offers that are computed for all objects."""
    pool = a_pool()
    database = pool.database
    add_plugins(database)
    for vdi in database.refs("VDI"):
        database.write("VDI", vdi, "managed", True)
    for cls in ("SR", "VDI", "VBD", "VIF"):
        for ref in database.refs(cls):
            pool.toolstack.update_allowed(ref, cls)
    return pool


async def call(pool: SimulatedPool, method: str, *args: Value) -> Value:
    """The result of a call."""
    return await pool.call_operation(SESSION, method, args)


async def made(pool: SimulatedPool, method: str, *args: Value) -> str:
    """The reference that a call gives."""
    ref = await call(pool, method, *args)
    assert isinstance(ref, str)
    return ref


async def told(pool: SimulatedPool, method: str, *args: Value) -> list[str]:
    """What events tell of a call."""
    listener = f"OpaqueRef:listener-{next(_listeners)}"
    pool.hub.register(listener, ["*"])
    story = Storyteller(pool)
    await call(pool, method, *args)
    return story.tell(await pool.hub.next(listener))


async def fault_of(pool: SimulatedPool, method: str, *args: Value) -> list[str]:
    """Code and parameters of a call that must fail; it leaves nothing in progress."""
    with pytest.raises(Fault) as caught:
        await call(pool, method, *args)
    assert not [ref for ref in under_way(pool) if pool.database.exists(*ref)]
    return [caught.value.code, *caught.value.params]


def under_way(pool: SimulatedPool) -> list[tuple[str, str]]:
    """The objects in which something is in progress."""
    return [
        (cls, ref)
        for cls in ("VM", "host", "SR", "VDI", "VBD", "VIF")
        for ref in pool.database.refs(cls)
        if pool.database.field(cls, ref, "current_operations")
    ]


def record(pool: SimulatedPool, cls: str, ref: str) -> Record:
    """An object as get_record sends it."""
    return pool.database.record(cls, ref)


def offers(pool: SimulatedPool, cls: str, ref: str) -> list[str]:
    """The allowed_operations of an object."""
    return texts_of(record(pool, cls, ref), "allowed_operations")


def named(pool: SimulatedPool, cls: str, name: str) -> str:
    """The first object of a class with this name."""
    return pool.database.find(cls, "name_label", name)[0]


def first_of(pool: SimulatedPool, vm: str, field: str) -> str:
    """The first VBD or VIF of a VM."""
    return texts_of(record(pool, "VM", vm), field)[0]


def disk_of(pool: SimulatedPool, vm: str) -> str:
    """The disk in the first VBD of a VM."""
    return text_of(record(pool, "VBD", first_of(pool, vm, "VBDs")), "VDI")


def shared_sr(pool: SimulatedPool) -> str:
    """The SR that all hosts have."""
    return pool.database.find("SR", "shared", True)[0]


def a_disk(sr: str, **fields: Value) -> Record:
    """The argument of VDI.create."""
    return {
        "name_label": "data",
        "SR": sr,
        "virtual_size": GIB,
        "type": "user",
        "sharable": False,
        "read_only": False,
        "other_config": {},
        **fields,
    }


def a_vbd(vm: str, vdi: str, **fields: Value) -> Record:
    """The argument of VBD.create."""
    return {
        "VM": vm,
        "VDI": vdi,
        "userdevice": "autodetect",
        "bootable": False,
        "mode": "RW",
        "type": "Disk",
        "empty": False,
        "other_config": {},
        "qos_algorithm_type": "",
        "qos_algorithm_params": {},
        **fields,
    }


def a_vif(vm: str, network: str, **fields: Value) -> Record:
    """The argument of VIF.create."""
    return {
        "device": "5",
        "network": network,
        "VM": vm,
        "MAC": "",
        "MTU": 1500,
        "other_config": {},
        "qos_algorithm_type": "",
        "qos_algorithm_params": {},
        **fields,
    }


def sr_args(host: str, kind: str, config: dict[str, Value], *, shared: bool) -> Sequence[Value]:
    """The arguments of SR.create."""
    return [host, config, 0, "new", "", kind, "user", shared, {}]
