"""What a rule can do, one type an effect; the keys beside it in the rule are its fields.

Nothing is done here: `replies`, `background`, `poolwide` and `censor` do it.
"""

import re
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=64 * 1024 * 1024)]
Code = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]*$")]
Death = Literal["silent", "refuse"]
"""How a dead host looks: packets vanish, or connections are closed at once."""
JUMP_S_MAX = 10 * 366 * 86_400.0
Jump = Annotated[float, msgspec.Meta(ge=-JUMP_S_MAX, le=JUMP_S_MAX)]


class _Effect(msgspec.Struct, frozen=True):
    """What all effects share: their word in the rule is the tag of the class."""

    @classmethod
    def word(cls) -> str:
        """Return what a rule calls this effect: `HalfReply` is `half_reply`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


# Instead of the call, or before it: the client gets a well-formed answer.


class Fault(_Effect, frozen=True):
    """XAPI refuses the call with this code and these parameters; nothing is done."""

    code: Code
    params: tuple[str, ...] = ()


class LoginRefused(_Effect, frozen=True):
    """A login fails as with a wrong password."""


class ExpireSession(_Effect, frozen=True):
    """The session of the call is gone before the call is looked at."""


class TaskFailure(_Effect, frozen=True):
    """The operation gets a task that fails at this progress; nothing else is done.

    A call that waits for its operation gets the fault, a call in the background the task. With the
    code TASK_CANCELLED somebody else has cancelled it.
    """

    code: Code = "INTERNAL_ERROR"
    params: tuple[str, ...] = ()
    progress: Fraction = 0.5
    lasts_s: Seconds = 5.0


class TaskHang(_Effect, frozen=True):
    """The operation gets a task that stays pending at this progress for ever."""

    progress: Fraction = 0.5


class TaskVanish(_Effect, frozen=True):
    """The operation is done, but its task disappears this long after the call (Async only)."""

    lasts_s: Seconds = 0.0


class Pace(_Effect, frozen=True):
    """The operation is done, but takes `factor` times as long; or `lasts_s`, from the call on.

    One that has to wait for others for longer takes longer. Without `agent` the guest that it
    starts runs, and its agent never reports; or it does after `agent_s`.
    """

    factor: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 1.0
    agent: bool = True
    agent_s: Seconds | None = None
    lasts_s: Seconds | None = None


# With the reply: the call is carried out unless `done` is false.


class Slow(_Effect, frozen=True):
    """The reply comes, `delay_s` after the call was carried out."""


class Stall(_Effect, frozen=True):
    """No reply comes and the connection stays open; after `lasts_s`, the reply comes all the same.

    Without `lasts_s` it never comes.
    """

    lasts_s: Seconds | None = None


class Drip(_Effect, frozen=True):
    """The reply comes in pieces of `bytes`, with a pause after each."""

    bytes: Bytes = 1
    pause_s: Seconds = 1.0


class Reset(_Effect, frozen=True):
    """The connection is reset: `before` the call, `during` it, or `after` it was carried out.

    `during` means: the call was begun, and goes on alone if it takes time.
    """

    moment: Literal["before", "during", "after"] = "after"


class HalfReply(_Effect, frozen=True):
    """The first part of the reply comes, then the connection is closed."""

    fraction: Fraction = 0.5


class Garbage(_Effect, frozen=True):
    """Random bytes come instead of the reply, or instead of its body only."""

    bytes: Bytes = 512
    part: Literal["reply", "body"] = "reply"


class Body(_Effect, frozen=True):
    """The reply has this body: `text`, or the bytes that `hex` spells, `repeat` times."""

    text: str = ""
    hex: Annotated[str, msgspec.Meta(pattern="^([0-9A-Fa-f]{2} ?)*$")] = ""
    repeat: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1


class Endless(_Effect, frozen=True):
    """The reply begins and never ends: white space comes in place of its last byte, for ever."""

    bytes: Bytes = 65_536
    pause_s: Seconds = 0.01


class HttpStatus(_Effect, frozen=True):
    """An HTML page with this status comes instead of the reply, and the connection is closed."""

    status: Annotated[int, msgspec.Meta(ge=100, le=999)] = 500
    reason: str = "Internal Error"
    text: str = 'Failure("simulated")'
    done: bool = False


class Redirect(_Effect, frozen=True):
    """The client is sent elsewhere."""

    location: str
    status: Literal[301, 302, 303, 307, 308] = 302
    done: bool = False


class ContentLength(_Effect, frozen=True):
    """The header promises this many bytes more (or fewer) than come."""

    by: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**12)] = 1


class Duplicate(_Effect, frozen=True):
    """The reply comes twice."""


# To the whole pool.


class _PoolEffect(_Effect, frozen=True):
    """Such an effect may be timed; with a match it strikes before or after the call is done.

    Before, with `delay_s`, is that long after the call came in: while it is under way, maybe.
    """

    moment: Literal["before", "after"] = "before"


class ExpireSessions(_PoolEffect, frozen=True):
    """All sessions are gone."""


class Restart(_PoolEffect, frozen=True):
    """xapi restarts: connections, sessions, event ids and tasks are lost, the objects stay.

    For `down_s` nobody answers on the master.
    """

    down_s: Seconds = 0.0
    how: Death = "refuse"


class Crash(_PoolEffect, frozen=True):
    """xapi dies and comes back with the database as it was last flushed: generations go back.

    The database is flushed every `flush_s` from the moment the rule is there.
    """

    flush_s: Annotated[float, msgspec.Meta(ge=0.001, le=1e9)] = 60.0
    down_s: Seconds = 0.0
    how: Death = "refuse"


class Failover(_PoolEffect, frozen=True):
    """Another host becomes the master: `target` (address or name), or the next one.

    Planned: all restart, and members answer HOST_STILL_BOOTING for `takeover_s`. Not planned: the
    old master is dead for `down_s` (without it: for ever), its VMs are halted (HA, if enabled,
    starts the protected ones elsewhere), and after `takeover_s` the new one answers, with what the
    database was at the last flush if `rollback`.
    """

    target: str = ""
    planned: bool = True
    takeover_s: Seconds = 0.0
    down_s: Seconds | None = None
    how: Death = "silent"
    rollback: bool = False
    flush_s: Annotated[float, msgspec.Meta(ge=0.001, le=1e9)] = 60.0


class HostDeath(_PoolEffect, frozen=True):
    """A host dies: `target`, or the last member. The pool notices after `noticed_s`.

    With HA, the pool notices in its own time, starts protected VMs elsewhere, and elects a new
    master if it must. The host boots after `down_s`, if that is given: none of its VMs runs then.
    """

    target: str = ""
    how: Death = "silent"
    noticed_s: Seconds = 0.0
    down_s: Seconds | None = None


class HostEjected(_PoolEffect, frozen=True):
    """A member is no longer of the pool: `target`, or the last member.

    After `down_s` it answers as the master of a new pool of its own, with the same password.
    """

    target: str = ""
    down_s: Seconds = 0.0


class Emergency(_PoolEffect, frozen=True):
    """A host gives this fault to every call: `target`, or the master; for ever or for `lasts_s`."""

    code: Code = "HOST_STILL_BOOTING"
    params: tuple[str, ...] = ()
    target: str = ""
    lasts_s: Seconds | None = None


class SlaveLoop(_PoolEffect, frozen=True):
    """Every host says that another one is the master: the next in a circle, or `to`."""

    to: str = ""
    lasts_s: Seconds | None = None


class Flood(_PoolEffect, frozen=True):
    """So many quick changes to VMs that a reader may lose events."""

    events: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 3000


class EventsLost(_PoolEffect, frozen=True):
    """Every session that listens to the pool loses what it has not read, and one event more."""


class StopHeartbeats(_PoolEffect, frozen=True):
    """The event that wakes subscribers every 30 s does not come; for ever or for `lasts_s`."""

    lasts_s: Seconds | None = None


class ClockJump(_PoolEffect, frozen=True, kw_only=True):
    """The clock of the server jumps by this many seconds, back if negative."""

    by_s: Jump


class Silence(_PoolEffect, frozen=True):
    """Calls are carried out, but no reply is sent by any host; for ever or for `lasts_s`."""

    lasts_s: Seconds | None = None


class DropConnections(_PoolEffect, frozen=True):
    """Every open connection is cut without a reply."""


class Syslog(_PoolEffect, frozen=True):
    """The syslog of the hosts fails audit lines: for ever or for `lasts_s`.

    Lines longer than `bytes` are cut there, each comes up to `late_s` late, so that some overtake
    others; while it is `deaf`, none is kept.
    """

    bytes: Bytes | None = None
    late_s: Seconds = 0.0
    deaf: bool = False
    lasts_s: Seconds | None = None


class AuditRotation(_PoolEffect, frozen=True):
    """Every host begins a new audit log and keeps `kept` old ones."""

    kept: Annotated[int, msgspec.Meta(ge=0, le=100)] = 9


class HalfLine(_PoolEffect, frozen=True):
    """Of the last line in each audit log only the first half is there; after `lasts_s` the rest.

    Without `lasts_s` the rest never comes, and the next line is written right behind the half.
    """

    lasts_s: Seconds | None = None


# To events, matched by class or `CLASS.add`, `CLASS.mod`, `CLASS.del`.


class Swallow(_Effect, frozen=True):
    """The change happens but its event is never sent: the server lies.

    With `leaves_gap` the event had its id in event.next, so that one is missing; else the ids are
    contiguous and nobody can tell.
    """

    leaves_gap: bool = False


CallEffect: TypeAlias = (
    Fault | LoginRefused | ExpireSession | TaskFailure | TaskHang | TaskVanish | Pace
)
ReplyEffect: TypeAlias = (
    Slow
    | Stall
    | Drip
    | Reset
    | HalfReply
    | Garbage
    | Body
    | Endless
    | HttpStatus
    | Redirect
    | ContentLength
    | Duplicate
)
PoolEffect: TypeAlias = (
    ExpireSessions
    | Restart
    | Crash
    | Failover
    | HostDeath
    | HostEjected
    | Emergency
    | SlaveLoop
    | Flood
    | EventsLost
    | StopHeartbeats
    | ClockJump
    | Silence
    | DropConnections
    | Syslog
    | AuditRotation
    | HalfLine
)
Effect: TypeAlias = CallEffect | ReplyEffect | PoolEffect | Swallow

EFFECTS: dict[str, type[Effect]] = {
    cls.word(): cls for union in (CallEffect, ReplyEffect, PoolEffect) for cls in get_args(union)
} | {Swallow.word(): Swallow}
"""Every effect by its word in a rule."""

ON_CONNECTION = (Slow, Stall, Reset, Garbage)
"""What may happen to a connection as soon as it is made (with TLS: in place of the handshake)."""
