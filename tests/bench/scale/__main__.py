"""How much one recorder can take; run `python -m tests.bench.scale`, or name parts of it: idle ...

- idle: 200 pools of about 100 objects each, and nothing happens in them;
- large: one pool of 20,000 objects, read and then followed at 100 changes a second;
- together: the pools of both at once;
- busy: one pool of 5,000 objects that changes 2,000 of 4 KB a second, while its sessions are ended
  every few seconds, so that all of it is read again meanwhile.

The recorder is the real command in a process of its own, with its journal on the disk of TMPDIR;
the pools are simulated ones in another process, on loopback. Memory is what the kernel says of the
recorder: resident now, and at most ever.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from recorder.journal.scan import scan
from recorder.model import Event, GapClosed, GapOpened, Mark, MarkName
from tests.bench.child import Memory
from tests.bench.plain import say
from tests.bench.scale.command import Recorder, recording
from tests.bench.scale.pools import Changes, Numbers, served

LARGE = Numbers(pools=1, vms=2_750, hosts=16)


def run(title: str, numbers: list[Numbers], changes: Changes, *, seconds: float) -> None:
    """Record pools for a while, and tell what that took."""
    with tempfile.TemporaryDirectory() as folder, served(numbers, changes) as pools:
        serving = pools.serving
        say(f"{title}: {len(serving.pools)} pool(s), {serving.objects:,} objects, over TLS")
        with recording(Path(folder), serving.pools) as recorder:
            took_s = recorder.wait_for(" recording ", len(serving.pools))
            cpu_s = recorder.cpu_s
            say(
                f"  all recorded after {took_s:.1f} s, {cpu_s:.1f} s of a processor;"
                f" {told(recorder.memory)}"
            )
            time.sleep(seconds)
            used_s = recorder.cpu_s - cpu_s
            say(
                f"  after {seconds:.0f} s more: {used_s / seconds:.1%} of a processor;"
                f" {told(recorder.memory)}"
            )
        tell_what_was_recorded(recorder)


def told(memory: Memory) -> str:
    """Say it in words."""
    return f"{memory.now_mb:.0f} MB resident, {memory.peak_mb:.0f} at most"


def tell_what_was_recorded(recorder: Recorder) -> None:
    """Count events and gaps."""
    gaps: Counter[str] = Counter()
    events = size = closed = 0
    for entry in scan(recorder.data / "journal"):
        match entry.body:
            case Event(snapshot=snapshot):
                events, size = events + 1, size + len(snapshot or b"")
            case GapOpened(cause=cause):
                gaps[cause.value] += 1
            case GapClosed():
                closed += 1
            case Mark(name=MarkName.QUEUE_PRESSURE, detail=detail):
                say(f"  the queue was {detail['percent']} % full")
            case _:
                pass
    mean = size / max(events, 1)
    say(f"  {events:,} events of {mean:,.0f} bytes; gaps: {dict(gaps)}, {closed} of them closed")


def main(names: list[str]) -> None:
    """Run the parts that were named."""
    if "idle" in names:
        run("idle", [Numbers(pools=200, vms=7)], Changes(), seconds=60)
    if "large" in names:
        run("large", [LARGE], Changes(per_s=100), seconds=30)
    if "together" in names:
        numbers = [LARGE, Numbers(pools=200, vms=7)]
        run("together", numbers, Changes(per_s=100), seconds=30)
    if "busy" in names:
        changes = Changes(per_s=2_000, record_bytes=1_300, ends_sessions_every_s=10)
        run("busy", [Numbers(pools=1, vms=680, hosts=8)], changes, seconds=60)


if __name__ == "__main__":
    main(sys.argv[1:] or ["idle", "large", "together", "busy"])
