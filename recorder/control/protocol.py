"""What is said over the control socket: requests, answers, errors, and their limits. No I/O.

The package's docstring shows the dialogue.
"""

from enum import StrEnum

import msgspec

from ..model import Operation
from .kinds import FOLLOWED, Kind
from .running import Running

PROTOCOL = 1
REQUEST_BYTES_MAX = 8 * 1024 * 1024
"""A run that is repeated comes with its plan: some 500 bytes a VM, and 10,000 VMs are a lot. Who
sends more of a line is not one of ours."""


class ErrorName(StrEnum):
    """Why a request was not done, for programs."""

    REQUEST_TOO_LONG = "request-too-long"
    REQUEST_TOO_SLOW = "request-too-slow"
    BAD_REQUEST = "bad-request"
    UNKNOWN_COMMAND = "unknown-command"
    UNKNOWN_PROTOCOL = "unknown-protocol"
    UNKNOWN_POOL = "unknown-pool"
    BUSY = "busy"
    STOPPING = "stopping"
    CONFIG_REFUSED = "config-refused"
    DISK_FULL = "disk-full"
    NOT_RECORDED = "not-recorded"
    RUN_UNDER_WAY = "run-under-way"
    WORKLOAD_REFUSED = "workload-refused"


class Refused(Exception):
    """A request that is not done; each of `texts` is a line for people."""

    def __init__(self, name: ErrorName, *texts: str) -> None:
        super().__init__("; ".join(texts))
        self.name = name
        self.texts = texts


class Status(msgspec.Struct, frozen=True, tag_field="command", tag="status"):
    """How is it going?"""


class Reload(msgspec.Struct, frozen=True, tag_field="command", tag="reload"):
    """Read the configuration file again."""


class Follow(msgspec.Struct, frozen=True, tag_field="command", tag="follow", kw_only=True):
    """Tell of entries as they become durable; an empty tuple is no condition.

    `classes`, `operations` and `objects` narrow events and baselines down. Gaps and marks come
    anyway, as long as their kind is asked for: what is not shown may lie in a gap.
    `objects` are references, beginnings of uuids, or parts of names in any case.
    """

    kinds: tuple[Kind, ...] = FOLLOWED
    pools: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    objects: tuple[str, ...] = ()


class Replay(msgspec.Struct, frozen=True):
    """The run that is to be repeated, and its plan (JSON) as its run-started mark has it."""

    run: str
    plan: str


class Run(msgspec.Struct, frozen=True, tag_field="command", tag="run", kw_only=True):
    """Run a workload on a pool, and tell how it goes; or, with `dry_run`, only what would be done.

    `script` is the text of a script, `origin` where it comes from, for messages. `seed` replaces
    that of the script. With `replay` nothing is planned: the plan of another run is carried out.
    """

    pool: str
    script: str
    origin: str = "script"
    seed: int | None = None
    dry_run: bool = False
    replay: Replay | None = None


class Resume(msgspec.Struct, frozen=True, tag_field="command", tag="resume", kw_only=True):
    """Go on with a run whose driver died, or that was stopped; it is told of as a new one is.

    `run` is its name, or the beginning of it. With `restore` only the power states and hosts are
    restored that its VMs had when it began.
    """

    run: str
    restore: bool = False


class CopiedLine(msgspec.Struct, frozen=True, array_like=True):
    """A line of the copy of a trail, without its secrets (in base64), and what it is from."""

    host: str
    line: bytes


class Import(msgspec.Struct, frozen=True, tag_field="command", tag="import", kw_only=True):
    """Add lines of copied audit trails to the journal; whoever asks knows that they are not there.

    They are added in one piece, and durable when that is answered. `rules` are those by which
    secrets were taken out of them, as marks name them; they must be those of the recorder.
    """

    pool: str
    rules: str
    lines: tuple[CopiedLine, ...]


Request = Status | Reload | Follow | Run | Resume | Import
COMMANDS: dict[str, type[Request]] = {
    "status": Status,
    "reload": Reload,
    "follow": Follow,
    "run": Run,
    "resume": Resume,
    "import": Import,
}


class GapStatus(msgspec.Struct, frozen=True):
    """A gap that is open; `seq` is None until its entry is durable, `cause` if nobody knows it."""

    seq: int | None
    cause: str | None
    since: str
    age_s: float


class BaselineStatus(msgspec.Struct, frozen=True):
    """The last complete reading of a pool."""

    at: str
    age_s: float
    classes: int
    objects: int


class State(StrEnum):
    """How a pool stands."""

    LIVE = "live"  # everything is known and recorded
    BASELINE = "baseline"  # events are recorded, the state of the objects is being read
    CONNECTING = "connecting"  # there is no session, and nothing to miss yet
    BLIND = "blind"  # a gap is open: events may be missed just now
    REFUSED = "refused"  # somebody has to mend it: a password, a certificate, another pool
    DISK_FULL = "disk-full"  # nothing of any pool can be written


