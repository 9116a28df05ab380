"""How fast and how small the journal is; run `python -m tests.bench.journal [PART …]`.

Parts: append, verify, pack, open, memory; all of them if none is named. `open` writes 10 GB, unlike
the chapter, and `memory` 1 GB into a temporary folder ($TMPDIR says where), which must be on a disk
that syncs for `append` to mean anything. Ends with 1 if a limit is missed.
"""

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.chapter import Bench, Chapter
from tests.bench.journal.append import append
from tests.bench.journal.made import MB
from tests.bench.journal.memory import memory
from tests.bench.journal.opening import opening
from tests.bench.journal.pack import pack
from tests.bench.journal.verify import verify
from tests.bench.plain import say, tell

ROUNDS = 7
PARTS: dict[str, Callable[[Bench, Path, Chapter], None]] = {
    "append": append,
    "verify": verify,
    "pack": pack,
    "open": partial(opening, size=10_000 * MB),
    "memory": memory,
}


def main() -> None:
    """Run the parts that were named, or all."""
    good = True
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), ROUNDS, quick=False, say=lambda _: None)
            chapter = Chapter("", "")
            PARTS[part](bench, bench.folder, chapter)
            say(f"{part}:")
            good = tell(chapter) and good
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
