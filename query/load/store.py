"""The loader's side of the history file: what is known so far, and adding to it.

One transaction a turn, together with the position reached: a loader that is killed leaves the
history as it was after the turn before.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import TypeVar

import msgspec
import pyarrow as pa

from recorder.model import Entry, GapCause, Stream

from ..history.database import History, insert, insert_keyed
from ..history.schema import CURRENT_STATE, GAP_SPANS, OBJECTS, POOLS, SCHEMA_VERSION, TABLES, TASKS
from .fold import Fold, followed
from .known import Facts, Gap, Key, Known, Memory, PoolState, Reading
from .rows import Row, Rows, pieces_of, sorted_rows, table_of
from .scrub import scrub
from .tasks import task_row

T = TypeVar("T")


class Position(msgspec.Struct, frozen=True):
    """Where the history stands: the last entry in it. `loaded_at` is when it was loaded, `journal`
    the id of the journal that it comes from, if that is known."""

    last_seq: int
    last_received_ns: int
    last_pool: str
    schema_version: int
    loaded_at: datetime
    journal: str | None


def position(history: History) -> Position | None:
    """Return where the history stands, None if nothing was loaded yet."""
    return history.first(Position, "SELECT * FROM loads ORDER BY last_seq DESC LIMIT 1")


class Witness(msgspec.Struct):
    """An entry that the history can tell from any other: its place, its time, its pool."""

    seq: int
    pool: str
    at_us: int


def witness(history: History, *, up_to_seq: int) -> Witness | None:
    """Return the last entry up to `up_to_seq` that left a row in the history."""
    sql = """
        SELECT seq, pool, epoch_us(received_at) AS at_us FROM (
            SELECT seq, pool, received_at FROM events WHERE seq <= $up_to
            UNION ALL
            SELECT seq, pool, received_at FROM marks WHERE seq <= $up_to
        ) ORDER BY seq DESC LIMIT 1
    """
    return history.first(Witness, sql, {"up_to": up_to_seq})


# -- reading -----------------------------------------------------------------------------------


class _KnownRow(msgspec.Struct):
    pool: str
    cls: str
    ref: str
    first_seq: int
    first_at_us: int
    first_origin: str
    first_operation: str
    uuid: str | None
    name: str | None
    last_seq: int
    last_at_us: int
    gone: bool
    gone_origin: str | None
    gap: int | None
    seen_seq: int
    chunk_seq: int
    event_seq: int
    event_id: int
    snapshot: str | None


_KNOWN = """
SELECT o.*, o.class AS cls, epoch_us(o.first_at) AS first_at_us, epoch_us(o.last_at) AS last_at_us,
    s.snapshot
