"""Where an instant lies in a journal: the last entry that counts, and the gaps around it."""

from collections.abc import Iterator

import msgspec

from ..errors import JournalDamaged, QueryError
from ..instant import Instant, time_text
from ..model import (
    RECORDER,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    rest_of,
)

_MISSING = "entries-missing"
"""The cause of a gap that only a reader finds: entries are lost."""


class _Gap(msgspec.Struct):
    """A gap: blind from `since_ns` (or after entry `since_seq`) until it was closed.

    Of one that a census found, entries up to `since_seq` may be later than `since_ns`.
    """

    seq: int
    cause: str
    since_seq: int
    since_ns: int
    closed_seq: int | None = None

    def covers(self, instant: Instant, position: int, position_at_ns: int) -> bool:
        """The entry before a gap still tells the state of its own moment, not of any later."""
        begun = self.since_seq < position
        if instant.at_us is not None:
            begun = begun or instant.at_us >= self.since_ns // 1000
        elif self.cause == GapCause.CENSUS_MISMATCH:
            begun = begun or position_at_ns > self.since_ns
        return begun and (self.closed_seq is None or position < self.closed_seq)

    def text(self) -> str:
        """Say it to people."""
        return f"gap @{self.seq} ({self.cause}), blind since {time_text(self.since_ns // 1000)}"


class _Facts(msgspec.Struct):
    """What is known of one pool: `certain_*` is where nothing had been missed yet."""

    certain_seq: int
    certain_at_ns: int
    last_seq: int = 0
    last_at_ns: int = 0
    registered: bool = False
    baselined_seq: int | None = None
    gaps: list[_Gap] = msgspec.field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Take the next entry of this pool."""
        self.last_seq, self.last_at_ns = entry.seq, entry.received_at_ns
        match rest_of(entry.body):
            case GapOpened(cause=GapCause.AUDIT_TRAIL):
                pass  # who did it is not asked for here
            case GapOpened() as opened:
                self._open_gap(entry, opened)
            case GapClosed():
                self._close_gaps(entry.seq, found_by_readers=False)
            case Event() | Mark(name=MarkName.REGISTERED):
                self.certain_seq, self.certain_at_ns = entry.seq, entry.received_at_ns
                self.registered = self.registered or isinstance(entry.body, Mark)
            case Mark(name=MarkName.BASELINE_DONE, detail=detail) if "class" not in detail:
                self.baselined_seq = self.baselined_seq or entry.seq
                self._close_gaps(entry.seq, found_by_readers=True)
            case _:
                pass  # what else there is says nothing of certainty

    def _open_gap(self, entry: Entry, opened: GapOpened) -> None:
        since_seq, since_ns = entry.seq, entry.received_at_ns
        if opened.complete_until_ns is not None:
            since_seq, since_ns = self.certain_seq, opened.complete_until_ns
        self.gaps.append(_Gap(entry.seq, opened.cause.value, since_seq, since_ns))

    def _close_gaps(self, seq: int, *, found_by_readers: bool) -> None:
        for gap in self.gaps:
            if gap.closed_seq is None and (gap.cause == _MISSING) is found_by_readers:
                gap.closed_seq = seq


class Survey(msgspec.Struct):
    """What the whole journal says about where an instant lies, and which gaps cover it.

    `damage` is what ended the reading before the end of the journal.
    """

    position: int = 0
    position_at_ns: int = 0
    last_seq: int = 0
    damage: JournalDamaged | None = None
    pools: dict[str, _Facts] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterator[Entry], instant: Instant) -> "Survey":
        """Read all entries; what comes after the instant tells of gaps that begin before it.

        Raises QueryError for an instant beyond the end, JournalDamaged for one beyond damage.
        """
        survey = cls(position=instant.seq or 0)
        try:
            for entry in entries:
                survey._take(entry)
                if instant.at_us is not None and entry.received_at_ns // 1000 <= instant.at_us:
                    survey.position = entry.seq
                if entry.seq == survey.position:
                    survey.position_at_ns = entry.received_at_ns
        except JournalDamaged as damage:
            survey.damage = damage
        if survey.position <= survey.last_seq:
            return survey
        if survey.damage is not None:
            raise survey.damage
        raise QueryError(f"{instant} is not recorded: the journal ends at @{survey.last_seq}")

    def pool(self, name: str | None) -> str:
        """Return the pool that is meant. Raises QueryError."""
        names = sorted(self.pools)
        listed = ", ".join(names)
        if name is None and len(names) == 1:
            return names[0]
        if name is None and names:
            raise QueryError(f"{len(names)} pools are recorded: say --pool with one of {listed}")
        if name is None or name not in self.pools:
            known = f"; recorded are {listed}" if names else ": the journal has no pool"
            raise QueryError(f"no pool {name} is recorded{known}" if name else "nothing" + known)
        return name

    def check_known(self, name: str) -> None:
        """Raise QueryError if nobody can know what the pool was like."""
        baselined = self.pools[name].baselined_seq
        if baselined is None:
            raise QueryError(f"pool {name} was never read completely: no instant can be served")
        if self.position < baselined:
            raise QueryError(
                f"the state of pool {name} is unknown before @{baselined}, where it was read"
                " completely for the first time"
            )

    def caveats(self, name: str, instant: Instant) -> Iterator[str]:
        """Say why the state of the pool may not have been this one."""
        facts = self.pools[name]
        if self.damage is not None:
            yield f"the journal cannot be read after @{self.last_seq}: {self.damage}"
        for gap in facts.gaps:
            if gap.covers(instant, self.position, self.position_at_ns):
                yield f"the instant lies in {gap.text()}: changes may have been missed"
                return
        later = instant.at_us is not None and instant.at_us > facts.last_at_ns // 1000
        if later or self.position > facts.last_seq:
            last = time_text(facts.last_at_ns // 1000)
            yield f"nothing is recorded of pool {name} after {last}: this is its last known state"

    def _take(self, entry: Entry) -> None:
        if self.last_seq and entry.seq != self.last_seq + 1:
            self._entries_missing()
        self.last_seq = entry.seq
        if entry.pool != RECORDER:
            if entry.pool not in self.pools:
                self.pools[entry.pool] = _Facts(entry.seq, entry.received_at_ns)
            self.pools[entry.pool].take(entry)

    def _entries_missing(self) -> None:
        """Every pool may have had events among the entries that are not there."""
        for facts in self.pools.values():
            if facts.registered:
                gap = _Gap(self.last_seq + 1, _MISSING, facts.certain_seq, facts.certain_at_ns)
                facts.gaps.append(gap)
