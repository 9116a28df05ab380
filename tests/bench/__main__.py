"""Everything that is measured, in one command; run `python -m tests.bench` (--help says more).

Each chapter is a module that measures one thing against named rivals. A table of ratios goes to the
screen, everything to BENCHMARKS.md with its pictures, and as JSON to a file that --json names.
"""

import argparse
import importlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.chapter import Bench, Chapter
from tests.bench.page import as_json, page, table_of_verdicts
from tests.bench.place import place

ROOT = Path(__file__).parents[2]
CHAPTERS = (
    "ingest",
    "latency",
    "baseline",
    "failover",
    "journal",
    "history",
    "scale",
    "workloads",
)
ROUNDS = 5
ROUNDS_QUICK = 2


def say(text: str) -> None:
    """Tell a line of progress: figures go to standard output, progress does not."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def measure(name: str, options: argparse.Namespace) -> Chapter:
    """Measure one chapter, in a folder that is gone afterwards."""
    module = importlib.import_module(f"tests.bench.{name}")
    began_s = time.monotonic()
    say(f"{name}: {module.TITLE}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rounds = ROUNDS_QUICK if options.quick else options.rounds
        bench = Bench(Path(folder), rounds, options.quick, lambda text: say(f"  {text}"))
        chapter: Chapter = module.measure(bench)
    say(f"{name}: took {time.monotonic() - began_s:.0f} s")
    return chapter


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure xentrail against its rivals, and write BENCHMARKS.md.",
    )
    parser.add_argument(
        "chapters",
        nargs="*",
        metavar="CHAPTER",
        help=f"which of {', '.join(CHAPTERS)} (default: all); fewer than all write no page",
    )
    parser.add_argument("--quick", action="store_true", help="less data and fewer rounds")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"rounds of each (default {ROUNDS})"
    )
    parser.add_argument(
        "--folder", type=Path, help="where to work; needs 10 GB on a disk that syncs"
    )
    parser.add_argument(
        "--output", type=Path, help="the page to write (default BENCHMARKS.md after a full run)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    options = parser.parse_args(arguments)
    for name in options.chapters:
        if name not in CHAPTERS:
            parser.error(f"no chapter is called {name!r}; there are {', '.join(CHAPTERS)}")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def main() -> None:
    """Measure, print the ratios, write what was asked for; ends with 1 if a limit is missed."""
    logging.disable()
    options = asked()
    names = options.chapters or CHAPTERS
    chapters = {}
    for name in names:
        chapters[name] = measure(name, options)
        sys.stdout.write(table_of_verdicts(name, chapters[name]))
        sys.stdout.flush()
    where = place()
    if options.json:
        options.json.write_text(json.dumps(as_json(where, chapters), indent=1) + "\n")
    output = options.output
    if output is None and not options.quick and not options.chapters:
        output = ROOT / "BENCHMARKS.md"
    if output:
        page(output, where, chapters)
        say(f"written: {output}")
    missed = [v for chapter in chapters.values() for v in chapter.verdicts if v.holds is False]
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
