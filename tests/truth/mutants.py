"""Recorders that are broken on purpose, each in one place: the oracle has to catch every one.

A mutant breaks a seam of the real recorder for the time of a simulation. It is known by the promise
that the oracle says was not kept, and by the troubles in which that shows.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import pytest
import trio
from msgspec.structs import replace

from recorder.client import session as session_module
from recorder.client.line import Line
from recorder.client.losses import Loss
from recorder.client.session import Session
from recorder.errors import XapiFault
from recorder.journal.files import Disk
from recorder.journal.store import DiskFull, Journal
from recorder.journal.writer import SegmentWriter
from recorder.model import Draft, Event, GapClosed, GapOpened, Stream
from recorder.pools.epochs import common
from recorder.pools.epochs.every_write import EveryWrite
from recorder.pools.scribe import Scribe
from recorder.xapi.baseline import classes_with_records
from recorder.xapi.faults import is_events_lost
from recorder.xapi.subscription import Phase, Subscription
from tests.truth.scene import Shape


@dataclass(frozen=True, slots=True)
class Mutant:
    """How a recorder is broken, what shows it, and which promise that breaks."""

    breaks: Callable[[pytest.MonkeyPatch], None]
    shown_by: Sequence[str]
    promise: str
    shape: Shape | None = None
    first_seed: int = 0


def _registers_once(patch: pytest.MonkeyPatch) -> None:
    """A second session is taken to be registered because the first one was."""
    register, sessions = Session.register, list[Session]()

    async def once(self: Session, classes: Sequence[str]) -> None:
        sessions.append(self)
        if len(sessions) == 1:
            await register(self, classes)

    patch.setattr(Session, "register", once)


def _registers_for_less(patch: pytest.MonkeyPatch) -> None:
    """A second session is registered for VMs only."""
    register, sessions = Session.register, list[Session]()

    async def for_less(self: Session, classes: Sequence[str]) -> None:
        sessions.append(self)
        await register(self, classes if len(sessions) == 1 else ["vm"])

    patch.setattr(Session, "register", for_less)


def _swallows_events_lost(patch: pytest.MonkeyPatch) -> None:
    """EVENTS_LOST is taken for an answer without events."""
    next_events = Line.next_events

    async def swallow(
        self: Line, timeout_s: float | None = None, *, ahead: bool = False
    ) -> list[Event]:
        try:
            return await next_events(self, timeout_s, ahead=ahead)
        except XapiFault as fault:
            if not is_events_lost(fault):
                raise
            return []

    patch.setattr(Line, "next_events", swallow)
    _ignores_holes(patch)


def _ignores_holes(patch: pytest.MonkeyPatch) -> None:
    """An id that is missing is nobody's business."""

    def all_of(self: Subscription, events: Sequence[Event]) -> tuple[Sequence[Event], None]:
        for event in events:
            self.drained_to = max(self.drained_to, event.id)
        return events, None

    patch.setattr(Subscription, "_until_hole", all_of)


def _reads_before_it_registers(patch: pytest.MonkeyPatch) -> None:
    """The baseline holds what was there before the registration."""
    run = EveryWrite.run

    async def read_first(self: EveryWrite) -> Loss:
        early = {}
        session = self._session
        for name in await session.list_methods():
            cls = name.removesuffix(".get_all_records")
            if cls not in (name, "VIF_metrics"):
                early[cls] = await session.get_all_records(cls)

        async def from_before(cls: str) -> dict[str, bytes]:
            await trio.lowlevel.checkpoint()
            return early.get(cls, {})

        patch.setattr(session, "get_all_records", from_before)
        return await run(self)

    patch.setattr(EveryWrite, "run", read_first)


def _drops_a_batch(patch: pytest.MonkeyPatch) -> None:
    """Every tenth answer is forgotten."""
    batch, answers = Subscription.batch, list[int]()

    def forget(
        self: Subscription,
        events: Sequence[Event],
        *,
        asked_at_ns: int,
        answered_at_ns: int,
        at_ns: int,
    ) -> tuple[list[Draft], str | None]:
        answers.append(len(events))
        drafts, hole = batch(
            self, events, asked_at_ns=asked_at_ns, answered_at_ns=answered_at_ns, at_ns=at_ns
        )
        return ([] if len(answers) % 10 == 0 else drafts), hole

    patch.setattr(Subscription, "batch", forget)


