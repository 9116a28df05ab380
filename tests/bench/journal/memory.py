"""Peak memory of whoever reads a journal, by the size of the journal; no part of the chapter."""

from pathlib import Path

from tests.bench.chapter import OURS, Bench, Chapter, Figure
from tests.bench.child import costs_of
from tests.bench.journal.made import mixed, write_journal

WORKS = {
    "nothing": "nothing",
    "verify": "verify",
    "scan": "scan",
    "pack": "pack-all",
    "verify packed": "verify",
    "scan packed": "scan",
}


def memory(bench: Bench, folder: Path, chapter: Chapter) -> None:
    """Read a small and a large journal."""
    for name, events in (("100 MB", 36_000), ("1 GB", 360_000)):
        write_journal(folder / name, mixed(events))
        for what, work in WORKS.items():
            cost = costs_of("tests.bench.journal.work", work, folder / name)["all"]
            chapter.figures.append(Figure.of(what, OURS, f"MB at most, of {name}", [cost.peak_mb]))
            bench.say(f"{name}: {what}")
