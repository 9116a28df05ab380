"""What the journal holds: entries, and the bodies they carry. Plain data, no I/O.

A sequence number orders everything; a time is only a label (clocks step backwards). One entry is
one thing that can be proven on its own: one event of a batch, one object of a baseline, one gap.

What comes by the million is a struct: made in 0.15 us, where a frozen dataclass takes 1.8.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

Detail = Mapping[str, str | int | float | bool | None]
RECORDER = ""
"""The pool name of entries that speak of the recorder itself."""


class Operation(StrEnum):
    """What an event says happened to its object, as on the wire."""

    ADD = "add"
    MOD = "mod"
    DEL = "del"


class Stream(StrEnum):
    """How a pool is followed: every write (`event.next`) or last states (`event.from`)."""

    REGISTER = "register"
    FROM = "from"


class GapCause(StrEnum):
    """Why the recorder may have missed events."""

    EVENTS_LOST = "events-lost"
    IDS_MISSING = "ids-missing"
    SESSION_LOST = "session-lost"
    CONNECTION_LOST = "connection-lost"
    SERVER_SILENT = "server-silent"
    MASTER_CHANGED = "master-changed"
    CENSUS_MISMATCH = "census-mismatch"
    DISK_FULL = "disk-full"
    RECORDER_DIED = "recorder-died"
    RECORDER_STOPPED = "recorder-stopped"
    AUDIT_TRAIL = "audit-trail"  # of lines of the audit trail, not of events: see AuditLine


class MarkName(StrEnum):
    """The recorder's own life: what it did, as far as it matters to a reader of the journal."""

    STARTED = "started"  # version, host, pid, python; redaction: policy; redaction_key: its id
    STOPPED = "stopped"  # cleanly: all that was seen is on disk
    CONNECTED = (
        "connected"  # address, pool_uuid, user, codec, tls_verified (None: no TLS), generation
    )
    MEMBERS = "members"  # addresses: of the hosts of the pool, the master's first
    ROLLED_BACK = "rolled-back"  # generation, before: the pool's database is older than it was
    REFUSED = "refused"  # a pool could not be recorded: error
    REGISTERED = "registered"  # opens an epoch: next_event_id, stream
    BASELINE_DONE = "baseline-done"  # classes, objects; class: if only this one was read again
    CLASS_SKIPPED = "class-skipped"  # class, error: not part of the baselines of this epoch
    UNCOUNTED = "uncounted"  # the census goes without: class, recorded, counted; or error: of all
    QUEUE_PRESSURE = "queue-pressure"  # percent: of the server's queue that was, or is, unread
    REPAIRED = "repaired"  # bytes cut from a torn tail and where they are kept
    KEY_CHANGED = "key-changed"  # key: the new one; endorsement: the old one's word for it, or None
    DROPPED = "dropped"  # segments that were deleted by the rules of retention: which, what, why
    REDACTED = "redacted"  # seq, leaf, reason: an entry whose body is no longer kept
    DISK_FULL = "disk-full"  # entries waited for room: since_ns, waited_s
    CLOCK_STEPPED = "clock-stepped"  # the clock of the recorder went back: from_ns, to_ns
    AUDIT_TRAIL_READ = "audit-trail-read"  # how far, of each host: see FORMAT.md
    AUDIT_TRAIL_REFUSED = "audit-trail-refused"  # error: who did what stays unknown
    RUN_STARTED = "run-started"  # a workload begins; its details, and those below: FORMAT.md
    RUN_NOTED = "run-noted"  # what it saw of the pool and goes by from here on
    RUN_RESUMED = "run-resumed"  # it goes on after its driver died, or was stopped
    STEP_INTENDED = "step-intended"  # a call is about to be made
    STEP_CALLED = "step-called"  # it was made: task
    STEP_ENDED = "step-ended"  # outcome, and what proves it
    RUN_ENDED = "run-ended"  # how it went in all
    SCHEDULE_SKIPPED = "schedule-skipped"  # a run was due and could not be begun: why
    SCHEDULE_MISSED = "schedule-missed"  # runs were due when nobody could begin them: why


