"""What a simulation writes down of itself, beside what the pools and the journal say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from recorder.model import Draft, Event, GapCause, GapOpened, Mark, MarkName


@dataclass(slots=True)
class Trouble:
    """Something that goes wrong, and the gaps that it may be the cause of.

    Times are those of trio's clock. `over_s` is None while it lasts.
    """

    kind: str
    causes: frozenset[GapCause]
    began_s: float
    over_s: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """How long a stop or a start of the recorder took, and how long it may take, in seconds."""

    took_s: float
    allowed_s: float


@dataclass(slots=True)
class Chronicle:
    """All that happened outside of the pools."""

    troubles: list[Trouble] = field(default_factory=list)
    acknowledged: dict[int, tuple[float, Draft]] = field(default_factory=dict)
    """By sequence number: when an entry was called durable, and what it is."""
    told_twice: list[int] = field(default_factory=list)
    """Sequence numbers that were given to two entries, both called durable."""
    calls: Counter[str] = field(default_factory=Counter)
    """How often the recorder called each method."""
    refused: list[str] = field(default_factory=list)
    """Methods that its user was not permitted to call."""
    stops: list[Span] = field(default_factory=list)
    starts: list[Span] = field(default_factory=list)
    """Only those that nothing hindered: until every pool was recorded."""
    endings: Counter[str] = field(default_factory=Counter)
    """How often the recorder ended by itself, by reason."""
    clock_steps: list[float] = field(default_factory=list)
    """When the clock of the recorder jumped."""
    server_steps: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    """By pool, each jump of its clock: after how many changes, and by how many seconds."""

    registered: set[str] = field(default_factory=set)
    """The pools that this run of the recorder has registered for."""
    live: set[str] = field(default_factory=set)
    """The pools whose baseline is complete, and that have no open gap."""
    last_events: dict[str, Event] = field(default_factory=dict)

    def durable(self, seqs: range, drafts: Sequence[Draft]) -> None:
        """Note what the recorder calls durable. It is what `Seams` calls an observer."""
        now_s = trio.current_time()
        for seq, draft in zip(seqs, drafts, strict=True):
            if seq in self.acknowledged:
                self.told_twice.append(seq)
            self.acknowledged[seq] = now_s, draft
            match draft.body:
                case Event():
                    self.last_events[draft.pool] = draft.body
                case Mark(MarkName.STARTED):
                    self.registered.clear()
                    self.live.clear()
                case Mark(MarkName.REGISTERED):
                    self.registered.add(draft.pool)
                    self.live.discard(draft.pool)
                case GapOpened(cause=GapCause.AUDIT_TRAIL):
                    continue
                case GapOpened():
                    self.live.discard(draft.pool)
                case Mark(MarkName.BASELINE_DONE):
                    self.live.add(draft.pool)

    def begin(self, kind: str, causes: frozenset[GapCause]) -> Trouble:
        """Note that something goes wrong from now on."""
        trouble = Trouble(kind, causes, trio.current_time())
        self.troubles.append(trouble)
        return trouble

    def durable_s(self, seq: int) -> float:
        """Return when an entry was durable: for one that was not acknowledged, before the next."""
        known = self.acknowledged.get(seq)
        if known is not None:
            return known[0]
        return min((at_s for other, (at_s, _) in self.acknowledged.items() if other > seq))
