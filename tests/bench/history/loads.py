"""Loading the history, held against DuckDB's read_json and against SQLite."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recorder.journal.scan import head
from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.child import Cost, costs_of
from tests.bench.history.made import LINES_MAX, lines_of

LOADED_PER_S_MIN = 15_000
READ_JSON_SHARE_MIN = 0.5
EVENT_BYTES_MAX = 300
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
    _judge(chapter)


def _load(folder: Path, store: Store) -> Cost:
    return costs_of("tests.bench.history.work", store.work, folder)["all"]


def _judge(chapter: Chapter) -> None:
    speed = chapter.find("load", OURS, "events/s")
    memory = chapter.find("load", OURS, "MB of memory")
    size = chapter.find("on disk", OURS, "bytes an event")
    per_s, share = Limit("at least", LOADED_PER_S_MIN), Limit("at least", READ_JSON_SHARE_MIN)
    chapter.verdicts += [
        Verdict("loading", "events/s", speed.spread, per_s),
        Verdict("memory to load", "MB", memory.spread, Limit("at most", LOADER_MB_MAX)),
        Verdict("size of an event", "bytes", size.spread, Limit("at most", EVENT_BYTES_MAX)),
    ]
    for rival in chapter.figures:
        if (rival.what, rival.unit) == ("load", "events/s") and rival.who != OURS:
            limit = share if rival.who == READ_JSON else None
            told = f"loading, speed against {rival.who}"
            chapter.verdicts.append(ratio(told, speed, rival, limit))
    for rival in chapter.figures:
        if rival.unit == size.unit and rival.who != OURS:
            chapter.verdicts.append(ratio(f"size against {rival.who}", size, rival))
