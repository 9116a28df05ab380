"""How fast the simulator writes long replies; run `python -m tests.bench.simulator_replies`.

One pool of many VMs (5,000, or the number given). Each reply is written twice: first when no text
is ready, then again. Beside it stands a rival that writes the same values in the same run:
json.dumps and xmlrpc.client.dumps. Also prints the longest time in which nobody else got a turn.
"""

import gc
import json
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from typing import cast

from recorder.simulator import jsonwire, xmlwire
from recorder.simulator.calls import Batch, Call, Result, TableReply
from recorder.simulator.eventrows import FromReply
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.jsonwire import Request, Version
from recorder.simulator.pool import SimulatedPool

NOW_S = 1_795_452_672.0
REQUEST = Request(Call("any", []), Version.TWO, 1)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def written(pieces: Callable[[], Iterator[bytes]]) -> tuple[float, float, int]:
    """Return the seconds that a reply took, the longest without a pause, and its bytes."""
    gc.collect()
    size, longest_s, began_s = 0, 0.0, time.perf_counter()
    last_s = began_s
    for piece in pieces():
        now_s = time.perf_counter()
        longest_s, last_s, size = max(longest_s, now_s - last_s), now_s, size + len(piece)
    return time.perf_counter() - began_s, longest_s, size


def took(work: Callable[[], object]) -> float:
    gc.collect()
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def compare(what: str, reply: Callable[[], Iterator[bytes]], rival: Callable[[], object]) -> None:
    """Print one line: cold, warm, longest step, size, and the ratio of the rival to cold."""
    cold_s, longest_s, size = written(reply)
    warm_s, warm_longest_s, _size = written(reply)
    rival_s = took(rival)
    longest_s = max(longest_s, warm_longest_s)
    say(
        f"{what:32s} {cold_s * 1000:8.1f} {warm_s * 1000:8.1f} {longest_s * 1000:8.1f}"
        f" {size / 1e6:8.1f} {rival_s * 1000:9.1f} {rival_s / cold_s:7.1f}x"
    )


def plain(value: object) -> object:
    """Return a value that the rivals can write: numbers of 64 bits and dates as text, as xapi."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, bool | float) else str(value)


def compare_both(what: str, result: Result, rivals_value: object) -> None:
    """Measure a result in both encodings; the value is the same for the rivals."""
    value = plain(rivals_value)
    compare(f"{what}, XML", lambda: xmlwire.success_pieces(result), lambda: _xml(value))
    compare(
        f"{what}, JSON",
        lambda: jsonwire.success_pieces(REQUEST, result),
        lambda: json.dumps(value).encode(),
    )


def _xml(value: object) -> bytes:
    params = (cast("dict[str, str]", value),)
    return xmlrpc.client.dumps(params, methodresponse=True, allow_none=True).encode()


def main() -> None:
    """Build the pool, write the replies."""
    vms = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    began_s = time.perf_counter()
    pool = SimulatedPool.build(PoolSpec(hosts=16, vms=vms), now_s=lambda: NOW_S)
    say(f"{vms:,} VMs in {time.perf_counter() - began_s:.1f} s; times in ms, sizes in MB")
    say(" " * 34 + "   cold     warm  longest     size     rival    ratio")
    database = pool.database
    refs = database.refs("VM")
    table = {ref: database.record("VM", ref) for ref in refs}
    compare_both("VM.get_all_records", TableReply(database, "VM", refs), table)
    reply = everything(pool)
    events = [event.as_value() for event in reply.events]
    value = {"events": events, "valid_ref_counts": reply.valid_ref_counts, "token": reply.token}
    compare_both(f"event.from, {len(events):,} events", reply, value)
    batch = Batch(reply.events[:5_000])
    compare_both("event.next, 5,000 events", batch, events[:5_000])


def everything(pool: SimulatedPool) -> FromReply:
    """Return what event.from answers to the empty token: every object as an event."""
    import trio

    async def ask() -> FromReply:
        return await pool.hub.from_("nobody", ["*"], "", 0.0)

    return trio.run(ask)


if __name__ == "__main__":
    main()