class RunStatus(msgspec.Struct, frozen=True):
    """A workload under way: `step` calls of `steps` that are planned were begun."""

    run: str
    script: str
    who: str
    step: int
    steps: int
    since: str
    age_s: float


class ScheduleStatus(msgspec.Struct, frozen=True):
    """What is due next: the name of a schedule, its script, when, and how long until then."""

    schedule: str
    script: str
    at: str
    in_s: float


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One pool; times are ISO text in UTC, None is what is not known or not there.

    `epoch` is the seq of the mark that began the session under way. `lag_s` is how long the last
    answer with events took from its arrival until it was durable. `events` are those since the
    watch of the pool began, `events_per_s` the average of the last minute, `pressure_percent` how
    full the server's queue of events got in it. `last_audit_line_at` is the time in the newest line
    of the audit trail that was kept, by the clock of the pool.
    """

    pool: str
    state: State
    stream: str
    master: str | None
    codec: str | None
    connected_at: str | None
    epoch: int | None
    last_event_id: int | None
    last_event_at: str | None
    last_event_age_s: float | None
    lag_s: float | None
    events: int
    events_per_s: float
    pressure_percent: float
    gap: GapStatus | None
    baseline: BaselineStatus | None
    error: str | None
    run: RunStatus | None = None
    schedule: ScheduleStatus | None = None
    last_audit_line_at: str | None = None
    last_audit_line_age_s: float | None = None


class CheckpointStatus(msgspec.Struct, frozen=True):
    """The last signed checkpoint of this run; it vouches for entries up to `seq`."""

    seq: int
    at: str


class RecorderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The recorder itself; `entries` are those of this run, `last_seq` is that of the last one."""

    version: str
    pid: int
    started_at: str
    uptime_s: float
    entries: int
    last_seq: int
    segment: int
    unsigned: int
    checkpoint: CheckpointStatus | None
    disk_full: bool
    on_disk_s: float
    followers: int


class StatusReport(msgspec.Struct, frozen=True):
    """The answer to `status`."""

    recorder: RecorderStatus
    pools: list[PoolStatus]


class Action(StrEnum):
    """What a reload did with a pool."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"  # ended, and begun anew as it is configured now
    RETRIED = "retried"  # it was refused, and is tried again at once
    KEPT = "kept"  # it did not notice


class PoolAction(msgspec.Struct, frozen=True):
    """What a reload did with one pool."""

    pool: str
    action: Action


class ScheduleAction(msgspec.Struct, frozen=True):
    """What a reload did with one schedule."""

    schedule: str
    action: Action


class ReloadReport(msgspec.Struct, frozen=True):
    """The answer to `reload`; `needs_restart` are keys that changed and are not in force."""

    pools: list[PoolAction]
    needs_restart: list[str]
    schedules: list[ScheduleAction] = []


class Following(msgspec.Struct, frozen=True):
    """The first line of `follow`: later entries than this one are told."""

    last_seq: int


class ImportReport(msgspec.Struct, frozen=True):
    """The answer to `import`: how many lines were added."""

    lines: int


class ErrorReport(msgspec.Struct, frozen=True):
    """Why a request was not done."""

    name: str
    texts: list[str]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of an answer; exactly one of its parts is there."""

    protocol: int
    status: StatusReport | None = None
    reload: ReloadReport | None = None
    following: Following | None = None
    running: Running | None = None
    imported: ImportReport | None = None
    error: ErrorReport | None = None


class _Head(msgspec.Struct):
    command: str
    protocol: int | None = None


def request_in(line: bytes) -> Request:
    """Read a request. Raises Refused."""
    try:
        head = msgspec.json.decode(line, type=_Head)
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        text = f'write one JSON object on a line, such as {{"command": "status"}}: {error}'
        raise Refused(ErrorName.BAD_REQUEST, text) from None
    if head.protocol not in (None, PROTOCOL):
        text = f"this recorder speaks protocol {PROTOCOL}, not {head.protocol}"
        raise Refused(ErrorName.UNKNOWN_PROTOCOL, text)
    kind = COMMANDS.get(head.command)
    if kind is None:
        text = f"there is no command {head.command!r}; known: {', '.join(COMMANDS)}"
        raise Refused(ErrorName.UNKNOWN_COMMAND, text)
    known = ("command", "protocol", *kind.__struct_fields__)
    for name in fields:
        if name not in known:
            text = f"{head.command} has no key {name!r}; known: {', '.join(known)}"
            raise Refused(ErrorName.BAD_REQUEST, text)
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(ErrorName.BAD_REQUEST, f"{head.command}: {error}") from None


def line_of(value: Request | Answer) -> bytes:
    """Write a request or an answer as a line."""
    return msgspec.json.encode(value) + b"\n"


def refusal(error: Refused) -> Answer:
    """Return the answer that says why not."""
    return Answer(PROTOCOL, error=ErrorReport(error.name.value, list(error.texts)))
