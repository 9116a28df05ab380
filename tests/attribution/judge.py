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

    `about` is the reference of the task or the index of the change; `trackid` tells the session.
    `own_task` is the task that a host is said to have made for itself; nothing of users.
    """

    about: str | int
    trackid: str
    call: str
    confidence: str
    own_task: str = ""


class Judge:
    """Knows of one day what really happened."""

    def __init__(self, day: Day) -> None:
        self._changes = day.truth.changes
        self._doings = [doing for doing in day.truth.doings if doing.ended_s is not None]
        self._begun = day.epochs[0]
        self._asked = {doing.task for doing in day.truth.doings if not doing.lent}

    @cached_property
    def doers(self) -> Mapping[str | int, Doing | None]:
        """Who made each task, by reference, and each change, by its index.

        None is the pool itself. A task is made by whoever its first event is due to.
        """
        return {about: change.by for about, change in self._subjects()}

    def is_right(self, claim: Claim) -> bool:
        """Say whether it was this session, by this call; of a host, that no client asked for it."""
        if claim.own_task:
            return claim.own_task not in self._asked
        doing = self.doers.get(claim.about)
        if doing is None:
            return False
        return trackid(doing.session) == claim.trackid and doing.call == claim.call

    def headers_of(self, claim: Claim) -> Mapping[str, str]:
        """Return the headers of the call that made it in truth; none if nobody did."""
        doing = self.doers.get(claim.about)
        return {} if doing is None else doing.headers

    def wrong(self, claims: Iterable[Claim]) -> list[str]:
        """Return what is wrong, in words for who has to find out why."""
        return [self._told(claim) for claim in claims if not self.is_right(claim)]

    def share_right(self, claims: Iterable[Claim], confidence: str) -> float:
        """Return how many of the claims with this confidence are right, from 0 to 1; 1 of none."""
        verdicts = [self.is_right(claim) for claim in claims if claim.confidence == confidence]
        return sum(verdicts) / len(verdicts) if verdicts else 1.0

    def share_told(self, claims: Iterable[Claim]) -> float:
        """Return of how many tasks that calls have made it is said, rightly, who made the call."""
        told = {claim.about for claim in claims if self.is_right(claim)}
        made = {doing.task for doing in self._doings if doing.task in self.doers and not doing.lent}
        return len(made & told) / len(made)

    def _subjects(self) -> Iterable[tuple[str | int, Change]]:
        for index, change in enumerate(self._changes[self._begun :], self._begun):
            yield index, change
            if change.cls == "task" and change.operation == "add":
                yield change.ref, change

    def _told(self, claim: Claim) -> str:
        doing = self.doers.get(claim.about)
        truth = "the pool itself" if doing is None else f"{doing.user} by {doing.method}"
        about = str(claim.about)
        if isinstance(claim.about, int):
            change = self._changes[claim.about]
            record = json.loads(change.snapshot)
            name = record.get("name_label", "")
            about = f"change {about}, {change.cls}.{change.operation} of {name} {change.ref}"
        return f"{about}: {claim.confidence} {claim.call} of {claim.trackid}, in truth {truth}"
