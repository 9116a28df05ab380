"""Histories that are broken on purpose, each in one place: what is asked of them has to show it.

A mutant breaks a seam of the real loader, or of the answers, for one history; the recorder and its
journal are whole. Mutants of the loader are seen in what was loaded with them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import pytest
from msgspec.structs import replace

from query.history.database import History
from query.load import chunks, fold, loading
from query.load.chunks import Baselines
from query.load.compare import Comparison
from query.load.known import Known, Origin, PoolState
from query.load.ledger import Ledger
from query.load.rows import Stamp, Told
from query.questions import certainty, states
from query.questions.certainty import Moment, Verdict
from query.questions.gaps import GapSpan
from query.questions.objects import Found
from query.questions.states import FoundAfter, State
from query.records import FieldChange
from recorder.instant import Instant
from recorder.model import GapOpened, Mark, MarkName, Stream
from tests.truth.scene import Shape

BLIND = ("kill", "power", "sessions-expire")
"""Troubles after which much has to be found out."""


@dataclass(frozen=True, slots=True)
class HistoryMutant:
    """How a history is broken, and in which pools and which troubles that shows."""

    breaks: Callable[[pytest.MonkeyPatch], None]
    shape: Shape
    shown_by: tuple[str, ...] = BLIND
    first_seed: int = 0


def _ignores_the_watermark(patch: pytest.MonkeyPatch) -> None:
    """A baseline row is newer than any event."""
    patch.setattr(chunks, "_told_since", lambda *_: False)


def _takes_newborns_for_gone(patch: pytest.MonkeyPatch) -> None:
    """What was born after its class was read is missing from the baseline, and so is gone."""

    def is_missing(pool: PoolState, known: Known) -> bool:
        reading = pool.readings.get(known.cls)
        return reading is not None and not known.gone and known.chunk_seq <= reading.seq

    patch.setattr(chunks, "_is_missing", is_missing)


def _compares_ids_of_two_epochs(patch: pytest.MonkeyPatch) -> None:
    """An event with a high id is newer than a baseline, whatever toolstack has counted it."""

    def told_since(pool: PoolState, known: Known, low: int) -> bool:
        return known.event_seq > 0 and (pool.stream is Stream.FROM or known.event_id >= low)

    patch.setattr(chunks, "_told_since", told_since)


def _forgets_deletions(patch: pytest.MonkeyPatch) -> None:
    """What a baseline no longer has lives on."""
    patch.setattr(chunks, "_is_missing", lambda *_: False)


def _takes_baselines_for_confirmations(patch: pytest.MonkeyPatch) -> None:
    """What a baseline says of a known object is not compared with what was known."""

    class Blind(Comparison):
        def changes(self, *_: object) -> tuple[FieldChange, ...]:
            return ()

    patch.setattr(fold, "Baselines", lambda memory, rows, _: Baselines(memory, rows, Blind()))


def _shows_the_inferred_as_seen(patch: pytest.MonkeyPatch) -> None:
    """What was found out later was told live."""

    def live(operation: object, origin: Origin, *rest: object) -> object:
        shown = Origin.LIVE if origin is Origin.INFERRED else origin
        return Told(operation, shown, *rest)  # type: ignore[arg-type]  # as they are

    patch.setattr(chunks, "Told", live)


def _closes_gaps_at_the_registration(patch: pytest.MonkeyPatch) -> None:
    """A gap is over when the server tells of events again."""
    mark = Ledger.mark

    def early(self: Ledger, pool: PoolState, stamp: Stamp, body: Mark) -> None:
        mark(self, pool, stamp, body)
        if body.name is MarkName.REGISTERED:
            self._close(pool, stamp, stamp.at_us, found_by_reader=False)

    patch.setattr(Ledger, "mark", early)


def _begins_gaps_when_they_are_noticed(patch: pytest.MonkeyPatch) -> None:
    """Up to the entry that opens a gap all is known."""
    opened = Ledger.opened

    def late(self: Ledger, pool: PoolState, stamp: Stamp, body: GapOpened) -> None:
        opened(self, pool, stamp, replace(body, complete_until_ns=stamp.at_us * 1000))

    patch.setattr(Ledger, "opened", late)


def _forgets_gaps(patch: pytest.MonkeyPatch) -> None:
    """A gap is nobody's business."""
    patch.setattr(Ledger, "opened", lambda *_: None)


def _forgets_between_two_loads(patch: pytest.MonkeyPatch) -> None:
    """A loader knows only what it has loaded itself."""
    patch.setattr(loading, "recall", lambda *_: None)


