"""How big and how busy a simulated pool may be; run `python -m tests.bench.simulator_load`.

The preset `large` (or the one named) is built, read over loopback, and changed while three
processes subscribe to everything: at 3,000 and 10,000 changes a second, and as fast as it goes. The
rivals do the bare work in the same run: building is held against writing the same records with
json.dumps, changes against encoding the changed record with json.dumps and copying it three times.
"""

import json
import multiprocessing
import sys
import time
import urllib.request
from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized

import trio
from msgspec.structs import asdict

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.presets import PRESETS
from recorder.simulator.server import Served, Sockets, serve

SUBSCRIBERS = 3
SECONDS = 5.0
RATES = (3_000.0, 10_000.0, 1e9)
BATCH = 100


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def call(url: str, method: str, *params: object) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(f"{url}/jsonrpc", body)  # noqa: S310 - our own loopback
    with urllib.request.urlopen(request) as reply:  # noqa: S310
        return bytes(reply.read())


def login(url: str, password: str) -> str:
    return str(json.loads(call(url, "session.login_with_password", "root", password))["result"])


def subscribe(
    url: str, password: str, seen: "Synchronized[int]", lost: "Synchronized[int]"
) -> None:
    """Read everything that happens, as fast as it comes, and count it."""
    session = login(url, password)
    call(url, "event.register", session, ["*"])
    with seen.get_lock():
        seen.value = 0
    while True:
        text = call(url, "event.next", session)
        if b'"EVENTS_LOST"' in text[:200]:
            lost.value += 1
        seen.value += text.count(b'{"id":"')


async def change(pool: SimulatedPool, per_s: float) -> int:
    """Write fields at this rate for some seconds; returns how many."""
    vms = pool.database.refs("VM")
    count, began_s = 0, time.perf_counter()
    while time.perf_counter() < began_s + SECONDS:
        for vm in (vms[number % len(vms)] for number in range(count, count + BATCH)):
            pool.database.write("VM", vm, "name_description", str(count))
            count += 1
        await trio.sleep(max(0.0, began_s + count / per_s - time.perf_counter()))
    return count


async def measured(served: Served, spec: PoolSpec, per_s: float) -> None:
    spawn = multiprocessing.get_context("spawn")
    counters = [(spawn.Value("q", -1), spawn.Value("q", 0)) for _ in range(SUBSCRIBERS)]
    readers = [
        spawn.Process(target=subscribe, args=(served.url, spec.password, seen, lost), daemon=True)
        for seen, lost in counters
    ]
    for reader in readers:
        reader.start()
    while any(seen.value < 0 for seen, _lost in counters):  # noqa: ASYNC110 - of other processes
        await trio.sleep(0.05)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    made = await change(served.pool, per_s)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    await trio.sleep(3.0)
    reads = [seen.value for seen, _lost in counters]
    lost = sum(lost.value for _seen, lost in counters)
    for reader in readers:
        reader.terminate()
    bare = bare_changes(served.pool, made)
    say(
        f"{SUBSCRIBERS} subscribers: {made / took_s:,.0f} changes/s"
        f" ({cpu_s / took_s:.0%} of a core), {made:,} made, {reads} read, {lost} times EVENTS_LOST;"
        f" json.dumps and {SUBSCRIBERS} copies alone: {made / bare:,.0f}/s"
    )


def bare_changes(pool: SimulatedPool, count: int) -> float:
    record = pool.database.record("VM", pool.database.refs("VM")[-1])
    began_s = time.perf_counter()
    for number in range(count):
        text = json.dumps({**record, "name_description": str(number)}).encode()
        for _ in range(SUBSCRIBERS):
            bytearray(text)
    return time.perf_counter() - began_s


def timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


async def main(spec: PoolSpec) -> None:
    async with trio.open_nursery() as nursery:
        began_s = time.perf_counter()

        async def serving(*, task_status: trio.TaskStatus[list[Served]]) -> None:
            await serve([spec], Sockets(), now_s=time.time, task_status=task_status)

        served: Served = (await nursery.start(serving))[0]
        load_s = time.perf_counter() - began_s
        rows = served.pool.hub.rows.tables
        records = [row.record for table in rows.values() for row in table.rows.values()]
        dump_s = timed(lambda: [json.dumps(record) for record in records])
        say(f"load: {len(records):,} objects in {load_s:.2f} s; json.dumps of them: {dump_s:.2f} s")
        session = await trio.to_thread.run_sync(login, served.url, spec.password)
        for turn in ("first", "second"):
            began_s = time.perf_counter()
            text = await trio.to_thread.run_sync(call, served.url, "VM.get_all_records", session)
            took_s = time.perf_counter() - began_s
            say(f"VM.get_all_records, {turn}: {took_s:.3f} s for {len(text) / 1e6:.1f} MB of JSON")
        for per_s in RATES:
            await measured(served, spec, per_s)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "large"
    trio.run(main, PoolSpec(**asdict(PRESETS[name]), keeps_truth=False))
