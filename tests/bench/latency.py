"""Latency: how long after a change it is on the disk of the recorder, and in an answer."""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from query.history.database import open_for_reading
from query.load.loader import refresh
from query.questions.plain import Filter, events
from recorder.journal.store import Journal
from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns
from tests.bench.journal.made import UnsyncedDisk
from tests.bench.living import PASSWORD, USER, Living, living
from tests.bench.mix import START_S, epoch_drafts
from tests.bench.recording import ROOT, recording

TITLE = "Latency: from a change in the pool to the disk, and to an answer"

OFFICIAL = "XenAPI.py"
SERVER = "the server"
MACHINE = "the machine"

RATES = {1: (3, 1), 100: (200, 50), 1_000: (2_000, 500)}
"""Changes a second, and how many of them are made in a round, also in a quick one."""
SETTLE_S = 0.5
"""After the last change: by then each client has seen it."""
HOSTS, VMS = 3, 50

MEDIAN, P99 = "ms, median", "ms, 99th percentile"
MEDIAN_MS_MAX, P99_MS_MAX = 5.0, 50.0

LOADED_EVENTS = (50_000, 5_000)
NEW_EVENTS = (1, 100, 1_000)
ANSWER = "ms to an answer"

WORK = """\
A simulated pool in a process of its own, over TLS on loopback, makes changes at times that chance
spreads; it notes when it made each, and when the answer left in which the change is told, before
that is encrypted. The difference is the server's own delay. Each client runs in a fresh process,
and its figure is what it adds:

- **xentrail**, the command as it ships, until the change is hashed, numbered and synced to the
  disk, which is when the recorder itself learns of it;
- **XenAPI.py**, the loop of the official sample, until the change is in memory, decoded.

Beside them stands **the machine**: a process that waits at a pipe as often, and does nothing but
write and sync 4,000 bytes when it is woken. Where that is slow, so is everybody.

*To an answer*: new events are in a journal, with many of which the history is up to date. The time
is that of loading the new ones and asking for the newest ten, in a program that runs, and by the
command `xentrail events` from its start."""

BOUND = """\
The limit is the disk: each change that comes alone costs one sync. At 1,000 changes a second many
share one, and what is waited for is the sync under way and the next. At one change a second all
wait for a machine that sleeps in between, server and official client, too; how long that takes by
itself, with a sync of a disk that slept, is told under "the machine". To an answer it is DuckDB,
which reads what it knows of the objects and writes a few tables, and for the command the start of
Python."""


@dataclass(frozen=True, slots=True)
class Told:
    """Delays of all changes of a round, in ms: the server's own, and what the client added."""

    server: Sequence[float]
    client: Sequence[float]


def measure(bench: Bench) -> Chapter:
    """Measure both ways."""
    chapter = Chapter(WORK, BOUND)
    with living(HOSTS, VMS) as pool:
        works: list[tuple[str, Callable[[], dict[int, Told]]]] = [
            (OURS, partial(_ours, bench, pool)),
            (OFFICIAL, partial(_official, bench, pool)),
            (MACHINE, partial(_machine, bench)),
        ]
        outcomes = by_turns(bench, works)
    for rate in RATES:
        row = f"{rate:,} changes/s" if rate > 1 else "1 change/s"
        for who, rounds in outcomes.items():
            chapter.figures += _figures(row, who, [told[rate].client for told in rounds])
        chapter.figures += _figures(row, SERVER, [told[rate].server for told in outcomes[OURS]])
        for unit, most in ((MEDIAN, MEDIAN_MS_MAX), (P99, P99_MS_MAX)):
            spread = chapter.find(row, OURS, unit).spread
            what = f"{unit.removeprefix('ms, ')} to the disk, {row}"
            chapter.verdicts.append(Verdict(what, "ms", spread, Limit("at most", most)))
    _answers(bench, chapter)
    return chapter


def _figures(row: str, who: str, rounds: Sequence[Sequence[float]]) -> list[Figure]:
    return [
        Figure.of(row, who, MEDIAN, [statistics.median(delays) for delays in rounds]),
        Figure.of(row, who, P99, [percentile_99(delays) for delays in rounds]),
    ]


