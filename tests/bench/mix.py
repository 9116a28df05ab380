"""The events of a busy pool, made: whole records of which a few fields change from one to the next.

Records are those of a simulated pool of 300 VMs, with what tools and backups write into those of
real pools (4 KB a VM, 2.6 KB an event in the mean). Half of the events are of VMs, the rest of what
hangs on them; what is born takes the place of something that goes. The same seed gives the same
events.
"""

import random
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import msgspec

from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Event,
    Mark,
    MarkName,
    Operation,
)
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool

START_S = 1_763_913_506
RATE_HZ = 20.0
FIRST_ID = 100_000
WEIGHTS = {
    "VM": 50,
    "host": 6,
    "VBD": 10,
    "VIF": 6,
    "VDI": 10,
    "task": 10,
    "SR": 2,
    "VM_guest_metrics": 6,
}
BORN = frozenset({"task", "VBD", "VDI"})
BORN_SHARE = 0.04

Record = dict[str, object]

_RESTRICTIONS = "".join(
    f'<restriction field="{name}" value="{value}"/>'
    for name, value in (
        ("memory-static-max", 1649267441664),
        ("vcpus-max", 64),
        ("has-vendor-device", "false"),
        ("allow-gpu-passthrough", 1),
        ("allow-vgpu", 1),
        ("number-of-vbds", 255),
        ("number-of-vifs", 7),
    )
)
_FEATURES = "178bfbff-f6f83203-2e500800-040001f3-0000000f-219c01a9-0040060c-00000000-311ed005"


def mixed_drafts(count: int, *, seed: int = 1) -> Iterator[Draft]:
    """Yield so many events, as the recorder would append them."""
    rng = random.Random(seed)
    yield from _events(_Pool(rng, vms=300), rng, count)


def epoch_drafts(count: int, *, seed: int = 1, vms: int = 300) -> Iterator[Draft]:
    """Yield a registration, the baseline of a pool of so many VMs, and so many events of it."""
    rng = random.Random(seed)
    pool = _Pool(rng, vms=vms)
    at_ns = START_S * 1_000_000_000
    for body in pool.baseline():
        yield Draft(at_ns, "lab", body)
    yield from _events(pool, rng, count)


def _events(pool: "_Pool", rng: random.Random, count: int) -> Iterator[Draft]:
    at_s = float(START_S)
    for number in range(count):
        at_s += rng.expovariate(RATE_HZ)
        cls, operation, ref, record = pool.change()
        snapshot = msgspec.json.encode(record)
        event = Event(FIRST_ID + number, float(int(at_s)), cls.lower(), operation, ref, snapshot)
        yield Draft(int(at_s * 1e9), "lab", event)


class _Pool:
    """The live objects of one pool, by class."""

    def __init__(self, rng: random.Random, *, vms: int) -> None:
        self._rng = rng
        self._classes, self._weights = list(WEIGHTS), list(WEIGHTS.values())
        database = SimulatedPool.build(
            PoolSpec(hosts=8, vms=vms, seed=1), now_s=lambda: float(START_S)
        ).database
        self._live: dict[str, list[tuple[str, Record]]] = {
            cls: [(ref, _plain(database.record(cls, ref))) for ref in database.refs(cls)]
            for cls in WEIGHTS
            if cls != "task"
        }
        self._live["task"] = [(_ref(rng), _task(rng)) for _ in range(60)]
        self._going: deque[tuple[str, str, Record]] = deque()
        for _, record in self._live["VM"]:
            record.update(_written_by_tools(rng, record))

    def baseline(self) -> Iterator[Body]:
        """Yield what a recorder writes when it begins to follow the pool."""
        yield Mark(MarkName.REGISTERED, {"stream": "register", "next_event_id": FIRST_ID})
        for cls, live in self._live.items():
            yield BaselineChunk(cls.lower(), FIRST_ID, FIRST_ID, len(live))
            for ref, record in live:
                yield BaselineRecord(cls.lower(), ref, msgspec.json.encode(record))
        yield Mark(MarkName.BASELINE_DONE, {"classes": len(self._live)})

    def change(self) -> tuple[str, Operation, str, Record]:
        """Change one object, or replace it by one that is born; return what an event says of it."""
        if self._going:
            cls, ref, record = self._going.popleft()
            return cls, Operation.DEL, ref, record
        rng = self._rng
        (cls,) = rng.choices(self._classes, self._weights)
        place = rng.randrange(len(self._live[cls]))
        ref, record = self._live[cls][place]
        operation = Operation.MOD
        if cls in BORN and rng.random() < BORN_SHARE:
            self._going.append((cls, ref, record))
            ref, operation = _ref(rng), Operation.ADD
            record = _task(rng) if cls == "task" else {**record, "uuid": _uuid(rng)}
        else:
            record = {**record, **_CHANGES[cls](rng, record)}
        self._live[cls][place] = ref, record
        return cls, operation, ref, record


