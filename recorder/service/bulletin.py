"""What `xentrail status` is told: how the recorder and each of its pools stand just now."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import trio

from .. import VERSION
from ..clock import WallClock
from ..control.lines import iso
from ..control.protocol import (
    BaselineStatus,
    CheckpointStatus,
    GapStatus,
    PoolStatus,
    RecorderStatus,
    State,
    StatusReport,
)
from ..journal.store import Journal, News
from ..keeper import Keeper
from ..model import Draft
from ..pools.vitals import Standing, Vitals


@dataclass(slots=True)
class Tally:
    """Counts what the keeper tells: `observe` and `hear` are an observer and a hearer of it."""

    now_ns: WallClock
    last_seq: int
    entries: int = 0
    signed_at_ns: int | None = None
    started_at_ns: int = field(init=False)
    started_at_s: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin now."""
        self.started_at_ns, self.started_at_s = self.now_ns(), trio.current_time()

    def observe(self, seqs: range, _drafts: Sequence[Draft]) -> None:
        """A group became durable."""
        self.entries += len(seqs)
        self.last_seq = seqs.stop - 1

    def hear(self, news: News) -> None:
        """Something happened to the journal beside its entries."""
        if news.notes:
            self.signed_at_ns = self.now_ns()


class Bulletin(msgspec.Struct, frozen=True):
    """Draws up the reports. It only looks: nothing here waits for the journal or for a pool."""

    journal: Journal
    keeper: Keeper
    tally: Tally
    followers: Callable[[], int]

    def report(self, pools: Sequence[Vitals]) -> StatusReport:
        """Return how everything stands."""
        now_ns, now_s = self.tally.now_ns(), trio.current_time()
        full = self.keeper.disk_is_full
        return StatusReport(
            self._recorder(now_s=now_s),
            [status_of(vitals, disk_full=full, now_ns=now_ns, now_s=now_s) for vitals in pools],
        )

    def _recorder(self, *, now_s: float) -> RecorderStatus:
        tally, unsigned = self.tally, self.journal.unsigned
        # The journal counts what is durable, also when a thread of the keeper is at work in it.
        last_seq = self.journal.next_seq - 1
        checkpoint = None
        if tally.signed_at_ns is not None:
            checkpoint = CheckpointStatus(last_seq - unsigned, iso(tally.signed_at_ns))
        return RecorderStatus(
            version=VERSION,
            pid=os.getpid(),
            started_at=iso(tally.started_at_ns),
            uptime_s=round(now_s - tally.started_at_s, 3),
            entries=tally.entries,
            last_seq=last_seq,
            segment=self.journal.segment,
            unsigned=unsigned,
            checkpoint=checkpoint,
            disk_full=self.keeper.disk_is_full,
            on_disk_s=round(self.keeper.on_disk_s, 3),
            followers=self.followers(),
        )


def status_of(vitals: Vitals, *, disk_full: bool, now_ns: int, now_s: float) -> PoolStatus:
    """Return how one pool stands."""
    last_ns, lag_s = vitals.last_event_at_ns, vitals.lag_s(now_s=now_s)
    line_ns = vitals.audit_line_at_ns
    return PoolStatus(
        pool=vitals.pool,
        state=state_of(vitals, disk_full=disk_full),
        stream=vitals.stream,
        master=vitals.address,
        codec=vitals.codec,
        connected_at=_time(vitals.connected_at_ns),
        epoch=vitals.epoch,
        last_event_id=vitals.last_event_id,
        last_event_at=_time(last_ns),
        last_event_age_s=None if last_ns is None else _age_s(last_ns, now_ns),
        lag_s=None if lag_s is None else round(lag_s, 6),
        events=vitals.events,
        events_per_s=round(vitals.rate.per_s(now_s=now_s), 3),
        pressure_percent=round(100 * vitals.pressure, 1),
        gap=_gap(vitals, now_ns),
        baseline=_baseline(vitals, now_ns),
        error=vitals.error,
        last_audit_line_at=_time(line_ns),
        last_audit_line_age_s=None if line_ns is None else _age_s(line_ns, now_ns),
    )


def state_of(vitals: Vitals, *, disk_full: bool) -> State:
    """Return the one word for a pool: of several that are true the worst."""
    if disk_full:
        return State.DISK_FULL
    match vitals.standing:
        case Standing.REFUSED:
            return State.REFUSED
        case Standing.READING:
            return State.BASELINE
        case Standing.CONNECTING:
            return State.CONNECTING if vitals.gap is None else State.BLIND
        case Standing.LIVE:
            return State.LIVE if vitals.gap is None else State.BLIND


def _gap(vitals: Vitals, now_ns: int) -> GapStatus | None:
    gap = vitals.gap
    if gap is None:
        return None
    age_s = _age_s(gap.since_ns, now_ns)
    return GapStatus(gap.seq, gap.cause or None, iso(gap.since_ns), age_s)


def _baseline(vitals: Vitals, now_ns: int) -> BaselineStatus | None:
    last = vitals.baseline
    if last is None:
        return None
    age_s = _age_s(last.at_ns, now_ns)
    return BaselineStatus(iso(last.at_ns), age_s, last.classes, last.objects)


def _age_s(at_ns: int, now_ns: int) -> float:
    """Return how long ago a time was; nothing is younger than now, whatever the clock did."""
    return max(0.0, round((now_ns - at_ns) / 1e9, 3))


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso(at_ns)