def _looks_one_entry_ahead(patch: pytest.MonkeyPatch) -> None:
    """An answer holds one entry too many."""
    rows, rows_of = states._rows, states._rows_of

    def ahead(
        history: History, cls: str | None, position: int, *, pool: str | None
    ) -> list[states._Row]:
        return rows(history, cls, position + 1, pool=pool)

    def ahead_of(history: History, found: Found, position: int) -> list[states._Row]:
        return rows_of(history, found, position + 1)

    patch.setattr(states, "_rows", ahead)
    patch.setattr(states, "_rows_of", ahead_of)


def _takes_every_class_for_read(patch: pytest.MonkeyPatch) -> None:
    """A class that could not be read is known all the same."""
    patch.setattr(states._Skips, "of", lambda *_: None)


def _finds_all_unchanged(patch: pytest.MonkeyPatch) -> None:
    """What came out of a gap is what went in."""

    def unchanged(
        history: History, found: Found, state: State, moment: Moment
    ) -> FoundAfter | None:
        told = found_after(history, found, state, moment)
        return None if told is None else FoundAfter(None, [], None)

    found_after = states._found_after
    patch.setattr(states, "_found_after", unchanged)


def _takes_last_states_for_all(patch: pytest.MonkeyPatch) -> None:
    """A stream that skips versions is as good as one that does not."""
    verdict_of = certainty.verdict_of

    def certain(history: History, pool: str, moment: Moment) -> Verdict:
        return msgspec.structs.replace(verdict_of(history, pool, moment), stream=None)

    patch.setattr(states, "verdict_of", certain)


def _knows_states_before_they_are_told(patch: pytest.MonkeyPatch) -> None:
    """What was known at a time holds entries from after it."""
    moment_of = certainty.moment_of

    def later(history: History, instant: Instant, known: Instant | None) -> Moment:
        moment = moment_of(history, instant, known)
        return replace(moment_of(history, instant, None), known_seq=moment.known_seq)

    patch.setattr(states, "moment_of", later)


def _knows_gaps_before_they_are_noticed(patch: pytest.MonkeyPatch) -> None:
    """What was known at a time knows of every gap, and of its end."""

    def known(gap: GapSpan, _: Moment) -> GapSpan:
        return gap

    patch.setattr(certainty, "_as_known", known)


CALM = Shape(per_minute=6.0)
FAR_AND_BUSY = Shape(per_minute=40.0, latency_s=0.8)
LAST_STATES = Shape(per_minute=6.0, stream=Stream.FROM)

LOADER_MUTANTS: Mapping[str, HistoryMutant] = {
    "ignores-the-watermark": HistoryMutant(_ignores_the_watermark, FAR_AND_BUSY),
    "takes-newborns-for-gone": HistoryMutant(_takes_newborns_for_gone, FAR_AND_BUSY),
    "compares-ids-of-two-epochs": HistoryMutant(_compares_ids_of_two_epochs, CALM, ("restart",)),
    "forgets-deletions": HistoryMutant(_forgets_deletions, CALM, first_seed=4),
    "takes-baselines-for-confirmations": HistoryMutant(_takes_baselines_for_confirmations, CALM),
    "shows-the-inferred-as-seen": HistoryMutant(_shows_the_inferred_as_seen, CALM),
    "closes-gaps-at-the-registration": HistoryMutant(_closes_gaps_at_the_registration, CALM),
    "begins-gaps-when-they-are-noticed": HistoryMutant(_begins_gaps_when_they_are_noticed, CALM),
    "forgets-gaps": HistoryMutant(_forgets_gaps, CALM),
    "forgets-between-two-loads": HistoryMutant(_forgets_between_two_loads, CALM, first_seed=4),
    "forgets-deletions-of-last-states": HistoryMutant(
        _forgets_deletions, LAST_STATES, first_seed=4
    ),
}

ANSWER_MUTANTS: Mapping[str, HistoryMutant] = {
    "looks-one-entry-ahead": HistoryMutant(_looks_one_entry_ahead, CALM),
    "takes-every-class-for-read": HistoryMutant(_takes_every_class_for_read, CALM),
    "finds-all-unchanged": HistoryMutant(_finds_all_unchanged, CALM),
    "takes-last-states-for-all": HistoryMutant(_takes_last_states_for_all, LAST_STATES),
}

AS_KNOWN_MUTANTS: Mapping[str, HistoryMutant] = {
    "knows-states-before-they-are-told": HistoryMutant(_knows_states_before_they_are_told, CALM),
    "knows-gaps-before-they-are-noticed": HistoryMutant(_knows_gaps_before_they_are_noticed, CALM),
}