def _turns_batches_round(patch: pytest.MonkeyPatch) -> None:
    """Events are written newest first."""
    batch = Subscription.batch

    def turned(
        self: Subscription,
        events: Sequence[Event],
        *,
        asked_at_ns: int,
        answered_at_ns: int,
        at_ns: int,
    ) -> tuple[list[Draft], str | None]:
        drafts, hole = batch(
            self, events, asked_at_ns=asked_at_ns, answered_at_ns=answered_at_ns, at_ns=at_ns
        )
        return drafts[::-1], hole

    patch.setattr(Subscription, "batch", turned)


def _acknowledges_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """What was only handed to the system is called durable."""

    def put(self: SegmentWriter, data: bytes) -> None:
        self._disk.write_all(self._fd, data)
        self.size += len(data)

    patch.setattr(SegmentWriter, "_put", put)


def _skips_what_finds_no_room(patch: pytest.MonkeyPatch) -> None:
    """What does not fit on a full disk is called written."""
    append = Journal.append

    def skip(self: Journal, drafts: Sequence[Draft]) -> range:
        try:
            return append(self, drafts)
        except DiskFull:
            return range(self.next_seq, self.next_seq + len(drafts))

    patch.setattr(Journal, "append", skip)


def _makes_names_durable_later(patch: pytest.MonkeyPatch) -> None:
    """A new segment is written to before its name is on the disk."""
    patch.setattr(Disk, "sync_folder", lambda self, folder: None)


def _declares_no_gap(patch: pytest.MonkeyPatch) -> None:
    """A lost epoch is followed by the next as if nothing had been lost."""

    def lost(self: Subscription, *_: object, **__: object) -> list[Draft]:
        self.phase = Phase.OFFLINE
        return []

    patch.setattr(Subscription, "lost", lost)


def _forgets_its_death(patch: pytest.MonkeyPatch) -> None:
    """A recorder that is started after a crash does not tell of it."""
    patch.setattr(Subscription, "died", lambda self, *, at_ns: [])


def _begins_gaps_too_late(patch: pytest.MonkeyPatch) -> None:
    """A gap begins when it is noticed."""
    open_gap = Subscription._open_gap

    def late(self: Subscription, cause: object, detail: str, until_ns: int, at_ns: int) -> object:
        (draft,) = open_gap(self, cause, detail, until_ns, at_ns)  # type: ignore[arg-type]  # as is
        assert isinstance(draft.body, GapOpened)
        late_body = replace(draft.body, complete_until_ns=at_ns)
        return [msgspec.structs.replace(draft, body=late_body)]

    patch.setattr(Subscription, "_open_gap", late)


def _ends_gaps_too_early(patch: pytest.MonkeyPatch) -> None:
    """A gap ends when it was opened."""
    complete = Subscription._complete

    def early(self: Subscription, detail: object, blind_until_ns: int, at_ns: int) -> list[Draft]:
        drafts = complete(self, detail, self._complete_until_ns - 10**11, at_ns)  # type: ignore[arg-type]  # as is
        assert blind_until_ns
        return drafts

    patch.setattr(Subscription, "_complete", early)