def percentile_99(values: Sequence[float]) -> float:
    """Return the smallest value that 99 of 100 do not exceed: the largest of fewer than 100."""
    return sorted(values)[-(-len(values) * 99 // 100) - 1]


# -- to the disk -----------------------------------------------------------------------------------


def _ours(bench: Bench, pool: Living) -> dict[int, Told]:
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        with recording(Path(folder), pool.target) as recorder:
            recorder.until("baseline-done")
            records = _changes(bench, pool)
            recorder.stop()
        seen = [(at_ns, last_id) for at_ns, last_id, _ in recorder.groups]
    return {rate: delays(record, seen) for rate, record in records.items()}


def _official(bench: Bench, pool: Living) -> dict[int, Told]:
    with _listening(pool) as seen:
        records = _changes(bench, pool)
    return {rate: delays(record, seen) for rate, record in records.items()}


def _changes(bench: Bench, pool: Living) -> dict[int, dict[str, Any]]:
    """Make changes at each rate, and leave time for the last of them to be seen."""
    records = {
        rate: pool.order("change", per_s=rate, count=bench.of(*counts))
        for rate, counts in RATES.items()
    }
    time.sleep(SETTLE_S)
    return records


@contextmanager
def _listening(pool: Living) -> Iterator[list[tuple[int, int]]]:
    """Let the official client listen until the block ends; then the list has what it read."""
    read: list[tuple[int, int]] = []
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.bench.readers.listen",
            pool.target.addresses[0],
            USER,
            PASSWORD,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield read
        finally:
            process.send_signal(signal.SIGTERM)
            read += [(at_ns, last_id) for at_ns, last_id in json.loads(process.stdout.readline())]


def delays(record: dict[str, Any], seen: Sequence[tuple[int, int]]) -> Told:
    """Return how long each change took to leave the server, and from there until it was seen.

    An answer tells of all events up to its last; one that a client has seen was told by the first
    answer with an id as high.
    """
    left, server, client = record["left"], [], []
    for made_ns, event_id in record["made"]:
        left_ns = _first(left, event_id)
        server.append((left_ns - made_ns) / 1e6)
        client.append((_first(seen, event_id) - left_ns) / 1e6)
    return Told(server, client)


def _first(told: Sequence[Sequence[int]], event_id: int) -> int:
    """Return when the first of these (time, last id) came that has an event in it."""
    place = bisect_left(told, event_id, key=lambda one: one[1])
    if place == len(told):
        raise RuntimeError(f"event {event_id} was not seen {SETTLE_S:g} s after the last change")
    return told[place][0]


def _machine(bench: Bench) -> dict[int, Told]:
    """Wake a process as often, at times that chance spreads, and have it write and sync."""
    command = [sys.executable, "-m", "tests.bench.readers.write", str(bench.folder / "written")]
    rng = random.Random(1)
    woken: dict[int, Told] = {}
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for rate, counts in RATES.items():
            took: list[float] = []
            for _ in range(bench.of(*counts)):
                time.sleep(rng.expovariate(rate))
                process.stdin.write(f"{time.time_ns()}\n")
                process.stdin.flush()
                took.append(int(process.stdout.readline()) / 1e6)
            woken[rate] = Told((), took)
    return woken


# -- to an answer ----------------------------------------------------------------------------------


def _answers(bench: Bench, chapter: Chapter) -> None:
    """Add events to a journal whose history is up to date, again and again, and ask for them."""
    drafts = epoch_drafts(1_000_000, vms=560)
    with Journal.open(
        bench.folder / "data" / "journal", now_ns=lambda: START_S * 10**9, disk=UnsyncedDisk()
    ) as journal:
        for _ in range(bench.of(*LOADED_EVENTS) // 1_000):
            journal.append(list(islice(drafts, 1_000)))
        refresh(bench.folder / "data")
        for new in NEW_EVENTS:
            row = f"{new:,} new events" if new > 1 else "1 new event"
            for who, ask in ((OURS, _ask), ("xentrail events", _command)):
                took: list[float] = []
                for _ in range(bench.rounds):
                    journal.append(list(islice(drafts, new)))
                    began_s = time.perf_counter()
                    ask(bench.folder / "data")
                    took.append((time.perf_counter() - began_s) * 1000)
                chapter.figures.append(Figure.of(row, who, ANSWER, took))
            bench.say(f"asked after {row}")


def _ask(data: Path) -> None:
    refresh(data)
    with open_for_reading(data / "history.duckdb") as history:
        events(history, Filter(limit=10))


def _command(data: Path) -> None:
    command = [str(Path(sys.executable).with_name("xentrail")), "events", "--limit", "10"]
    environment = {**os.environ, "XENTRAIL_DATA": str(data)}
    subprocess.run(command, env=environment, capture_output=True, check=True)
