"""How fast, how small and how quick to answer the history is; `python -m tests.bench.history`.

A journal of the mix (mix.py: 560 VMs, some 2,700 objects) is written and packed, as the daemon does
it, and loaded by a process of its own. Held against limits: the speed of loading, absolutely and as
a share of DuckDB's own `read_json` of the same events, which detects no changes (as anybody calls
it; beside it stands what it does when told the columns, and that a record stays text); the bytes an
event takes; the memory of the loader; and how long the usual questions take on an open connection,
in the median of 20 different ones. With more than a million events the questions may take four
times as long. Ends with 1 if a limit is exceeded.

`--events` says how many, `--folder` where (a million take 4 GB there, most of it for the rival),
`--keep` leaves journal and history there for the next run. The machine may be shared: beside each
wall time stands the processor time of the same work.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import duckdb
import msgspec

from query.database import History, open_for_reading
from query.loader import refresh
from query.objects import Found
from query.states import state_of, states_of_pool
from query.timeline import life_of
from recorder.instant import Instant
from recorder.journal.files import Disk
from recorder.journal.packing import pack_segment
from recorder.journal.scan import head, scan
from recorder.journal.store import Journal
from recorder.model import Event
from tests.bench.mix import START_S, epoch_drafts

VMS = 560
APPENDED_AT_ONCE = 1_000
RIVAL_EVENTS_MAX = 1_000_000
QUESTIONS = 20
DAY_US = 86_400 * 1_000_000

LOADED_PER_S_MIN = 15_000
RIVAL_SHARE_MIN = 0.5
EVENT_BYTES_MAX = 300
LOADER_MB_MAX = 600
QUESTIONS_MS_MAX = {
    "one object at T": 20,
    "the history of one object": 25,
    "a whole pool at T": 200,
    "power-state changes of a day": 50,
    "counts by class and hour": 30,
}
MANY_EVENTS = 1_000_000
MANY_EVENTS_FACTOR = 4


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock and of processors, and its peak of memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def cost_of(work: str, folder: Path, events: int) -> Cost:
    """Do a part of the work in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.history", "--only", work]
    began_s = time.perf_counter()
    process = subprocess.Popen([*command, "--folder", folder, "--events", str(events)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began_s
    if process.returncode:
        raise SystemExit(f"the part {work!r} ended with {process.returncode}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


# -- the parts, each in a process of its own ---------------------------------------------------


class UnsyncedDisk(Disk):
    """The journal is only written to be read here."""

    def sync(self, fd: int) -> None:
        pass


def write_journal(folder: Path, events: int) -> None:
    """Write the journal; a segment is packed as soon as it is sealed."""
    disk, packed = UnsyncedDisk(), 0
    drafts = epoch_drafts(events, vms=VMS)
    journal_folder = folder / "journal"
    with Journal.open(journal_folder, now_ns=lambda: START_S * 10**9, disk=disk) as journal:
        while some := list(islice(drafts, APPENDED_AT_ONCE)):
            journal.append(some)
            for number in range(packed + 1, len(list(journal_folder.glob("*.journal*")))):
                pack_segment(journal_folder, number, disk)
                packed = number


class Line(msgspec.Struct, rename={"cls": "class"}):
    """An event as a program without a history would write it."""

    seq: int
    pool: str
    received_at_us: int
    event_id: int
    cls: str
    operation: str
    ref: str
    snapshot: msgspec.Raw


def lines(folder: Path, events: int) -> Iterator[bytes]:
    bodies = ((entry, entry.body) for entry in scan(folder / "journal"))
    told = ((entry, body) for entry, body in bodies if isinstance(body, Event))
    for entry, body in islice(told, events):
        snapshot = msgspec.Raw(body.snapshot or b"null")
        at_us = entry.received_at_ns // 1000
        yield msgspec.json.encode(
            Line(
                *(entry.seq, entry.pool, at_us, body.id, body.cls, body.operation.value, body.ref),
                snapshot,
            )
        )


def write_lines(folder: Path, events: int) -> None:
    """Write the rival's food: JSON lines."""
    with (folder / "events.jsonl").open("wb") as file:
        for line in lines(folder, min(events, RIVAL_EVENTS_MAX)):
            file.write(line + b"\n")


RIVAL = "CREATE TABLE events AS SELECT * FROM read_json($file)"
RIVAL_TOLD = """
CREATE TABLE events (
    seq BIGINT, pool VARCHAR, received_at TIMESTAMPTZ, event_id BIGINT, class VARCHAR,
    operation VARCHAR, ref VARCHAR, snapshot VARCHAR USING COMPRESSION zstd
);
INSERT INTO events SELECT seq, pool, make_timestamptz(received_at_us), event_id, class, operation,
    ref, snapshot
FROM read_json($file, format = 'newline_delimited', columns = {seq: 'BIGINT', pool: 'VARCHAR',
    received_at_us: 'BIGINT', event_id: 'BIGINT', class: 'VARCHAR', operation: 'VARCHAR',
    ref: 'VARCHAR', snapshot: 'JSON'})
"""


def load_rival(folder: Path, sql: str) -> None:
    """Load the events by DuckDB alone."""
    path = folder / "rival.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        *before, insert = sql.split(";")
        for statement in before:
            connection.execute(statement)
        connection.execute(insert, {"file": str(folder / "events.jsonl")})


def load_history(folder: Path, _events: int) -> None:
    """Load the journal as every question does."""
    refresh(folder, now_ns=lambda: START_S * 10**9)


PARTS: dict[str, Callable[[Path, int], None]] = {
    "journal": write_journal,
    "lines": write_lines,
    "rival": lambda folder, _: load_rival(folder, RIVAL),
    "rival-told": lambda folder, _: load_rival(folder, RIVAL_TOLD),
    "load": load_history,
}


# -- the questions -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One set of questions: the median of all, the slowest, and the processor time of the mean."""

    median_ms: float
    slowest_ms: float
    cpu_ms: float


def asked(questions: Sequence[Callable[[], object]]) -> Asked:
    took: list[float] = []
    cpu_s = time.process_time()
    for question in questions:
        began_s = time.perf_counter()
        question()
        took.append((time.perf_counter() - began_s) * 1000)
    cpu_ms = (time.process_time() - cpu_s) * 1000 / len(questions)
    return Asked(statistics.median(took), max(took), cpu_ms)


POWER_STATES = """
SELECT seq, received_at, name, old, new FROM changes
WHERE class = 'vm' AND field = 'power_state'
    AND received_at >= make_timestamptz($since) AND received_at < make_timestamptz($until)
ORDER BY seq
"""
COUNTS = """
SELECT class, epoch_us(received_at) // 3600000000 AS hour, count(*) FROM events GROUP BY ALL
"""


def ask(history: History, entries: int) -> dict[str, Asked]:
    """Ask the usual questions, of chosen objects at chosen times."""
    rng = random.Random(7)
    found = history.all(
        Found,
        "SELECT pool, class, ref, uuid, name, gone FROM objects WHERE class = 'vm' ORDER BY ref",
    )
    vms = rng.sample(found, QUESTIONS)
    first_us = START_S * 1_000_000
    (last_us,) = history.plain("SELECT epoch_us(max(received_at)) FROM events", {})[0]
    assert isinstance(last_us, int)

    instants = [Instant(at_us=rng.randrange(first_us + 1_000_000, last_us)) for _ in vms]
    sinces = [rng.randrange(first_us, max(last_us - DAY_US, first_us + 1)) for _ in vms]
    days = [{"since": since, "until": since + DAY_US} for since in sinces]
    sets: dict[str, list[Callable[[], object]]] = {
        "one object at T": [
            partial(state_of, history, vm, at) for vm, at in zip(vms, instants, strict=True)
        ],
        "the history of one object": [partial(life_of, history, vm) for vm in vms],
        "a whole pool at T": [partial(states_of_pool, history, "lab", at) for at in instants],
        "power-state changes of a day": [partial(history.table, POWER_STATES, day) for day in days],
        "counts by class and hour": [partial(history.table, COUNTS)] * QUESTIONS,
    }
    return {name: asked(questions) for name, questions in sets.items()}


# -- the report --------------------------------------------------------------------------------


@dataclass
class Report:
    """A table of what was measured; remembers whether all of it is within its limits."""

    good: bool = True

    def row(self, what: str, value: str, limit: str = "", fits: bool | None = None) -> None:
        verdict = {None: "", True: "ok", False: "EXCEEDED"}[fits]
        self.good = self.good and fits is not False
        say(f"{what:40s} {value:>34s} {limit:>12s}  {verdict}")


def told(cost: Cost) -> str:
    return f"{cost.wall_s:,.1f} s ({cost.cpu_s:,.1f} s of processors)"


def bench(folder: Path, events: int) -> bool:
    """Make, load, ask; return whether everything is within its limits."""
    report = Report()
    if not (folder / "journal").exists():
        report.row("writing and packing the journal", told(cost_of("journal", folder, events)))
    entries = head(folder / "journal").last_seq
    rival_events = min(events, RIVAL_EVENTS_MAX)
    cost_of("lines", folder, events)
    rival, rival_told = (cost_of(part, folder, events) for part in ("rival", "rival-told"))
    for name in ("events.jsonl", "rival.duckdb"):
        (folder / name).unlink()
    (folder / "history.duckdb").unlink(missing_ok=True)
    cost = cost_of("load", folder, events)
    speed, rival_speed = entries / cost.wall_s, rival_events / rival.wall_s
    report.row(f"read_json of {rival_events:,} events", told(rival))
    report.row("  events/s", f"{rival_speed:,.0f}")
    report.row("  events/s, told the columns", f"{rival_events / rival_told.wall_s:,.0f}")
    report.row(f"loading {entries:,} entries", told(cost))
    report.row(
        *("  entries/s", f"{speed:,.0f}", f">= {LOADED_PER_S_MIN:,}", speed >= LOADED_PER_S_MIN)
    )
    share = speed / rival_speed
    report.row(
        "  share of read_json", f"{share:.2f}", f">= {RIVAL_SHARE_MIN}", share >= RIVAL_SHARE_MIN
    )
    report.row(
        "  peak of memory",
        f"{cost.peak_mb:,.0f} MB",
        f"<= {LOADER_MB_MAX} MB",
        cost.peak_mb <= LOADER_MB_MAX,
    )
    size = (folder / "history.duckdb").stat().st_size / entries
    report.row("  bytes an event", f"{size:,.0f}", f"<= {EVENT_BYTES_MAX}", size <= EVENT_BYTES_MAX)
    factor = MANY_EVENTS_FACTOR if entries > 2 * MANY_EVENTS else 1
    with open_for_reading(folder / "history.duckdb") as history:
        for name, answer in ask(history, entries).items():
            limit = QUESTIONS_MS_MAX[name] * factor
            value = f"{answer.median_ms:,.1f} ms (max {answer.slowest_ms:,.0f}, processors"
            report.row(
                name,
                f"{value} {answer.cpu_ms:,.0f})",
                f"<= {limit} ms",
                answer.median_ms <= limit,
            )
    return report.good


def main() -> None:
    """Run all of it, or the one part that `--only` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", choices=PARTS)
    options = parser.parse_args()
    if options.only:
        PARTS[options.only](options.folder, options.events)
        return
    if options.keep:
        options.folder.mkdir(parents=True, exist_ok=True)
        raise SystemExit(0 if bench(options.folder, options.events) else 1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        raise SystemExit(0 if bench(Path(folder), options.events) else 1)


if __name__ == "__main__":
    main()
