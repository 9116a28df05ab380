"""Ingest: events as fast as a server hands them out, taken by the recorder and by its rivals."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, by_turns, ratio
from tests.bench.child import Cost
from tests.bench.ingest.race import Start, Where, module, run
from tests.bench.ingest.replies import Form, script, told
from tests.clients.node import FOLDER, NodeAbsent, ready_node

TITLE = "Ingest: events taken as fast as a pool hands them out"

COUNTS = {1: 1_000, 10: 3_000, 100: 8_000, 1_000: 6_000}
"""Events by events a reply: one at a time, each costs a sync of the disk."""

COUNTS_QUICK = {100: 2_000}

DECIDES = 100
"""The events a reply at which ratios have limits."""

OFFICIAL = "XenAPI.py"
ORCHESTRA = "xen-api"
BARE = "bare loop"
DUTIES = "bare loop, all duties"
WIRE = "TLS and JSON alone"

EVENTS_S = "events/s"
EVENTS_CPU_S = "events/CPU s"
MEMORY = "MB"

WORK = """\
A server in a process of its own replays the same events of a busy pool over TLS on loopback: whole
records, of which a few fields change from one event to the next, 4 KB for a VM or a host and 2.6 KB
in the mean. The replies are written before the clock runs. Each client is alone with the server, in
a fresh process; it logs in, reads a baseline of one object, and is then given all events, with 1,
10, 100 or 1,000 of them in a reply. The clock and the processor time run from there until it has
handled the last one; MB is the most memory that the process had.

- **xentrail** is the recorder as it ships: secrets are hidden, and an event counts once it is
  hashed, numbered and synced to the disk. Over XML-RPC it is asked as an old host would be. No run
  is long enough to fill a segment, which is compressed in the background.
- **XenAPI.py** is the loop of the official sample, which speaks XML-RPC: it prints a line for each
  event, to /dev/null.
- **xen-api** is the library of Xen Orchestra in node: it asks `event.from` in JSON and keeps the
  objects in memory. Its pause of 200 ms between two calls was taken away.
- **bare loop** is the limit: one blocking connection in Python, from which events are cut, packed,
  hashed, written and synced once a reply, and nothing else.
- **bare loop, all duties** also does what a recorder has to: it looks for secrets with the decoders
  of xentrail, though it replaces none, for the reference of its session, and writes frames with
  checksum, chain and tree.
- **TLS and JSON alone** is the same loop without what comes after the cutting."""

BOUND = """\
The limit is the bare loop. With few events a reply it waits for the disk, which it syncs once a
reply; the recorder reads on meanwhile and syncs what has come in one go. With many events a reply
it is TLS, JSON and SHA-256, at a gigabyte a second each.

The bare loop with all duties is the least that a recorder in Python has to do: what FORMAT.md and
the policy of redaction demand, with the libraries of the recorder. Each record is read once more,
for secrets (to read it at all takes a microsecond a kilobyte), searched for the reference of the
session, and has its part in checksum, chain and tree. At 100 events a reply that loop comes to
about half of what the bare loop does for a second of the processor, and to about twenty times
XenAPI.py: the limits leave next to nothing for connections that break, gaps, the census, other
pools and those who ask how it goes. Of the pace of that loop the recorder has some two thirds.

What holds it back beyond that: with a hundred events a reply and more, a fourth to a third of its
time is the search for secrets; a sixth each are the decoding of JSON and what the journal does
beyond packing and hashing (checksum, tree, writing). Tried and left: to cut a reply by its text, so
that each record is read only once, takes about as long as the reading that it saves; to hash in
pieces, so that threads do not take turns in between, gained nothing that showed again; a CRC-32 by
other instructions would save a twentieth, for one library more. With one event a reply it is the
turns of the scheduler, the sockets, and the way to the thread of the journal and back. Over XML-RPC
it is the parser, for the recorder as for XenAPI.py: to see that a reply is well-formed takes a
fourth of reading it, and to swap its tags for JSON half."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Who takes events, in which form, and how it is started."""

    who: str
    form: Form
    start: Callable[[int, Where], Start]


