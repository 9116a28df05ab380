"""Loading the history, held against DuckDB's read_json and against SQLite."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recorder.journal.scan import head
from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.child import Cost, costs_of
from tests.bench.history.made import LINES_MAX, lines_of

PER_S = Limit("at least", 15_000)
SHARE = Limit("at least", 0.5)
"""Of the speed of read_json."""
EVENT_BYTES = Limit("at most", 300)
LOADER_MB_MAX = 600

READ_JSON = "read_json"
SQLITE = "SQLite"
LINES = "lines of JSON"


@dataclass(frozen=True, slots=True)
class Store:
    """Somebody who keeps events: the name of the work that loads them, and the file they are in."""

    who: str
    work: str
    file: str


STORES = (
    Store(OURS, "load", "history.duckdb"),
    Store(READ_JSON, "read-json", "read.duckdb"),
    Store(f"{READ_JSON}, told", "read-json-told", "told.duckdb"),
    Store(SQLITE, "load-sqlite", "history.sqlite"),
)


def load(bench: Bench, chapter: Chapter, stores: Sequence[Store] = STORES) -> None:
    """Load what `write_food` has put into the folder into each store."""
    folder, what = bench.folder, "load"
    works = [(store.who, partial(_load, folder, store)) for store in stores]
    costs = by_turns(bench, works)
    entries = head(folder / "journal").last_seq
    for store in stores:
        events = entries if store.who in (OURS, SQLITE) else min(entries, LINES_MAX)
        size = (folder / store.file).stat().st_size / events
        spent = costs[store.who]
        chapter.figures += [
            Figure.of(what, store.who, "events/s", [events / cost.wall_s for cost in spent]),
            Figure.of(
                *(what, store.who, "µs of processors an event"),
                [cost.cpu_s / events * 1e6 for cost in spent],
            ),
            Figure.of(what, store.who, "MB of memory", [cost.peak_mb for cost in spent]),
            Figure.of("on disk", store.who, "bytes an event", [size] * len(spent)),
        ]
    size = lines_of(folder).stat().st_size / min(entries, LINES_MAX)
    chapter.figures.append(Figure.of("on disk", LINES, "bytes an event", [size] * bench.rounds))
    _judge(chapter, limited=not bench.quick)


def _load(folder: Path, store: Store) -> Cost:
    return costs_of("tests.bench.history.work", store.work, folder)["all"]


def _judge(chapter: Chapter, *, limited: bool) -> None:
    """Compare with the rivals, and with the limits where the load is large enough for them."""
    speed = chapter.find("load", OURS, "events/s")
    memory = chapter.find("load", OURS, "MB of memory")
    size = chapter.find("on disk", OURS, "bytes an event")
    chapter.verdicts += [
        Verdict("loading", "events/s", speed.spread, PER_S if limited else None),
        Verdict("memory to load", "MB", memory.spread, Limit("at most", LOADER_MB_MAX)),
        Verdict("size of an event", "bytes", size.spread, EVENT_BYTES if limited else None),
    ]
    for rival in chapter.figures:
        if (rival.what, rival.unit) == ("load", "events/s") and rival.who != OURS:
            limit = SHARE if limited and rival.who == READ_JSON else None
            told = f"loading, speed against {rival.who}"
            chapter.verdicts.append(ratio(told, speed, rival, limit))
    for rival in chapter.figures:
        if rival.unit == size.unit and rival.who != OURS:
            chapter.verdicts.append(ratio(f"size against {rival.who}", size, rival))
