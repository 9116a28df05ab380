"""Judges who is said to have done something, by the truth of the simulator."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from recorder.simulator.audit import trackid
from recorder.simulator.doings import Doing
from recorder.simulator.truth import Change
from tests.attribution.day import Day


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is said to have made a task, or a change, by a call.

    `about` is the reference of the task or the id of the event; `trackid` tells the session.
    """

    about: str | int
    trackid: str
    call: str
    confidence: str


class Judge:
    """Knows of one day what really happened."""

    def __init__(self, day: Day) -> None:
        self._changes = day.truth.changes[day.begun :]

    @cached_property
    def doers(self) -> Mapping[str | int, Doing | None]:
        """Who made each task, by reference, and each change, by the id of its event.

        None is the pool itself. A task is made by whoever its first event is due to.
        """
        return {about: change.by for about, change in self._subjects()}

    def is_right(self, claim: Claim) -> bool:
        """Say whether it was this session, by this call."""
        doing = self.doers.get(claim.about)
        if doing is None:
            return False
        return trackid(doing.session) == claim.trackid and doing.call == claim.call

    def wrong(self, claims: Iterable[Claim]) -> list[str]:
        """Return what is wrong, in words for who has to find out why."""
        return [self._told(claim) for claim in claims if not self.is_right(claim)]

    def _subjects(self) -> Iterable[tuple[str | int, Change]]:
        for change in self._changes:
            assert change.event_id is not None
            yield change.event_id, change
            if change.cls == "task" and change.operation == "add":
                yield change.ref, change

    def _told(self, claim: Claim) -> str:
        doing = self.doers.get(claim.about)
        truth = "the pool itself" if doing is None else f"{doing.user} by {doing.method}"
        about = str(claim.about)
        if isinstance(claim.about, int):
            (change,) = (item for item in self._changes if item.event_id == claim.about)
            record = json.loads(change.snapshot)
            name = record.get("name_label", "")
            about = f"event {about}, {change.cls}.{change.operation} of {name} {change.ref}"
        return f"{about}: {claim.confidence} {claim.call} of {claim.trackid}, in truth {truth}"
