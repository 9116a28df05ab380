"""Verify of raw segments, held against programs that only hash the same bytes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import which

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, by_turns, ratio
from tests.bench.child import Cost, cost_of, costs_of
from tests.bench.journal.made import MB, mixed, sealed, write_journal

PROGRAMS = {"sha256sum": ("sha256sum",), "openssl dgst": ("openssl", "dgst", "-sha256")}
SHARE_MIN = 0.5
"""Of the speed of sha256sum."""


def verify(bench: Bench, folder: Path, chapter: Chapter) -> None:
    """Check raw segments of several hundred MB."""
    write_journal(folder, mixed(bench.of(150_000, 25_000)))
    files = sealed(folder)
    size_mb = sum(file.stat().st_size for file in files) / MB
    what = "raw segments"
    works: list[tuple[str, Callable[[], Cost]]] = [
        (OURS, partial(_ours, "verify", folder, 1)),
        (f"{OURS}, 2 processes", partial(_ours, "verify", folder, 2)),
        ("hashlib", partial(_ours, "hash", folder)),
    ]
    for name, command in PROGRAMS.items():
        if which(command[0]):
            works.append((name, partial(cost_of, *command, *files)))
        else:
            chapter.remarks.append(f"`{command[0]}` is not on this machine.")
    for who, costs in by_turns(bench, works).items():
        speeds = [size_mb / cost.wall_s for cost in costs]
        cpu_ms = [cost.cpu_s * 1000 / size_mb for cost in costs]
        chapter.figures += [
            Figure.of(what, who, "MB/s checked", speeds),
            Figure.of(what, who, "ms of processors a MB checked", cpu_ms),
        ]
        if who in PROGRAMS:
            ours, theirs = (chapter.find(what, one, "MB/s checked") for one in (OURS, who))
            limit = Limit("at least", SHARE_MIN) if who == "sha256sum" else None
            chapter.verdicts.append(ratio(f"verify, speed against {who}", ours, theirs, limit))


def _ours(*arguments: object) -> Cost:
    return costs_of("tests.bench.journal.work", *arguments)["all"]
