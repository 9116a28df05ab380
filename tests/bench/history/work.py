"""What is measured of the history, each in a process of its own: `… work NAME FOLDER`."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec

from query.history.database import open_for_reading
from query.load.loader import refresh
from recorder.journal.scan import scan
from tests.bench.child import measured, tell
from tests.bench.history import duck, sqlite
from tests.bench.history.answers import Ours, Sqlite, Walk
from tests.bench.history.made import lines_of
from tests.bench.history.questions import Answered, ask
from tests.bench.mix import START_S


def load(folder: Path) -> None:
    """Load the journal as every question does, into a new history."""
    refresh(folder, now_ns=lambda: START_S * 10**9)


LOADS: dict[str, Callable[[Path], None]] = {
    "load": load,
    "read-json": lambda folder: duck.load(folder, duck.PLAIN, "read.duckdb"),
    "read-json-told": lambda folder: duck.load(folder, duck.TOLD, "told.duckdb"),
    "load-sqlite": sqlite.load,
}


def asked(way: str, folder: Path, count: int) -> dict[str, Answered]:
    """Ask one of those who answer."""
    last_us = max(entry.received_at_ns for entry in scan(folder / "journal")) // 1000
    if way == "ask-lines":
        walk = Walk(lines_of(folder))
        return ask(walk, walk.vms, last_us, count)
    if way == "ask-sqlite":
        with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
            rows = Sqlite(connection)
            return ask(rows, rows.vms, last_us, count)
    with open_for_reading(folder / "history.duckdb") as history:
        ours = Ours(history)
        return ask(ours, ours.vms, last_us, count)


def main(name: str, folder: Path, *rest: str) -> None:
    """Do it."""
    if name in LOADS:
        if name == "load":
            (folder / "history.duckdb").unlink(missing_ok=True)
        tell({"all": measured(lambda: LOADS[name](folder))})
    else:
        answered = asked(name, folder, int(rest[0]))
        sys.stdout.buffer.write(msgspec.json.encode(answered))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
