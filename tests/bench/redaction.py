"""What redaction costs; run it by hand: `python -m tests.bench.redaction [EVENTS]`.

A host in a process of its own answers `event.next` with made events over HTTP on loopback; the
recorder takes them in, down to the sync of the disk. Records are those of a simulated pool, with
what guests, agents and management tools add in life: VMs of 4 KB make half of the events.
"""

import json
import logging
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trio

from recorder.config import Config, Pool
from recorder.model import Draft, Event
from recorder.redaction.policy import Policy
from recorder.redaction.redact import PoolRedactor, Redactor
from recorder.service import daemon
from recorder.service.daemon import Seams, serve
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.xapi.jsonrpc import decode_events

BATCHES = (1, 3, 20)
ROUNDS = 7
SHARES = {
    "VM": 50,
    "VBD": 12,
    "VDI": 10,
    "task": 10,
    "host": 6,
    "VM_guest_metrics": 6,
    "VIF": 4,
    "host_metrics": 2,
}
VM_IN_LIFE = {
    "recommendations": '<restrictions><restriction field="memory-static-max" max="1649267441664"/>'
    '<restriction field="vcpus-max" max="64"/>'
    '<restriction field="has-vendor-device" value="false"/>'
    '<restriction max="255" property="number-of-vbds"/><restriction max="7"'
    ' property="number-of-vifs"/></restrictions>',
    "xenstore_data": {"vm-data": "", "vm-data/mmio-hole-size": "268435456"},
    "NVRAM": {"EFI-variables-backend": "xapidb"},
    "HVM_boot_params": {"firmware": "uefi", "order": "cdn"},
    "last_boot_CPU_flags": {"vendor": "AuthenticAMD", "features": "-".join(["178bfbff"] * 22)},
}
OTHER_CONFIG_IN_LIFE = {
    "install-methods": "cdrom,nfs,http,ftp",
    "linux_template": "true",
    "import_task": "OpaqueRef:7d2186d3-e323-4e54-b711-5c02f44d7e40",
    "xo:backup:job": "4fdef00e-ccb2-41d2-b207-d668bdad37e9",
    "xo:backup:datetime": "20261123T15:58:26Z",
    "folder": "/Prod/Web",
    "auto_poweron": "true",
}
BIOS_IN_LIFE = dict.fromkeys(
    [f"{part}-{what}" for part in ("bios", "system", "baseboard") for what in ("vendor", "version")]
    + ["system-serial-number", "baseboard-asset-tag", "enclosure-asset-tag", "hp-rombios", "oem-1"],
    "Xen",
)
CHANGES: dict[str, dict[str, int]] = {
    "VM": {
        "current_operations": 30,
        "allowed_operations": 15,
        "power_state": 10,
        "memory_target": 20,
        "other_config": 10,
        "resident_on": 10,
        "snapshots": 5,
    },
    "VBD": {"runtime_properties": 1, "currently_attached": 1, "current_operations": 1},
    "VDI": {"physical_utilisation": 3, "sm_config": 1},
    "task": {"progress": 3, "status": 1, "result": 1},
    "host": {"memory_overhead": 1, "resident_VMs": 1},
    "VM_guest_metrics": {"other": 1, "last_updated": 1},
    "VIF": {"currently_attached": 1},
    "host_metrics": {"memory_free": 1},
}
"""The fields that change, and how often in relation to each other."""


def objects_in_life() -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Return records by class, each with its reference."""
    spec = PoolSpec(hosts=4, vms=300, seed=1, password="x")
    pool = SimulatedPool.build(spec, now_s=lambda: 1_795_452_673.0)
    database = pool.database
    for number in range(40):
        database.create("task", {"name_label": f"Async.VM.clean_reboot {number}"})
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {
        cls: [(ref, dict(database.record(cls, ref))) for ref in database.refs(cls)]
        for cls in SHARES
    }
    for _, record in found["VM"]:
        record.update(VM_IN_LIFE, bios_strings=BIOS_IN_LIFE)
        record["other_config"] = {**record["other_config"], **OTHER_CONFIG_IN_LIFE}
    return found


def made_events(count: int, *, first_id: int = 0) -> Iterator[dict[str, object]]:
    """Yield events as the wire has them; each changes one field of one object."""
    rng = random.Random(1)
    objects = objects_in_life()
    for number in range(first_id, first_id + count):
        cls = rng.choices(list(SHARES), list(SHARES.values()))[0]
        ref, record = rng.choice(objects[cls])
        fields = CHANGES[cls]
        field = rng.choices(list(fields), list(fields.values()))[0]
        record[field] = changed(record[field], str(uuid.UUID(int=rng.getrandbits(128))))
        head = {"id": str(number), "timestamp": "1795452673.", "class": cls.lower()}
        yield head | {"operation": "mod", "ref": ref, "snapshot": dict(record)}


def changed(value: object, fresh: str) -> object:
    """Return another value of the same kind and about the same size."""
    match value:
        case dict():
            return dict([*list(value.items())[:12], ("xo:backup:datetime", fresh)])
        case list():
            return [*value[-11:], fresh]
        case bool():
            return not value
        case int() | float():
            return int(fresh[:8], 16)
        case _:
            return fresh


def replies(count: int, batch: int) -> list[bytes]:
    """Return the answers of `event.next`."""
    events = list(made_events(count))
    return [_reply(events[at : at + batch]) for at in range(0, count, batch)]


def _reply(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, separators=(",", ":")).encode()


class Host(BaseHTTPRequestHandler):
    """Answers a recorder, and hands out the events that it was given, once."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    left: Iterator[bytes] = iter(())

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = self.next_events() if call["method"] == "event.next" else answer(call["method"])
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def next_events(self) -> bytes:
        body = next(Host.left, None)
        if body is None:
            time.sleep(3600)  # as xapi waits when nothing happens
        return body or b""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answer(method: str) -> bytes:
    results: dict[str, object] = {
        "session.login_with_password": "OpaqueRef:b1f5a1d2-7c3e-4b8a-9e1f-3d2c4b5a6978",
        "event.get_current_id": 0,
        "event.inject": "00000000000000000007,00000000000000000000",
        "system.listMethods": ["pool.get_all_records"],
        "pool.get_all_records": {"OpaqueRef:pool": {"uuid": "a pool"}},
    }
    return _reply(results.get(method, ""))


