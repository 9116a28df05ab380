"""Journals in which anything may follow anything, from a seed."""

import random
from collections.abc import Callable
from pathlib import Path

from recorder.journal.redaction import redact
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import (
    AuditLine,
    Entry,
    Event,
    GapCause,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
    Stream,
)
from tests.history.journals import START_NS, Pool, Told, record, write_journal

AUDIT_LINE = AuditLine("10.0.0.1", b"who did what", False)
NO_LINES = GapOpened(GapCause.AUDIT_TRAIL, "lines are missing", None, START_NS)
STATUSES = ("pending", "success", "failure", "cancelled")


class RandomPool:
    """A pool that does what comes to mind, and its recorder, which may lose it at any time."""

    def __init__(self, told: Told, name: str, rng: random.Random) -> None:
        self.rng = rng
        self.pool = Pool(told, name)
        self.stream = rng.choice(list(Stream))
        self.live: dict[str, dict[str, int]] = {"vm": {}, "host": {}, "task": {}}
        self.gap: int | None = None
        self.pool.register(self.stream)

    def step(self) -> None:
        """Do one thing."""
        deeds: list[tuple[int, Callable[[], object]]] = [
            (60, self.change),
            (8, self.forget),
            (5, self.baseline),
            (4, self.half_a_chunk),
            (3, self.lose),
            (2, self.skip),
            (2, lambda: self.pool.told.write(self.pool.name, Heartbeat())),
            (2, lambda: self.pool.told.write(self.pool.name, AUDIT_LINE)),
            (1, lambda: self.pool.told.write(self.pool.name, NO_LINES)),
        ]
        weights, what = zip(*deeds, strict=True)
        self.rng.choices(what, weights)[0]()

    def change(self) -> None:
        """An object is born or changes, or is told again as it was; perhaps nobody hears of it."""
        cls = self.rng.choice(["vm", "vm", "host", "task"])
        name = f"{cls}{self.rng.randrange(6)}"
        known = name in self.live[cls]
        self.live[cls][name] = self.rng.randrange(4)
        if self.rng.random() < 0.1:
            self.pool.next_id += 1
            return
        self.pool.event("mod" if known else "add", cls, name, self.fields(cls, name))

    def fields(self, cls: str, name: str) -> dict[str, object]:
        """Return the record of an object."""
        value = self.live[cls][name]
        title = f"{name}-{'renamed' if value == 3 else 'called'}"
        return dict(record(title, status=STATUSES[value], memory=str(value % 2), nested=[value]))

    def forget(self) -> None:
        """An object goes."""
        cls = self.rng.choice(list(self.live))
        if self.live[cls]:
            name = self.rng.choice(sorted(self.live[cls]))
            told = None if self.stream is Stream.FROM else self.fields(cls, name)
            del self.live[cls][name]
            self.pool.event("del", cls, name, told)

    def baseline(self) -> None:
        """All that lives is read again, after a new registration or within the epoch."""
        if self.rng.random() < 0.6:
            self.pool.register(self.stream, next_id=self.rng.randrange(50))
        for cls in self.rng.sample(list(self.live), self.rng.randint(1, 3)):
            self.pool.chunk(cls, {name: self.fields(cls, name) for name in self.live[cls]})
        self.pool.done()
        if self.gap is not None:
            self.pool.close(self.gap)
            self.gap = None

    def half_a_chunk(self) -> None:
        """A chunk is cut short for good."""
        vms = {name: self.fields("vm", name) for name in self.live["vm"]}
        self.pool.chunk("vm", vms, rows=self.rng.randrange(len(vms) + 1))

    def lose(self) -> None:
        """A gap opens, on top of others perhaps."""
        opened = self.pool.lose(self.rng.choice(list(GapCause)))
        self.gap = self.gap or opened

    def skip(self) -> None:
        """A class could not be read."""
        detail = {"class": "host", "error": "MESSAGE_METHOD_UNKNOWN"}
        self.pool.told.write(self.pool.name, Mark(MarkName.CLASS_SKIPPED, detail))


def random_story(seed: int, steps: int) -> Told:
    """Tell of so many steps of three pools."""
    rng = random.Random(seed)
    told = Told()
    pools = [RandomPool(told, name, rng) for name in ("east", "lab", "west")]
    for _ in range(steps):
        rng.choice(pools).step()
    return told


def random_journal(folder: Path, seed: int, steps: int) -> list[Entry]:
    """Write a story as a journal; after each third, something is taken out of it. Return it."""
    rng = random.Random(seed)
    drafts = random_story(seed, steps).drafts()
    third = len(drafts) // 3
    for part in (drafts[:third], drafts[third : 2 * third], drafts[2 * third :]):
        write_journal(folder, part)
        events = [entry.seq for entry in scan(folder) if isinstance(entry.body, Event)]
        with Journal.open(folder, now_ns=lambda: START_NS) as journal:
            redact(journal, rng.choice(events), "a password", by="somebody")
    return list(scan(folder))