class Event(msgspec.Struct, frozen=True, gc=False):
    """One change, as the server told it.

    `id` is dense and ascending inside an epoch of a `register` stream; in a `from` stream it is the
    database generation (0 for messages). `server_at_s` is the server's clock in whole seconds, 0.0
    where the stream has none. `cls` is the wire's lower-case class name. `snapshot` is the JSON
    text of the record as sent, but for secrets (see redact.py); None where the server sends none
    (`del` of a `from` stream).
    """

    id: int
    server_at_s: float
    cls: str
    operation: Operation
    ref: str
    snapshot: bytes | None


class BaselineChunk(msgspec.Struct, frozen=True):
    """All objects of one class, read at once; `count` `BaselineRecord` entries follow directly.

    `low` and `high` are `event.get_current_id` (the id that the next event will get) before and
    after the read. The journal holds a chunk only after every event with an id below `high`.
    In a `from` stream both are 0, and the chunk comes before every event of its epoch.
    """

    cls: str
    low: int
    high: int
    count: int


class BaselineRecord(msgspec.Struct, frozen=True, gc=False):
    """One object of the baseline chunk before it, as the server sent it, but for secrets."""

    cls: str
    ref: str
    snapshot: bytes


class GapOpened(msgspec.Struct, frozen=True):
    """From here on events of this pool may have been missed.

    `last_event_id` is that of the last event recorded before, None if the epoch had none. Nothing
    was missed until `complete_until_ns`, which is a little before the receipt of that event: what
    happened while the last answer was on its way was left to the next one, which never came.
    `detail` is for people.
    """

    cause: GapCause
    detail: str
    last_event_id: int | None
    complete_until_ns: int | None


class GapClosed(msgspec.Struct, frozen=True):
    """A new baseline is complete: the state of the pool is known again.

    `opened_seq` is the sequence number of the GapOpened. Nothing was missed after
    `blind_until_ns`, the time at which the new registration was confirmed.
    """

    opened_seq: int
    blind_until_ns: int


class Mark(msgspec.Struct, frozen=True):
    """A moment in the recorder's own life."""

    name: MarkName
    detail: Detail = msgspec.field(default_factory=dict)


class Heartbeat(msgspec.Struct, frozen=True):
    """Nothing happened: makes the entries before it provably durable."""


class AuditLine(msgspec.Struct, frozen=True, gc=False):
    """One line of the audit trail: who called what, as xapi wrote it into a file of its host.

    `host` is the address of the host that was asked, or the name that an imported file was given.
    `line` is the whole line as it came, without its line feed, but for references of sessions and
    other secrets (see trail/clean.py). It comes later than the events that it explains, and may
    be no line of xapi at all. `imported`: it was read from a copy of the file.
    """

    host: str
    line: bytes
    imported: bool


class Redacted(msgspec.Struct, frozen=True):
    """An entry whose snapshot was taken out; a REDACTED mark says why.

    `leaf` is the leaf hash (32 bytes) of the entry as it was, `body` is what is left of it: an
    event without a snapshot, a baseline record with an empty one, or an empty audit line.
    """

    leaf: bytes
    body: Event | BaselineRecord | AuditLine


Body = (
    Event
    | BaselineChunk
    | BaselineRecord
    | AuditLine
    | GapOpened
    | GapClosed
    | Mark
    | Heartbeat
    | Redacted
)


def rest_of(body: Body) -> Body:
    """Return a body, or what is left of it if its snapshot was taken out."""
    return body.body if isinstance(body, Redacted) else body


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An entry that has no place in the journal yet."""

    received_at_ns: int
    pool: str
    body: Body


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A draft with its place: sequence numbers start at 1 and have no holes."""

    seq: int
    received_at_ns: int
    pool: str
    body: Body


class PoolTail(msgspec.Struct, frozen=True):
    """Where the journal stands with one pool, kept by the journal itself.

    `pool_uuid` comes from the last CONNECTED mark; `epoch` is the seq of the last REGISTERED mark;
    `last_event_*` are of the last event in that epoch; `open_gap` is the seq of a GapOpened that
    nothing closed yet. `members` are the addresses of the pool's hosts from the last MEMBERS mark,
    the master's first; `generation` is that of the pool's database at the last CONNECTED mark.
    """

    pool_uuid: str | None = None
    epoch: int | None = None
    last_event_id: int | None = None
    last_event_at_ns: int | None = None
    last_seq: int = 0
    last_received_at_ns: int = 0
    open_gap: int | None = None
    members: str | None = None
    generation: int | None = None