FROM objects o LEFT JOIN current_state s USING (pool, class, ref)
"""


def recall(history: History, memory: Memory, keys: Iterable[Key], pools: Iterable[str]) -> None:
    """Bring to mind the objects `keys`, and all that live in `pools`, unless they already are."""
    missing = [key for key in keys if memory.get(key) is None]
    if missing:
        names = OBJECTS.field("pool"), OBJECTS.field("class"), OBJECTS.field("ref")
        history.connection.register("wanted", table_of(list(missing), pa.schema(names)))
        _remember(history, memory, f"{_KNOWN} SEMI JOIN wanted USING (pool, class, ref)")
        history.connection.unregister("wanted")
    for pool in pools:
        _remember(history, memory, f"{_KNOWN} WHERE o.pool = $pool AND NOT o.gone", pool)


def _remember(history: History, memory: Memory, sql: str, pool: str | None = None) -> None:
    params = {} if pool is None else {"pool": pool}
    for row in history.all(_KnownRow, sql, params):
        if memory.get((row.pool, row.cls, row.ref)) is None:
            plain = msgspec.structs.asdict(row)
            plain["snapshot"] = None if row.snapshot is None else row.snapshot.encode()
            memory.put(Known(**plain))


class _PoolRow(msgspec.Struct):
    pool: str
    first_seq: int
    first_at_us: int
    pool_uuid: str | None
    last_seq: int
    last_at_us: int
    baselined_seq: int | None
    done_seq: int
    epoch: int | None
    stream: Stream
    anchor_seq: int
    certain_seq: int
    certain_at_us: int
    gap: int | None
    facts: str
    readings: str
    classes: str


def recall_pools(history: History, memory: Memory) -> None:
    """Bring to mind where each pool stands."""
    sql = """
        SELECT *, epoch_us(first_at) AS first_at_us, epoch_us(last_at) AS last_at_us,
            epoch_us(certain_at) AS certain_at_us FROM pools
    """
    for row in history.all(_PoolRow, sql):
        plain = msgspec.structs.asdict(row)
        plain["facts"] = msgspec.json.decode(row.facts, type=Facts)
        plain["readings"] = msgspec.json.decode(row.readings, type=dict[str, Reading])
        plain["classes"] = msgspec.json.decode(row.classes, type=set[str])
        memory.pools[row.pool] = PoolState(**plain)
    for gap in history.all(Gap, _UNSETTLED):
        memory.pools[gap.pool].gaps.append(gap)


_UNSETTLED = """
SELECT *, epoch_us(since) AS since_us, epoch_us(opened_at) AS opened_at_us,
    epoch_us(last_event_at) AS last_event_at_us, epoch_us(first_event_at) AS first_event_at_us,
    epoch_us(blind_until) AS blind_until_us, epoch_us(closed_at) AS closed_at_us
