"""Runs on a simulated pool, recorded once and then told again, truly or not."""

import json
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import trio
import trio.testing
from msgspec.structs import replace

from query.audit.gather import audit
from query.audit.judge import Audit
from query.history.database import History
from query.load.loader import refresh
from query.questions.runs import runs
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import (
    Body,
    Detail,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
)
from tests.workloads.theatre import Theatre, theatre

Rule = Mapping[str, object]
Among = Callable[[Theatre], None]
Then = Callable[[Theatre], Awaitable[None]]


@dataclass
class Tale:
    """The entries of a journal, and what the pool itself knows of its tasks."""

    entries: list[Entry]
    statuses: dict[str, list[str]] = field(default_factory=dict)

    def marks(self, name: MarkName) -> list[tuple[int, dict[str, object]]]:
        """Return number and details of the marks of a name."""
        return [
            (entry.seq, dict(entry.body.detail))
            for entry in self.entries
            if isinstance(entry.body, Mark) and entry.body.name is name
        ]

    def events(self, cls: str, ref: str) -> list[tuple[int, dict[str, object]]]:
        """Return number and record of the events of an object."""
        return [
            (entry.seq, json.loads(entry.body.snapshot or b"{}"))
            for entry in self.entries
            if isinstance(entry.body, Event) and (entry.body.cls, entry.body.ref) == (cls, ref)
        ]


@dataclass
class Liar:
    """Changes a tale, entry by entry; `told` writes it as a recorder would have."""

    tale: Tale
    bodies: dict[int, Body] = field(default_factory=dict)
    added: dict[int, list[Body]] = field(default_factory=dict)

    def forget(self, seq: int) -> None:
        """Take an entry away."""
        self.bodies[seq] = Heartbeat()

    def mark(self, seq: int, **detail: str | int | float | bool | None) -> None:
        """Change details of a mark."""
        body = self.body(seq)
        assert isinstance(body, Mark)
        self.bodies[seq] = replace(body, detail={**body.detail, **detail})

    def event(self, seq: int, **fields: object) -> None:
        """Change fields in the record of an event."""
        body = self.body(seq)
        assert isinstance(body, Event)
        record = {**json.loads(body.snapshot or b"{}"), **fields}
        told = json.dumps(record).encode()
        self.bodies[seq] = msgspec.structs.replace(body, snapshot=told)

    def add(self, after: int, *bodies: Body) -> None:
        """Add entries behind one."""
        self.added.setdefault(after, []).extend(bodies)

    def body(self, seq: int) -> Body:
        """Return an entry as it is told now."""
        return self.bodies.get(seq, self.tale.entries[seq - 1].body)

    def gap(self, after: int) -> None:
        """Open a gap behind an entry, and close it at once."""
        opened = GapOpened(GapCause.CONNECTION_LOST, "the cable was pulled", 1, None)
        self.add(after, opened, GapClosed(_JUST_OPENED, self.tale.entries[after].received_at_ns))

    def drafts(self, pool: str, first_seq: int) -> list[Draft]:
        """Return what is to be written for a pool, in which the first entry has this number.

        Entries that others name by their number are named as before.
        """
        places: dict[int, int] = {}
        drafts: list[Draft] = []
        for entry in self.tale.entries:
            places[entry.seq] = first_seq + len(drafts)
            told = [(pool if entry.pool else entry.pool, self.body(entry.seq))]
            for of, body in (*told, *((pool, one) for one in self.added.get(entry.seq, ()))):
                if isinstance(body, GapOpened):
                    places[_JUST_OPENED] = first_seq + len(drafts)
                moved = _moved(_of(body, pool), places)
                drafts.append(Draft(entry.received_at_ns, of, moved))
        return drafts


_JUST_OPENED = -1


def _of(body: Body, pool: str) -> Body:
    """Return an entry as a pool of this name would have it."""
    if isinstance(body, Mark) and body.name is MarkName.RUN_STARTED:
        plan = {**json.loads(str(body.detail["plan"])), "pool": pool}
        return replace(body, detail={**body.detail, "plan": json.dumps(plan)})
    return body


def _moved(body: Body, places: Mapping[int, int]) -> Body:
    match body:
        case Mark(detail={"entry": int(entry)} as detail):
            moved: Detail = {**detail, "entry": places.get(entry, entry)}
            return replace(body, detail=moved)
        case GapClosed(opened_seq=seq):
            return replace(body, opened_seq=places[seq])
        case _:
            return body


def write(folder: Path, liars: Mapping[str, Liar]) -> None:
    """Write what liars tell, each of a pool of its own, into one journal."""
    drafts: list[Draft] = []
    for pool, liar in liars.items():
        drafts += liar.drafts(pool, len(drafts) + 1)
    with Journal.open(folder / "journal", now_ns=lambda: drafts[-1].received_at_ns) as journal:
        journal.append(drafts)


async def repeat(play: Theatre) -> None:
    """Run again what was run, by its recorded plan."""
    (begun,) = play.marks(MarkName.RUN_STARTED)
    replay = {"run": begun["run"], "plan": begun["plan"]}
    await play.run(str(begun["text"]), replay=replay)


def played(
    text: str,
    *rules: Rule,
    vms: int = 4,
    seed: int = 1,
    among: Among | None = None,
    then: Then | None = None,
) -> Tale:
    """Run a script on a pool of its own; `among` is done when a background call begins, `then`
    is done afterwards."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    with tempfile.TemporaryDirectory() as folder:
        do = partial(_play, Path(folder), text, rules, vms=vms, seed=seed, among=among, then=then)
        statuses = trio.run(do, clock=clock)
        return Tale([*scan(Path(folder) / "journal")], statuses)


async def _play(
    folder: Path,
    text: str,
    rules: Sequence[Rule],
    *,
    vms: int,
    seed: int,
    among: Among | None,
    then: Then | None,
) -> dict[str, list[str]]:
    statuses: dict[str, list[str]] = {}
    async with theatre(folder, vms=vms, seed=seed) as play:
        if rules:
            play.rules(*rules)
        if among is not None:
            play.when_begun(partial(among, play))
        await play.run(text)
        if then is not None:
            await then(play)
        for change in play.pool.truth.changes:
            if change.cls == "task":
                status = str(json.loads(change.snapshot)["status"])
                statuses.setdefault(change.ref, []).append(status)
    return statuses


@contextmanager
def history_of(liars: Mapping[str, Liar]) -> Iterator[History]:
    """Load what liars tell, each of a pool of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), liars)
        with refresh(Path(folder)).open() as history:
            yield history


def audit_in(history: History, pool: str) -> Audit:
    """Audit the last run on a pool."""
    *_, run = runs(history, pool=pool)
    return audit(history, pool, run.run)


def audited(liar: Liar) -> Audit:
    """Audit the last run that a liar tells of."""
    with history_of({"lab": liar}) as history:
        return audit_in(history, "lab")