def serve_events(count: int, batch: int, ports: "multiprocessing.Queue[int]") -> None:
    """Be the host; ends when its process is ended."""
    Host.left = iter(replies(count, batch))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    server.daemon_threads = True
    ports.put(server.server_address[1])
    server.serve_forever()


class Open(Redactor):
    """Hides nothing: what the recorder would be without redaction."""

    def record(self, _cls: str, snapshot: bytes, _tokens: Collection[bytes] = ()) -> bytes:
        return snapshot


@dataclass(frozen=True, slots=True)
class Cost:
    """What one event took, in microseconds: on the clock, and of processor time."""

    wall_us: float
    cpu_us: float


async def ingest(port: int, data: Path, count: int) -> Cost:
    """Record until `count` events are durable; the time runs from the first of them on."""
    done = trio.Event()
    began = (0.0, 0.0)
    seen = first = 0

    def observe(_seqs: range, drafts: Sequence[Draft]) -> None:
        nonlocal seen, first, began
        seen += sum(isinstance(draft.body, Event) for draft in drafts)
        if seen and not first:
            first, began = seen, (time.perf_counter(), time.process_time())
        if seen >= count:
            done.set()

    pool = Pool(name="lab", addresses=(f"http://127.0.0.1:{port}",))
    seams = Seams(observer=observe, password=lambda _pool: "x")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, Config(pools=(pool,)), data, seams=seams))
        await done.wait()
        wall_s, cpu_s = time.perf_counter() - began[0], time.process_time() - began[1]
        nursery.cancel_scope.cancel()
    return Cost(wall_s / (count - first) * 1e6, cpu_s / (count - first) * 1e6)


def run(count: int, batch: int, kind: type[Redactor]) -> Cost:
    """Record once, with a host of its own."""
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    host = multiprocessing.Process(target=serve_events, args=(count, batch, ports), daemon=True)
    host.start()
    port = ports.get()
    with tempfile.TemporaryDirectory() as folder, patch.object(daemon, "Redactor", kind):
        cost = trio.run(ingest, port, Path(folder), count)
    host.terminate()
    host.join()
    return cost


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def alone(count: int) -> None:
    """Time the redactor by itself, class by class, at its best."""
    redactor = PoolRedactor(Redactor(Policy.of(fields={}), bytes(32)))
    redactor.learn("OpaqueRef:b1f5a1d2-7c3e-4b8a-9e1f-3d2c4b5a6978")
    told = [decode_events(reply) for reply in replies(count, 20)]
    by_class: dict[str, list[Event]] = {}
    for event in (event for batch in told for event in batch):
        by_class.setdefault(event.cls, []).append(event)
    total_us = 0.0
    for cls, events in sorted(by_class.items()):
        best_s = min(timed(redactor, events) for _ in range(ROUNDS))
        size = statistics.mean(len(event.snapshot or b"") for event in events)
        total_us += best_s * 1e6
        say(f"  {cls:18s} {size:6.0f} bytes {best_s / len(events) * 1e6:6.2f} us")
    say(f"  mean of the mix {total_us / count:22.2f} us")


def timed(redactor: PoolRedactor, events: list[Event]) -> float:
    began_s = time.perf_counter()
    redactor.events(events)
    return time.perf_counter() - began_s


def main() -> None:
    """Record with and without redaction by turns; compare the medians."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    say("the redactor alone:")
    alone(count // 4)
    for batch in BATCHES:
        compare(min(count, 1000 * batch), batch)


def compare(count: int, batch: int) -> None:
    """Record with and without redaction by turns, and say how the medians differ."""
    costs: dict[type[Redactor], list[Cost]] = {Open: [], Redactor: []}
    for round_ in range(ROUNDS):
        for kind in [Open, Redactor] if round_ % 2 else [Redactor, Open]:
            costs[kind].append(run(count, batch, kind))
    say(f"{batch} events a reply, {count:,} events:")
    for what in ("wall_us", "cpu_us"):
        bare, redacted = (
            statistics.median(getattr(cost, what) for cost in costs[kind])
            for kind in (Open, Redactor)
        )
        more = (redacted / bare - 1) * 100
        say(f"  {what:8s} an event: {bare:6.1f} without, {redacted:6.1f} with: {more:+.1f} %")


if __name__ == "__main__":
    logging.disable()
    main()
