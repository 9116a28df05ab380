"""How fast, how small and how quick to answer the history is; `python -m tests.bench.history`.

A journal of the mix (mix.py: 560 VMs, some 2,700 objects) is loaded and asked as the chapter does
it, but once, and without SQLite and the walk over lines. With more than a million events the
questions may take four times as long. Ends with 1 if a limit is missed.

`--events` says how many, `--folder` where (a million take 4 GB there, most of it for the rival),
`--keep` leaves journal and history there for the next run.
"""

import argparse
import tempfile
from pathlib import Path

from recorder.journal.scan import head
from tests.bench.chapter import OURS, Bench, Chapter
from tests.bench.history.asking import ask
from tests.bench.history.loads import SQLITE, STORES, load
from tests.bench.history.made import lines_of, write_food
from tests.bench.plain import say, tell

MANY_EVENTS = 1_000_000
MANY_EVENTS_FACTOR = 4


def bench(folder: Path, events: int) -> bool:
    """Make, load, ask; return whether everything is within its limits."""
    one = Bench(folder, rounds=1, quick=False, say=say)
    chapter = Chapter("", "")
    write_food(folder, events)
    stores = [store for store in STORES if store.who != SQLITE]
    load(one, chapter, stores)
    for store in stores:
        if store.who != OURS:
            (folder / store.file).unlink()
    lines_of(folder).unlink()
    many = head(folder / "journal").last_seq > 2 * MANY_EVENTS
    ask(one, chapter, factor=MANY_EVENTS_FACTOR if many else 1, rivals=False)
    return tell(chapter)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=MANY_EVENTS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if options.keep:
        options.folder.mkdir(parents=True, exist_ok=True)
        raise SystemExit(0 if bench(options.folder, options.events) else 1)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        raise SystemExit(0 if bench(Path(folder), options.events) else 1)


if __name__ == "__main__":
    main()
