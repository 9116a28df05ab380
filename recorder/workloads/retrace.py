"""What a run that goes on finds again: calls that were made, and what it went by. Pure.

Kinds run once more from the beginning of the plan. What they ask for in the order of an object's
calls is answered from here, until there is no more; from then on they are live.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from ..errors import WorkloadError
from ..xapi.jsonrpc import Param
from .past import Note, RunPast, StepPast


class Retrace:
    """The calls of a run that are still to be found again; none for a run that begins."""

    def __init__(self, past: RunPast | None = None) -> None:
        self._ahead: dict[tuple[int, str], deque[StepPast]] = {}
        self._notes: dict[tuple[int, str, str], Note] = {}
        self._last_seq: dict[tuple[int, str], int] = {}
        self._failed: set[int] = set()
        if past is None:
            return
        for step in past.steps.values():
            place = step.intent.part, step.intent.ref
            self._ahead.setdefault(place, deque()).append(step)
            for key in (place, (step.intent.part, "")):
                self._last_seq[key] = max(step.seq, self._last_seq.get(key, 0))
            if step.ended is not None and step.ended.has_failed and not step.ended.stopped:
                self._failed.add(step.intent.part)
        self._notes = {(note.part, note.about, note.name): note for note in past.notes}

    def is_ahead(self, part: int, ref: str) -> bool:
        """Whether a call to an object is still to be found again."""
        return bool(self._ahead.get((part, ref)))

    def has_failed(self, part: int) -> bool:
        """Whether a call of a part did not succeed, wherever it comes among the others."""
        return part in self._failed

    def take(
        self, part: int, ref: str, method: str, params: Sequence[Param], round_: int
    ) -> StepPast | None:
        """Return the recorded call that this one is; None if it is a new one.

        One that is undone is followed by another that is the same. Raises WorkloadError if the
        recorded call is another one.
        """
        ahead = self._ahead.get((part, ref))
        if not ahead:
            return None
        step = ahead.popleft()
        intent, text = step.intent, msgspec.json.encode(params)
        is_same = (intent.method, intent.round) == (method, round_)
        if not is_same or msgspec.json.encode(intent.params) != text:
            made = f"{intent.method} in round {intent.round} with {intent.params}"
            raise WorkloadError(
                f"step {intent.number} was {made}, and now it would be {method} in round"
                f" {round_} with {tuple(params)}: a run is resumed by what does the same again"
            )
        return step

    def all_of(self, part: int, ref: str) -> list[StepPast]:
        """Return the recorded calls to an object, whatever they are."""
        return [*self._ahead.pop((part, ref), ())]

    def left_of(self, part: int) -> list[StepPast]:
        """Return the recorded calls of a part that nothing has asked for again."""
        places = [place for place in self._ahead if place[0] == part]
        return [step for place in places for step in self._ahead.pop(place)]

    def noted(self, part: int, about: str, name: str) -> bytes | None:
        """Return what a run went by; None if no call came of it: then it is looked at again."""
        note = self._notes.get((part, about, name))
        if note is None or self._last_seq.get((part, about), 0) < note.seq:
            return None
        return note.value