def _closes_gaps_too_early(patch: pytest.MonkeyPatch) -> None:
    """A gap is closed when half of the classes were read."""
    classes = classes_with_records
    readings = list[int]()

    def half(methods: Sequence[str]) -> list[str]:
        found = classes(methods)
        readings.append(len(found))
        return found if len(readings) == 1 else found[: len(found) // 2]

    patch.setattr(common, "classes_with_records", half)


def _leaves_gaps_open(patch: pytest.MonkeyPatch) -> None:
    """A gap is never closed."""
    complete = Subscription._complete

    def unclosed(self: Subscription, *args: object) -> list[Draft]:
        drafts = complete(self, *args)  # type: ignore[arg-type]  # as they are
        return [draft for draft in drafts if not isinstance(draft.body, GapClosed)]

    patch.setattr(Subscription, "_complete", unclosed)


def _ignores_rollbacks(patch: pytest.MonkeyPatch) -> None:
    """A database that went back in time is taken for the one that it was."""
    patch.setattr(Subscription, "rolled_back", lambda self, *_, **__: [])


def _counts_nothing(patch: pytest.MonkeyPatch) -> None:
    """There is no census."""

    async def agree(self: EveryWrite) -> list[object]:
        await trio.lowlevel.checkpoint()
        return []

    patch.setattr(EveryWrite, "_mismatches", agree)


def _sees_gaps_everywhere(patch: pytest.MonkeyPatch) -> None:
    """Whoever has nothing to tell for 20 s is taken for dead, between two heartbeats."""
    next_events = Line.next_events

    async def impatient(
        self: Line, timeout_s: float | None = None, *, ahead: bool = False
    ) -> list[Event]:
        return await next_events(self, timeout_s or 20.0, ahead=ahead)

    patch.setattr(Line, "next_events", impatient)


def _stops_late(patch: pytest.MonkeyPatch) -> None:
    """A host that says nothing is waited for, when the recorder is to end."""
    patch.setattr(session_module, "LOGOUT_TIMEOUT_S", 600.0)


def _says_nothing_of_its_stop(patch: pytest.MonkeyPatch) -> None:
    """The last words of a pool are not written."""

    async def mute(self: Scribe, _why: str) -> None:
        await trio.lowlevel.checkpoint()
        self._pen.close()

    patch.setattr(Scribe, "stop", mute)


def _asks_for_more_than_it_may(patch: pytest.MonkeyPatch) -> None:
    """It makes a network of its own on the server."""
    current_id = Session.current_id

    async def bold(self: Session) -> int:
        with suppress(XapiFault):  # It goes on as if nothing had been: only the server knows.
            await self.call("network.create", {"name_label": "recording"}, returns=str)
        return await current_id(self)

    patch.setattr(Session, "current_id", bold)


FAR_AND_BUSY = Shape(per_minute=60.0, latency_s=0.8)

BUSY = Shape(per_minute=20.0)
LAST_STATES = Shape(per_minute=8.0, stream=Stream.FROM)

MUTANTS: Mapping[str, Mutant] = {
    "registers-once": Mutant(_registers_once, ["sessions-expire"], "P[34]"),
    "registers-for-less": Mutant(_registers_for_less, ["sessions-expire"], "P[34]"),
    "swallows-events-lost": Mutant(_swallows_events_lost, ["flood"], "P4"),
    "ignores-holes": Mutant(_ignores_holes, ["hidden-id"], "P[34]"),
    "reads-before-it-registers": Mutant(
        _reads_before_it_registers, ["sessions-expire", "kill"], "P3", FAR_AND_BUSY
    ),
    "drops-a-batch": Mutant(_drops_a_batch, ["server-clock"], "P4"),
    "drops-last-states": Mutant(_drops_a_batch, ["sessions-expire"], "P3", LAST_STATES),
    "turns-batches-round": Mutant(_turns_batches_round, ["server-clock"], "P[34]"),
    "acknowledges-before-the-sync": Mutant(_acknowledges_before_the_sync, ["power"], "P[12]"),
    "skips-what-finds-no-room": Mutant(_skips_what_finds_no_room, ["full-disk"], "P1"),
    "declares-no-gap": Mutant(_declares_no_gap, ["connections-drop"], "P4"),
    "forgets-its-death": Mutant(_forgets_its_death, ["power", "kill"], "P4"),
    "begins-gaps-too-late": Mutant(_begins_gaps_too_late, ["stall", "cable"], "P4"),
    "ends-gaps-too-early": Mutant(_ends_gaps_too_early, ["kill", "power"], "P4"),
    "closes-gaps-too-early": Mutant(_closes_gaps_too_early, ["kill", "power"], "P3"),
    "leaves-gaps-open": Mutant(_leaves_gaps_open, ["sessions-expire"], "P4"),
    "ignores-rollbacks": Mutant(_ignores_rollbacks, ["rollback"], "P3", BUSY, first_seed=9),
    "counts-nothing": Mutant(_counts_nothing, ["hidden"], "P4"),
    "sees-gaps-everywhere": Mutant(_sees_gaps_everywhere, ["server-clock"], "P4"),
    "stops-late": Mutant(_stops_late, ["silence", "stop"], "P5"),
    "says-nothing-of-its-stop": Mutant(_says_nothing_of_its_stop, ["server-clock"], "P4"),
    "asks-for-more-than-it-may": Mutant(_asks_for_more_than_it_may, ["server-clock"], "P6"),
}