FROM gap_spans WHERE closed_seq IS NULL OR first_event_at IS NULL ORDER BY seq
"""


# -- writing -----------------------------------------------------------------------------------


class Load(msgspec.Struct, frozen=True):
    """What is said of a load beside its entries: when it was, and from which journal."""

    at_us: int
    journal: str | None


class _Redaction(msgspec.Struct, rename={"cls": "class"}):
    """What the detail of a REDACTED mark says that matters here."""

    seq: int
    pool: str = ""
    cls: str = ""
    ref: str = ""


class Turn(msgspec.Struct):
    """What is added in one transaction: the entries from `first_seq` to `last`, as folded so far.

    Events are written batch by batch, because their snapshots take much memory; all the rest at the
    end, so that rows of one object lie together.
    """

    first_seq: int
    fold: Fold
    entries: int = 0
    last: Entry | None = None

    @property
    def asks_to_end(self) -> bool:
        """True if nothing more may be folded before this is written: what is known of its gaps, or
        of an object that was redacted, depends on what the file says then."""
        rows = self.fold.rows
        return bool(rows.redactions) or any(map(_was_found_late, rows.gaps.values()))


def write_events(history: History, turn: Turn, midway: Callable[[], T]) -> T:
    """Add the events that were folded since the last time, inside a transaction.

    Returns what `midway` does: it is called when half of them are written and no longer kept.
    """
    events = turn.fold.rows.events
    half = sum(map(len, events.values())) // 2
    coming = sorted_rows(events)
    insert(history, "events", pieces_of(islice(coming, half), TABLES["events"]))
    found = midway()
    insert(history, "events", pieces_of(coming, TABLES["events"]))
    return found


def write(history: History, turn: Turn, load: Load) -> None:
    """Add everything else that was folded, inside the same transaction."""
    memory, rows, last = turn.fold.memory, turn.fold.rows, turn.last
    assert last is not None
    touched = [known for key in sorted(rows.touched) if (known := memory.get(key)) is not None]
    _write_rows(history, rows)
    _write_objects(history, rows, touched)
    for mark in rows.redactions:
        redaction = msgspec.json.decode(str(mark[5]), type=_Redaction)
        scrub(history, redaction.seq)
        memory.drop((redaction.pool, redaction.cls, redaction.ref))  # The file knows what is left.
    pools = table_of([_pool_row(pool) for pool in followed(memory)], POOLS)
    insert_keyed(history, "pools", pools, "pool")
    history.connection.execute(
        "INSERT INTO loads VALUES ($1, $2, $3, $4, make_timestamptz($5), $6, $7)",
        [
            *(last.seq, last.received_at_ns, last.pool, turn.entries),
            *(load.at_us, SCHEMA_VERSION, load.journal),
        ],
    )
    for known in touched:
        if known.gone:
            memory.drop(known.key)  # A year of tasks is not kept in mind.


def _write_rows(history: History, rows: Rows) -> None:
    for name, coming in (
        ("changes", sorted_rows(rows.changes)),
        ("carried", sorted_rows(rows.carried)),
        ("marks", rows.marks),
        ("audit_lines", rows.audit_lines),
    ):
        insert(history, name, pieces_of(coming, TABLES[name]))
    for gap in filter(_was_found_late, rows.gaps.values()):
        gap.since_seq = min(gap.since_seq, _before(history, gap))
    gaps = table_of([_gap_row(gap) for gap in rows.gaps.values()], GAP_SPANS)
    insert_keyed(history, "gap_spans", gaps, "pool, seq")


def _was_found_late(gap: Gap) -> bool:
    """Tell whether the beginning of a gap has to be looked for among the events before it."""
    return gap.told_cause == GapCause.CENSUS_MISMATCH


def _before(history: History, gap: Gap) -> int:
    """Return the last entry before the first event of its epoch that is later than `gap.since`.

    What a census finds was missed while events went on being recorded.
    """
    sql = """
        SELECT min(seq) - 1 AS seq FROM events
        WHERE pool = $pool AND seq < $seq AND received_at > make_timestamptz($since)
            AND seq > (SELECT max(seq) FROM marks
                WHERE pool = $pool AND name = 'registered' AND seq < $seq)
    """
    row = history.first(_Seq, sql, {"pool": gap.pool, "seq": gap.seq, "since": gap.since_us})
    return gap.since_seq if row is None or row.seq is None else row.seq


class _Seq(msgspec.Struct):
    seq: int | None


def _write_objects(history: History, rows: Rows, touched: list[Known]) -> None:
    key = "pool, class, ref"
    objects = table_of([_object_row(known) for known in touched], OBJECTS)
    insert_keyed(history, "objects", objects, key)
    states = [(*known.key, known.snapshot) for known in touched if not known.gone]
    insert_keyed(history, "current_state", table_of(states, CURRENT_STATE), key, instead_of=objects)
    # A row of a baseline that comes late tells nothing: what the task came to is known already.
    tasks = [
        task_row(known) for known in touched if known.cls == "task" and known.key in rows.tasks_told
    ]
    insert_keyed(history, "tasks", table_of(tasks, TASKS), "pool, ref")


def _object_row(known: Known) -> Row:
    return (
        *(*known.key, known.uuid, known.name),
        *(known.first_seq, known.first_at_us, known.first_origin, known.first_operation),
        *(known.last_seq, known.last_at_us, known.gone, known.gone_origin, known.gap),
        *(known.seen_seq, known.chunk_seq, known.event_seq, known.event_id),
    )


def _gap_row(gap: Gap) -> Row:
    return (
        *(gap.seq, gap.pool, gap.cause, gap.told_cause, gap.detail, gap.stream),
        *(gap.since_us, gap.since_seq, gap.opened_at_us),
        *(gap.last_event_id, gap.last_event_at_us, gap.first_event_id, gap.first_event_at_us),
        *(gap.ids_missed, gap.rolled_back_from, gap.rolled_back_to),
        *(gap.blind_until_us, gap.closed_at_us, gap.closed_seq),
    )


def _pool_row(pool: PoolState) -> Row:
    return (
        *(pool.pool, pool.pool_uuid, pool.first_seq, pool.first_at_us),
        *(pool.last_seq, pool.last_at_us, pool.baselined_seq, pool.done_seq),
        *(pool.epoch, pool.stream.value, pool.anchor_seq),
        *(pool.certain_seq, pool.certain_at_us, pool.gap),
        msgspec.json.encode(pool.facts).decode(),
        msgspec.json.encode(pool.readings).decode(),
        msgspec.json.encode(sorted(pool.classes)).decode(),
    )
