"""Group commit, held against a bare loop that does the same, and against the disk alone."""

from functools import partial
from pathlib import Path

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, by_turns, ratio
from tests.bench.child import Cost, costs_of

BATCHES = {1: 300, 10: 200, 100: 100, 1000: 20}
"""How many batches of each size."""
BARE = "bare loop"
WAYS = {OURS: "ours", BARE: "bare", "write and fdatasync": "disk"}
BARE_SHARE_MIN = 0.6


def append(bench: Bench, folder: Path, chapter: Chapter) -> None:
    """Append batches of several sizes."""
    counts = {size: bench.of(count, max(count // 10, 5)) for size, count in BATCHES.items()}
    plan = [f"{size}:{count}" for size, count in counts.items()]
    works = [(who, partial(_round, folder, way, plan)) for who, way in WAYS.items()]
    rounds = by_turns(bench, works)
    for size, count in counts.items():
        what, events = f"batches of {size:,}", size * count
        for who, costs in rounds.items():
            spent = [cost[str(size)] for cost in costs]
            each_us = [cost.cpu_s / events * 1e6 for cost in spent]
            chapter.figures += [
                Figure.of(what, who, "events/s", [events / cost.wall_s for cost in spent]),
                Figure.of(what, who, "µs of processors an event", each_us),
            ]
        ours, bare = (chapter.find(what, who, "events/s") for who in (OURS, BARE))
        limit = Limit("at least", BARE_SHARE_MIN) if size == 100 else None
        share = ratio(f"append in {what}, speed against the bare loop", ours, bare, limit)
        chapter.verdicts.append(share)


def _round(folder: Path, way: str, plan: list[str]) -> dict[str, Cost]:
    return costs_of("tests.bench.journal.work", "append", folder, way, *plan)
