"""A sealed segment packed, held against zstd alone and gzip of the same events as JSON lines."""

import shutil
from functools import partial
from itertools import islice
from pathlib import Path

from recorder.journal.files import Disk
from recorder.journal.names import packed_path, segment_path
from recorder.journal.packing import LEVEL
from recorder.journal.segment import Cursor
from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.child import Cost, costs_of
from tests.bench.journal.made import MB, line, mixed, sealed, write_journal

SEGMENT_EVENTS = 24_000
"""More than fill one segment."""
EVENT_BYTES_MAX = 90
GZIP = "gzip -6 of JSON lines"
ZSTD = f"zstd -{LEVEL} --long=27"
WAYS = {OURS: "segment", ZSTD: "zstd-long", f"zstd -{LEVEL}": "zstd", GZIP: "gzip"}
UNIT_SPEED = "MB/s packed"
UNIT_SIZE = "bytes an event, packed"


def pack(bench: Bench, folder: Path, chapter: Chapter) -> None:
    """Pack one full segment."""
    journal = folder / "journal"
    write_journal(journal, mixed(SEGMENT_EVENTS))
    raw, events = sealed(journal)[0], _entries_of_the_first(journal)
    lines = folder / "lines"
    with lines.open("wb") as file:
        file.writelines(map(line, islice(mixed(SEGMENT_EVENTS), events)))
    food = {way: lines if way == "gzip" else raw for way in WAYS.values()}
    works = [(who, partial(_round, folder, way, food[way])) for who, way in WAYS.items()]
    what = "one segment"
    for who, rounds in by_turns(bench, works).items():
        size_mb = food[WAYS[who]].stat().st_size / MB
        sizes = [size / events for _, size in rounds]
        chapter.figures += [
            Figure.of(what, who, UNIT_SPEED, [size_mb / cost.wall_s for cost, _ in rounds]),
            Figure.of(what, who, UNIT_SIZE, sizes),
        ]
    size = chapter.find(what, OURS, UNIT_SIZE)
    limit = Limit("at most", EVENT_BYTES_MAX)
    chapter.verdicts += [
        Verdict("packed size of an event", "bytes", size.spread, limit),
        ratio("packed size against gzip of JSON lines", size, chapter.find(what, GZIP, UNIT_SIZE)),
        ratio(
            "packing, speed against zstd alone",
            chapter.find(what, OURS, UNIT_SPEED),
            chapter.find(what, ZSTD, UNIT_SPEED),
        ),
    ]


def _round(folder: Path, way: str, food: Path) -> tuple[Cost, int]:
    """Return the cost of packing, and the size of what came out."""
    out = folder / "out"
    out.mkdir()
    if way == "segment":
        shutil.copy(food, out)
    cost = costs_of("tests.bench.journal.work", "pack", way, food, out)["all"]
    packed = packed_path(out, 1) if way == "segment" else out / "packed"
    size = packed.stat().st_size
    shutil.rmtree(out)
    return cost, size


def _entries_of_the_first(folder: Path) -> int:
    """Return how many entries the first segment has."""
    with Cursor(segment_path(folder, 2), Disk()) as cursor:
        return cursor.header.first_seq - 1
