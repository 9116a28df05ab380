"""Bringing the history up to date with the journal, and saying where it stands."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from recorder.clock import WallClock, wall_ns
from recorder.errors import JournalDamaged
from recorder.journal.scan import head, journal_id

from ..errors import HistoryBusy, HistoryOfAnother, HistoryUnreadable
from ..history.database import History, history_file
from ..history.schema import SCHEMA_VERSION
from ..history.turns import lock, to_load, to_read
from .ahead import Ahead, is_worth_it
from .damages import mark_damages
from .known import Memory
from .loading import load
from .reading import Reader
from .standing import Standing, standing_of
from .store import Position, position, recall_pools

Progress = Callable[[int, int], None]
"""Told how many entries were read and compared, a few batches before they are in the file, and how
many there are."""


class Loaded(msgspec.Struct, frozen=True):
    """A history ready to be asked.

    `entries` were added just now; `last_seq` and `last_at` are those of the newest entry in it.
    `warnings` are for people: damage, or that the history may be behind the journal.
    """

    path: Path
    entries: int
    last_seq: int
    last_at: datetime | None
    warnings: tuple[str, ...] = ()

    def open(self) -> History:
        """Open it for reading, waiting while another process adds to it. Raises HistoryBusy."""
        return to_read(self.path)


def refresh(
    data: Path,
    *,
    database: Path | None = None,
    now_ns: WallClock = wall_ns,
    progress: Progress | None = None,
) -> Loaded:
    """Load what the journal in `data` has that the history does not, and say where it stands.

    The history is beside the journal, or in the file `database`, which is never replaced by that of
    another journal.

    If another process is loading or asking, or the folder cannot be written, the history stays as
    it is and a warning says how old that is. Damage in the journal is a warning and a mark, never
    an error.

    Raises JournalError if there is no journal, QueryError if the history cannot be used.
    """
    path = history_file(data, database)
    if database is not None and not path.parent.is_dir():
        raise HistoryUnreadable(f"{path} cannot be made: there is no folder {path.parent}")
    with lock(_lock_of(path)) as refusal:
        if refusal is not None:
            return _as_it_is(path, refusal)
        try:
            return _bring_up_to_date(
                data / "journal", path, now_ns, progress, is_named=database is not None
            )
        except HistoryBusy:
            return _as_it_is(path, "another process is asking the history")


def _lock_of(path: Path) -> Path:
    """Return the lock beside a history, which must not be the file itself."""
    return path.with_suffix(".lock") if path.suffix == ".duckdb" else Path(f"{path}.lock")


def _bring_up_to_date(
    folder: Path,
    path: Path,
    now_ns: WallClock,
    progress: Progress | None,
    *,
    is_named: bool,
) -> Loaded:
    """Find out how journal and history belong together, and go on from there."""
    load_journal = partial(_load_journal, folder, path, now_ns=now_ns, progress=progress)
    if not path.exists():
        return load_journal(None, None, Memory())
    with to_load(path) as history:
        where, memory, refusal = _where_it_stands(history)
        if where is not None:
            match standing_of(history, where, folder):
                case Standing.CUT:
                    return _cut_off(folder, path, where)
                case Standing.OTHER if is_named:
                    raise HistoryOfAnother(
                        f"{path} is the history of another journal than {folder}, or of this one"
                        " before its end was cut off: name another file, or delete this one"
                    )
                case Standing.OTHER:
                    refusal = "is of another journal, or of this one before its end was cut off"
                case Standing.SAME:
                    pass
        if refusal is None:
            return load_journal(history, where, memory)
    warning = _set_aside(path, refusal)
    loaded = load_journal(None, None, Memory())
    return replace(loaded, warnings=(warning, *loaded.warnings))


def _load_journal(
    folder: Path,
    path: Path,
    opened: History | None,
    where: Position | None,
    memory: Memory,
    *,
    now_ns: WallClock,
    progress: Progress | None,
) -> Loaded:
    """Add what is new. The history is `opened`, unless it is new itself; it is closed by the end.

    To open and to close it takes longer than to add a few entries.
    """
    after_seq = 0 if where is None else where.last_seq
    total = _entries_in(folder) if progress is not None else 0
    reader = Reader(folder, after_seq)

    def told(done: int) -> None:
        if progress is not None:
            progress(done, max(total - after_seq, done))

    marked = 0

    def mark(history: History) -> None:
        nonlocal marked, where
        mark_damages(history, reader.damages)
        marked, where = len(reader.damages), position(history)

    coming: Reader | Ahead = reader
    if is_worth_it(reader):
        coming = Ahead(reader)
        _close(opened)  # Until the first of them are there, whoever asks has the file.
        opened = None
    entries = load(
        path,
        coming,
        memory,
        loaded_at_us=now_ns() // 1000,
        journal=journal_id(folder),
        progress=told,
        beside=mark,
        opened=opened,
    )
    _close(opened)
    if marked < len(reader.damages) or where is None:
        with to_load(path) as history:
            mark(history)
    return _loaded(path, where, entries, reader.warnings())


def _entries_in(folder: Path) -> int:
    """Return how many entries there are to load, for the progress bar only."""
    try:
        return head(folder).last_seq
    except JournalDamaged:
        return 0  # Loading meets the same damage, and says so.


def _cut_off(folder: Path, path: Path, where: Position) -> Loaded:
    warning = (
        f"THE END OF THE JOURNAL WAS CUT OFF: it ends at @{head(folder).last_seq}, but its entries"
        f" up to @{where.last_seq} were loaded before; {path.name} still holds them and stays as it"
        " is: keep a copy of it, and of the journal"
    )
    return _loaded(path, where, 0, (warning,))


# -- the file ----------------------------------------------------------------------------------


def _close(history: History | None) -> None:
    if history is not None:
        history.close()


def _where_it_stands(history: History) -> tuple[Position | None, Memory, str | None]:
    """Return the position and the pools of a history, and why it cannot be added to, if so."""
    memory = Memory()
    if _version(history) != SCHEMA_VERSION:
        return None, memory, "was built by another release"
    where = position(history)
    if where is not None:
        memory.last_seq = where.last_seq
        recall_pools(history, memory)
    return where, memory, None


class _Version(msgspec.Struct):
    schema_version: int | None


def _version(history: History) -> int | None:
    """Return the version of the tables; an empty history has the current one."""
    sql = "SELECT column_name FROM duckdb_columns() WHERE table_name = 'loads'"
    columns = history.table(sql).column(0).to_pylist()
    if "schema_version" not in columns:
        return None
    row = history.first(_Version, "SELECT max(schema_version) AS schema_version FROM loads")
    return SCHEMA_VERSION if row is None or row.schema_version is None else row.schema_version


def _set_aside(path: Path, why: str) -> str:
    """Make room for a history built anew. The journal may no longer hold all that was in the old
    one, so that is kept, beside those kept before; return the words that say so."""
    kept = path.with_name(f"{path.name}.replaced")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.replaced-{number}")
    path.replace(kept)
    wal = path.with_name(f"{path.name}.wal")
    if wal.exists():
        wal.replace(kept.with_name(f"{kept.name}.wal"))
    return f"{path} {why}: it is kept as {kept.name}, and the history is built anew"


def _as_it_is(path: Path, reason: str) -> Loaded:
    if not path.exists():
        raise HistoryUnreadable(
            f"there is no history at {path} yet, and {reason}; try again, or copy the folder to"
            " where it can be written"
        )
    with to_read(path) as history:
        if _version(history) != SCHEMA_VERSION:
            raise HistoryUnreadable(
                f"{path} was built by another release, and {reason}; try again when that is over"
            )
        where = position(history)
    up_to = "nothing yet"
    if where is not None:
        at = _time_of(where)
        up_to = f"what was loaded up to {at:%Y-%m-%dT%H:%M:%SZ} (entry @{where.last_seq})"
    return _loaded(path, where, 0, (f"{reason}; answering from {up_to}",))


def _loaded(path: Path, where: Position | None, entries: int, warnings: tuple[str, ...]) -> Loaded:
    if where is None:
        return Loaded(path, entries, 0, None, warnings)
    return Loaded(path, entries, where.last_seq, _time_of(where), warnings)


def _time_of(where: Position) -> datetime:
    return datetime.fromtimestamp(where.last_received_ns // 1000 / 1e6, UTC)
