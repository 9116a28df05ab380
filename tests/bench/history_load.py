"""How fast the history takes in a journal; run it by hand: `python -m tests.bench.history_load`.

Made events: records of about 3 KB of which a few fields change, 500 live objects, tasks that come
and go. Prints entries a second, bytes an event, and how long the usual questions take.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from query.database import History, open_for_reading
from query.gaps import gaps
from query.known import Memory
from query.loader import load
from query.objects import find
from query.questions import tasks
from query.states import state_of, states_of_class
from query.timeline import life_of
from recorder.instant import Instant
from recorder.model import (
    BaselineChunk,
    BaselineRecord,
    Entry,
    Event,
    Mark,
    MarkName,
    Operation,
)

OBJECTS = 500
FIELDS = 90
START_NS = 1_700_000_000_000_000_000


def made_record(rng: random.Random, number: int) -> dict[str, object]:
    """Return a record of about 3 KB."""
    fields: dict[str, object] = {
        f"field_{index}": f"{rng.getrandbits(64):016x}" for index in range(FIELDS)
    }
    name = {"uuid": f"{number:08x}-0000-4000-8000-000000000000", "name_label": f"vm{number}"}
    return {**name, "power_state": "Halted", **fields}


def made_entries(events: int) -> Iterator[Entry]:
    """Yield one epoch: a baseline, then events."""
    rng = random.Random(1)
    records = [made_record(rng, number) for number in range(OBJECTS)]
    bodies: list[Mark | BaselineChunk | BaselineRecord] = [
        Mark(MarkName.REGISTERED, {"stream": "register"}),
        BaselineChunk("vm", 0, 0, OBJECTS),
        *(
            BaselineRecord("vm", f"OpaqueRef:{number}", msgspec.json.encode(record))
            for number, record in enumerate(records)
        ),
        Mark(MarkName.BASELINE_DONE),
    ]
    seq = 0
    for body in bodies:
        seq += 1
        yield Entry(seq, START_NS, "lab", body)
    for index in range(events):
        seq += 1
        yield Entry(seq, START_NS + index * 50_000_000, "lab", made_event(rng, index, records))


def made_event(rng: random.Random, index: int, records: list[dict[str, object]]) -> Event:
    """Return a task that comes or goes (one in five), or a VM of which two fields change."""
    if index % 5 == 0:
        operation = Operation.ADD if index % 10 == 0 else Operation.DEL
        task = {"uuid": f"task{index // 10}", "name_label": "VM.start", "status": "success"}
        ref = f"OpaqueRef:task{index // 10}"
        return Event(index, 0.0, "task", operation, ref, msgspec.json.encode(task))
    number = rng.randrange(OBJECTS)
    record = records[number]
    record["power_state"] = rng.choice(["Halted", "Running", "Suspended"])
    record[f"field_{rng.randrange(FIELDS)}"] = f"{rng.getrandbits(64):016x}"
    snapshot = msgspec.json.encode(record)
    return Event(index, 0.0, "vm", Operation.MOD, f"OpaqueRef:{number}", snapshot)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def told(what: str, began_s: float) -> None:
    say(f"{what:36s} {(time.perf_counter() - began_s) * 1000:9.1f} ms")


def ask(history: History, last_seq: int) -> None:
    """Time the usual questions."""
    middle = Instant(seq=last_seq // 2)
    began_s = time.perf_counter()
    found = find(history, "vm7")
    told("find an object by name", began_s)
    began_s = time.perf_counter()
    state_of(history, found, middle)
    told("state of an object", began_s)
    began_s = time.perf_counter()
    life_of(history, found)
    told("life of an object", began_s)
    began_s = time.perf_counter()
    states_of_class(history, "vm", middle)
    told("states of a class", began_s)
    began_s = time.perf_counter()
    tasks(history)
    told("all tasks", began_s)
    began_s = time.perf_counter()
    gaps(history)
    told("all gaps", began_s)


def main() -> None:
    """Make entries, load them, ask."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    entries = list(made_entries(events))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.duckdb"
        began_s = time.perf_counter()
        load(path, entries, Memory(), loaded_at_us=0)
        took_s = time.perf_counter() - began_s
        say(f"{len(entries):,} entries in {took_s:.1f} s: {len(entries) / took_s:,.0f}/s")
        say(f"{path.stat().st_size / events:.0f} bytes an event")
        with open_for_reading(path) as history:
            ask(history, entries[-1].seq)


if __name__ == "__main__":
    main()