def _plain(record: Mapping[str, object]) -> Record:
    """Return a record with numbers of 64 bits and dates as text, as xapi sends them."""
    plain = msgspec.to_builtins(record, enc_hook=str)
    return {
        name: str(value) if type(value) is int else value for name, value in dict(plain).items()
    }


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128)))


def _ref(rng: random.Random) -> str:
    return f"OpaqueRef:{_uuid(rng)}"


def _task(rng: random.Random) -> Record:
    return {
        "uuid": _uuid(rng),
        "name_label": "Async.VM.clean_reboot",
        "name_description": "",
        "allowed_operations": ["cancel"],
        "current_operations": {},
        "created": "20251123T15:58:26Z",
        "finished": "19700101T00:00:00Z",
        "status": "pending",
        "resident_on": _ref(rng),
        "progress": 0.0,
        "type": "<none/>",
        "result": "",
        "error_info": [],
        "other_config": {},
        "subtask_of": "OpaqueRef:NULL",
        "subtasks": [],
        "backtrace": "()",
    }


def _written_by_tools(rng: random.Random, record: Record) -> Record:
    other_config = {
        "mac_seed": _uuid(rng),
        "base_template_name": "Debian Bookworm 12",
        "install-methods": "cdrom,nfs,http,ftp",
        "import_task": _ref(rng),
        "xo:backup:job": _uuid(rng),
        "xo:backup:datetime": "20251123T15:58:26Z",
        "folder": "/Prod/Web",
    }
    return {
        "name_description": "Production web front end (managed by ansible)",
        "other_config": other_config,
        "recommendations": f"<restrictions>{_RESTRICTIONS}</restrictions>",
        "last_boot_CPU_flags": {"vendor": "AuthenticAMD", "features": _FEATURES},
        "snapshots": [_ref(rng) for _ in range(rng.randrange(4))],
        "consoles": [_ref(rng)],
        "xenstore_data": {"vm-data": "", "vm-data/mmio-hole-size": "268435456"},
        "tags": ["prod", "web", "backup-daily"],
        "bios_strings": {f"oem-{number}": f"Xen {record['uuid']}" for number in range(1, 5)},
        "generation_id": f"{rng.getrandbits(63)}:{rng.getrandbits(63)}",
    }


def _change_vm(rng: random.Random, record: Record) -> Record:
    what = rng.random()
    if what < 0.45:
        call = rng.choice(["snapshot", "clean_reboot", "migrate_send", "start"])
        return {"current_operations": {} if record["current_operations"] else {_ref(rng): call}}
    if what < 0.55:
        state = rng.choice(["Running", "Halted", "Paused", "Suspended"])
        return {"power_state": state, "domid": str(rng.randrange(500))}
    if what < 0.75:
        return {"memory_target": str(rng.randrange(1 << 30, 1 << 33))}
    if what < 0.85:
        config = record["other_config"]
        assert isinstance(config, dict)
        return {"other_config": {**config, "xo:backup:datetime": str(rng.randrange(10**9))}}
    if what < 0.95:
        return {"resident_on": _ref(rng), "memory_overhead": str(rng.randrange(1 << 27))}
    snapshots = record["snapshots"]
    assert isinstance(snapshots, list)
    return {"snapshots": [*snapshots, _ref(rng)][-5:]}


def _change_list(rng: random.Random, record: Record, field: str) -> list[object]:
    before = record[field]
    assert isinstance(before, list)
    return [*before[1:], _ref(rng)]


_CHANGES: dict[str, Callable[[random.Random, Record], Record]] = {
    "VM": _change_vm,
    "host": lambda rng, record: {
        "memory_overhead": str(rng.randrange(1 << 31)),
        "resident_VMs": _change_list(rng, record, "resident_VMs"),
    },
    "VBD": lambda rng, record: {
        "currently_attached": not record["currently_attached"],
        "runtime_properties": {"kthread-pid": str(rng.randrange(1 << 15))},
    },
    "VIF": lambda rng, record: {"currently_attached": not record["currently_attached"]},
    "VDI": lambda rng, record: {"physical_utilisation": str(rng.getrandbits(36))},
    "task": lambda rng, record: {"progress": round(rng.random(), 3)},
    "SR": lambda rng, record: {
        "physical_utilisation": str(rng.getrandbits(40)),
        "VDIs": _change_list(rng, record, "VDIs"),
    },
    "VM_guest_metrics": lambda rng, record: {
        "other": {"platform-feature": "1", "data-ts": str(rng.randrange(10**10))},
        "last_updated": "20251123T15:58:26Z",
    },
}
