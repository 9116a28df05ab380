"""Failover and restart: how long the record is interrupted, and how long a start takes."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import copytree

from recorder.journal.store import Journal
from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns
from tests.bench.journal.made import UnsyncedDisk
from tests.bench.living import Living, living
from tests.bench.mix import epoch_drafts
from tests.bench.recording import Recording, recording

TITLE = "Failover and restart: how soon the recorder is back"

HOSTS, VMS = 3, 10
CHANGES_PER_S = 200
OUTAGE_S = 2.0

FIRST = "first-event"

FIRST_EVENT = "s to the first event"
BASELINE = "s to the whole state"
BACK_S_MAX = 1.0
"""What README promises of a new master, and of a start."""

MOVED = "a new master answers"
RESTARTED = "the toolstack was restarted"
FRESH = "the first start"
AGAIN = "a start after a kill"
GROWN = "the same, with much in the journal"
GROWN_EVENTS = 20_000
"""Some 50 MB in the segment that was not sealed, which may have 64 MiB."""

WORK = f"""\
A simulated pool of three hosts in a process of its own, over TLS on loopback, changes all the time.
xentrail is the command as it ships, in a process of its own.

- *a new master answers*: the master dies, its connections with it; {OUTAGE_S:g} s later the next
  host is the master. The time runs from there, which is not told to anybody.
- *the toolstack was restarted*: connections, sessions and the ids of events are gone, and the same
  host answers.
- *the first start*, and *a start after a kill*, which finds a journal that was not closed: once
  with few entries, once with as many in its last segment as go into one, which are all checked. The
  time runs from the start of the process.

Until the first event of the new session is synced to the disk, and until all objects are, with the
mark that closes the gap."""

BOUND = """\
A master that is away is looked for twice a second at all its hosts at once: half of that is what
waiting costs on average. Then come a handshake, a login, and five calls before the first event can
come. A start is the start of Python: most of it is imports."""


@dataclass(frozen=True, slots=True)
class Back:
    """Seconds until the recorder was back: with the first event, and with the whole state."""

    first_event_s: float
    baseline_s: float


def measure(bench: Bench) -> Chapter:
    """Interrupt recorders, and start others."""
    chapter = Chapter(WORK, BOUND)
    with living(HOSTS, VMS) as pool:
        pool.order("keep-changing", per_s=CHANGES_PER_S)
        grown = bench.folder / "grown"
        _grow(grown, GROWN_EVENTS)
        works: list[tuple[str, Callable[[], Sequence[Back]]]] = [
            ("interrupted", partial(_interrupted, bench, pool)),
            ("started", partial(_started, bench, pool, grown)),
        ]
        outcomes = by_turns(bench, works)
    rows = ((MOVED, RESTARTED), (FRESH, AGAIN, GROWN))
    for names, rounds in zip(rows, outcomes.values(), strict=True):
        for row, backs in zip(names, zip(*rounds, strict=True), strict=True):
            _tell(chapter, row, backs)
    return chapter


def _tell(chapter: Chapter, row: str, backs: Sequence[Back]) -> None:
    first = Figure.of(row, OURS, FIRST_EVENT, [back.first_event_s for back in backs])
    chapter.figures += [
        first,
        Figure.of(row, OURS, BASELINE, [back.baseline_s for back in backs]),
    ]
    limit = Limit("at most", BACK_S_MAX)
    chapter.verdicts.append(Verdict(f"to the first event: {row}", "s", first.spread, limit))


def _interrupted(bench: Bench, pool: Living) -> Sequence[Back]:
    """Take the master away from a recorder, then restart the one that it found."""
    with (
        tempfile.TemporaryDirectory(dir=bench.folder) as folder,
        recording(Path(folder), pool.target) as recorder,
    ):
        _back(recorder, 0)
        told = pool.order("move-master", outage_s=OUTAGE_S)
        moved = _back(recorder, told["answers_ns"])
        pool.order("revive", address=told["old"])
        restarted = _back(recorder, pool.order("restart")["answers_ns"])
        recorder.stop()
    return moved, restarted


def _started(bench: Bench, pool: Living, grown: Path) -> Sequence[Back]:
    """Start a recorder in an empty folder, kill it, start it again; and one where much was."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        with recording(Path(folder), pool.target) as recorder:
            fresh = _back(recorder, recorder.began_ns)
            recorder.kill()
        with recording(Path(folder), pool.target) as recorder:
            again = _back(recorder, recorder.began_ns)
            recorder.stop()
    with tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        copytree(grown, Path(folder) / "data")
        with recording(Path(folder), pool.target) as recorder:
            much = _back(recorder, recorder.began_ns)
            recorder.stop()
    return fresh, again, much


def _grow(data: Path, events: int) -> None:
    """Leave a journal as one is left by a kill: copied while it is open."""
    made, drafts = data.with_name("made"), epoch_drafts(events)
    with Journal.open(
        made / "journal", keys=made / "keys", now_ns=time.time_ns, disk=UnsyncedDisk()
    ) as journal:
        while some := list(islice(drafts, 1_000)):
            journal.append(some)
        copytree(made, data)


def _back(recorder: Recording, since_ns: int) -> Back:
    """Wait until the recorder has begun an epoch, and has the whole state."""
    told = recorder.until_all("registered", FIRST, "baseline-done")
    return Back(
        (told[FIRST].durable_at_ns - since_ns) / 1e9,
        (told["baseline-done"].durable_at_ns - since_ns) / 1e9,
    )
