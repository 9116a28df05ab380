"""Opening a large journal: after a clean close, and killed with a nearly full last segment."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns
from tests.bench.child import Cost, costs_of
from tests.bench.journal.made import MB

OPEN_MS_MAX = 300
WORK = "tests.bench.journal.work"


def opening(bench: Bench, folder: Path, chapter: Chapter, *, size: int | None = None) -> None:
    """Open a journal of `size` bytes, 1 GB unless said otherwise; 0.3 s are allowed for 10."""
    clean, killed = folder / "clean", folder / "killed"
    costs_of(WORK, "write", clean, size or bench.of(1_000 * MB, 100 * MB))
    shutil.copytree(clean, killed, copy_function=_linked)
    _fill_and_kill(killed)
    works = [
        ("after a clean close", partial(_open, clean)),
        ("after a kill -9", partial(_open, killed)),
    ]
    for what, costs in by_turns(bench, works).items():
        figure = Figure.of(what, OURS, "ms to open", [cost.wall_s * 1000 for cost in costs])
        chapter.figures.append(figure)
        limit = Limit("at most", OPEN_MS_MAX) if what == "after a clean close" else None
        chapter.verdicts.append(Verdict(f"opening {what}", "ms", figure.spread, limit))


def _open(folder: Path) -> Cost:
    return costs_of(WORK, "open", folder)["all"]


def _linked(source: str, target: str) -> None:
    """Share what is sealed and never changes: it is a GB. The rest is copied."""
    if Path(source).stat().st_size > MB:
        os.link(source, target)
    else:
        shutil.copy(source, target)


def _fill_and_kill(folder: Path) -> None:
    """Have a process fill the last segment nearly, and kill it."""
    command = [sys.executable, "-m", WORK, "fill", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