def measure(bench: Bench) -> Chapter:
    """Have each rival take the events of each size of replies by turns."""
    chapter = Chapter(WORK, BOUND)
    rivals = [
        Rival(OURS, Form.NEXT_JSON, partial(_ours, bench.folder)),
        Rival(OURS, Form.NEXT_XML, partial(_ours, bench.folder)),
        Rival(OFFICIAL, Form.NEXT_XML, _official),
        Rival(BARE, Form.NEXT_JSON, partial(_bare, bench.folder)),
        Rival(DUTIES, Form.NEXT_JSON, partial(_duties, bench.folder)),
        Rival(WIRE, Form.NEXT_JSON, _wire),
    ]
    try:
        rivals.append(Rival(ORCHESTRA, Form.FROM_JSON, partial(_orchestra, ready_node())))
    except NodeAbsent as absent:
        chapter.remarks.append(f"{ORCHESTRA} is not among the rivals: node is absent ({absent}).")
    counts = COUNTS_QUICK if bench.quick else COUNTS
    events = told(max(counts.values()))
    for batch, count in counts.items():
        for form in Form:
            script(events[:count], form, batch).write(bench.folder / form)
        works = [
            (f"{rival.who}, {_row(batch, rival.form)}", partial(_run, bench.folder, count, rival))
            for rival in rivals
        ]
        costs = by_turns(bench, works)
        for rival, (name, _) in zip(rivals, works, strict=True):
            chapter.figures += _figures(rival, batch, count, costs[name])
        _compare(chapter, batch)
    return chapter


def _run(folder: Path, count: int, rival: Rival) -> Cost:
    return run(folder / rival.form, partial(rival.start, count))


def _row(batch: int, form: Form) -> str:
    events = "event" if batch == 1 else "events"
    return f"{batch:,} {events} a reply, {'XML-RPC' if form.is_xml else 'JSON-RPC'}"


def _figures(rival: Rival, batch: int, count: int, costs: list[Cost]) -> list[Figure]:
    row = _row(batch, rival.form)
    return [
        Figure.of(row, rival.who, EVENTS_S, [count / cost.wall_s for cost in costs]),
        Figure.of(row, rival.who, EVENTS_CPU_S, [count / cost.cpu_s for cost in costs]),
        Figure.of(row, rival.who, MEMORY, [cost.peak_mb for cost in costs]),
    ]


def _compare(chapter: Chapter, batch: int) -> None:
    """Hold our JSON against what each rival speaks, and our XML against the one that does."""
    decides = batch == DECIDES
    json, xml = _row(batch, Form.NEXT_JSON), _row(batch, Form.NEXT_XML)
    pairs = [
        (json, OFFICIAL, xml, Limit("at least", 20.0)),
        (xml, OFFICIAL, xml, None),
        (json, ORCHESTRA, json, Limit("at least", 1.2)),
        (json, BARE, json, Limit("at least", 0.5)),
        (json, DUTIES, json, None),
    ]
    there = {figure.who for figure in chapter.figures}
    for row, rival, its_row, limit in pairs:
        for unit in (EVENTS_S, EVENTS_CPU_S) if rival in there else ():
            ours, theirs = chapter.find(row, OURS, unit), chapter.find(its_row, rival, unit)
            what = f"{unit} against {rival}, {row}"
            chapter.verdicts.append(ratio(what, ours, theirs, limit if decides else None))
    for rival, its_row in ((OFFICIAL, xml), (BARE, json)):
        for unit in (EVENTS_S, EVENTS_CPU_S):
            least, theirs = chapter.find(json, DUTIES, unit), chapter.find(its_row, rival, unit)
            what = f"{unit} of the {DUTIES}, against {rival}, {json}"
            chapter.verdicts.append(ratio(what, least, theirs, None))


# -- how each is started ---------------------------------------------------------------------------


def _ours(folder: Path, count: int, where: Where) -> Start:
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    return Start(module("ours", where.url, where.fingerprint, data, count))


def _official(count: int, where: Where) -> Start:
    return Start(module("official", where.url, count))


def _bare(folder: Path, count: int, where: Where) -> Start:
    path = folder / "bare"
    path.unlink(missing_ok=True)
    return Start(module("bare", where.port, count, path))


def _duties(folder: Path, count: int, where: Where) -> Start:
    path = folder / "duties"
    path.unlink(missing_ok=True)
    return Start(module("duties", where.port, count, path))


def _wire(count: int, where: Where) -> Start:
    return Start(module("bare", where.port, count))


def _orchestra(node: str, count: int, where: Where) -> Start:
    url = where.url.replace("://", "://root:x@")
    environment = {**os.environ, "WATCH_URL": url, "WATCH_COUNT": str(count)}
    return Start([node, "count.mjs"], environment, FOLDER)
