"""A pool that does what a test tells it, and a recorder that records it in virtual time.

The pool keeps one queue of events as xapi does: ids are dense, a reply takes all that waits.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from inspect import isawaitable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from recorder.config import AuditTrail, Config, Limits, Pool
from recorder.errors import XapiFault
from recorder.journal.files import Disk
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.model import (
    RECORDER,
    Body,
    Entry,
    Event,
    GapClosed,
    GapOpened,
    Mark,
    MarkName,
    Stream,
)
from recorder.service import daemon
from recorder.service.daemon import Seams, serve
from recorder.service.front import Listen
from recorder.service.reload import Reread
from recorder.threads import RunSync, inline
from tests.fakes import PASSWORD, FakeHost, FakeNetwork, Method, login

B = TypeVar("B", bound=Body)

BEGAN_NS = 1_790_000_000 * 10**9
HEARTBEAT_S = 30.0
POOL = "OpaqueRef:pool"


def now_ns() -> int:
    return BEGAN_NS + int(trio.current_time() * 1e9)


def at_s(time_ns: int) -> float:
    """Return the virtual time of a time in the journal."""
    return (time_ns - BEGAN_NS) / 1e9


def drop(*_: object) -> object:
    """Answer a call by closing the connection."""
    raise trio.BrokenResourceError


async def never(*_: object) -> object:
    """Answer a call not at all."""
    await trio.sleep_forever()
    raise AssertionError


def fault(code: str, *params: str) -> Method:
    """Answer a call with an error of XAPI."""

    def refuse(*_: object) -> object:
        raise XapiFault(code, params)

    return refuse


@dataclass
class ScriptedPool:
    """`host` has the methods, which a test may replace; `reply_s` is how late events come."""

    uuid: str = "11111111-0000-4000-8000-000000000001"
    reply_s: float = 0.0
    next_id: int = 5
    records: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    host: FakeHost = field(default_factory=FakeHost)
    _queue: list[dict[str, object]] = field(default_factory=list)
    _troubles: list[Method] = field(default_factory=list)
    _calls: int = 0
    _woken: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.records.setdefault("pool", {POOL: {"uuid": self.uuid}})
        self.records.setdefault("VM", {"OpaqueRef:vm": {"uuid": "a vm"}})
        self.host.methods |= {
            "session.login_with_password": self._log_in,
            "system.listMethods": self._list_methods,
            "event.get_current_id": lambda _session: self.next_id,
            "event.register": lambda _session, _classes: "",
            "event.unregister": lambda _session, _classes: "",
            "event.next": self.answer_next,
            "event.from": self.count_objects,
            "event.inject": lambda *_: "00000000000000000007,00000000000000000000",
        }
        for cls in self.records:
            self.add_class(cls)

    def add_class(self, cls: str) -> None:
        self.records.setdefault(cls, {})
        self.host.methods[f"{cls}.get_all_records"] = lambda _session: self.records[cls]

    def count_objects(self, *_: object) -> dict[str, object]:
        """Answer an `event.from` without classes."""
        counts = {cls.lower(): len(records) for cls, records in self.records.items()}
        return {"events": [], "valid_ref_counts": counts, "token": "7,0"}

    async def answer_from(
        self, _session: str, _classes: object, token: str, wait_s: float
    ) -> object:
        """Answer an `event.from`: what was emitted since the last answer, or nothing in time."""
        events: object = []
        with trio.move_on_after(wait_s):
            events = await self.answer_next("")
        return self.count_objects() | {"events": events, "token": token}

    def trouble(self, *methods: Method) -> None:
        """Answer the event call under way, and as many after it, by these; no event survives."""
        self._troubles += methods
        self._wake()

    def count(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(name == method for name, _ in self.host.calls)

    def emit(
        self,
        count: int = 1,
        cls: str = "vm",
        ref: str = "OpaqueRef:vm",
        operation: str = "mod",
        padding: str = "",
    ) -> None:
        for _ in range(count):
            head = {"id": str(self.next_id), "timestamp": "1.", "class": cls, "ref": ref}
            snapshot = {"n": str(self.next_id) + padding}
            self._queue.append(head | {"operation": operation, "snapshot": snapshot})
            self.next_id += 1
        self._wake()

    async def beat(self) -> None:
        while True:
            await trio.sleep(HEARTBEAT_S)
            self.emit(cls="pool", ref=POOL)

    async def answer_next(self, _session: str) -> object:
        """Answer the newest call only: the one before it lost its connection."""
        self._calls += 1
        mine = self._calls
        while not self._queue and not self._troubles:
            await self._woken.wait()
        if mine != self._calls:
            await trio.sleep_forever()
        if self._troubles:
            self._queue.clear()
            result = self._troubles.pop(0)()
            return await result if isawaitable(result) else result
        told, self._queue = self._queue, []
        await trio.sleep(self.reply_s)
        return told

    def _log_in(self, *params: str) -> object:
        """A new session begins at the head of the queue."""
        self._queue.clear()
        return login(*params)

    def _wake(self) -> None:
        self._woken.set()
        self._woken = trio.Event()

    def _list_methods(self) -> object:
        return [name for name in self.host.methods if name.endswith(".get_all_records")]


class FaultyDisk(Disk):
    """Full, or refusing to sync, for as long as a test says so; never waits for the platter."""

    def __init__(self) -> None:
        self.write_error: int | None = None
        self.sync_error: int | None = None

    def write(self, fd: int, data: memoryview) -> int:
        if self.write_error is not None:
            raise OSError(self.write_error, "refused")
        return super().write(fd, data)

    def sync(self, fd: int) -> None:
        if self.sync_error is not None:
            raise OSError(self.sync_error, f"sync of file {fd} refused")

    def sync_folder(self, folder: Path) -> None:
        pass


@dataclass
class Stage:
    """Scripted pools by name, their network, and a folder for the journal.

    `told` is what systemd would have been told, each word with its virtual time.
    """

    network: FakeNetwork
    data: Path
    pools: dict[str, ScriptedPool]
    disk: FaultyDisk
    uniform: Callable[[float, float], float] = max
    limits: Limits = field(default_factory=Limits)
    stream: Stream = Stream.REGISTER
    run_sync: RunSync = inline
    told: list[tuple[float, str]] = field(default_factory=list)
    watchdog_s: float | None = None
    managed: bool = False
    listen: Listen | None = None
    """No control socket unless a test wants one."""
    reread: Reread | None = None
    password: Callable[[Pool], str] = lambda _pool: PASSWORD

    def address(self, name: str) -> str:
        return f"127.0.0.{list(self.pools).index(name) + 1}"

    def cut(self, name: str) -> None:
        """Make a pool unreachable for new connections."""
        del self.network.hosts[self.address(name)]

    def mend(self, name: str) -> None:
        self.network.hosts[self.address(name)] = self.pools[name].host

    def follow_states(self) -> None:
        """Record by `event.from`: pools answer with what was emitted, and count their objects."""
        self.stream = Stream.FROM
        for pool in self.pools.values():
            pool.host.methods["event.from"] = pool.answer_from

    def config(self, *names: str) -> Config:
        pools = [
            Pool(
                name=name,
                addresses=(f"http://{self.address(name)}",),
                stream=self.stream,
                audit_trail=AuditTrail(enabled=False),
            )
            for name in (names or self.pools)
        ]
        return Config(pools=tuple(pools), limits=self.limits)

    async def serve(
        self, *names: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the daemon for these pools, or all."""
        seams = Seams(
            now_ns=now_ns,
            uniform=self.uniform,
            dial=self.network.dial,
            run_sync=self.run_sync,
            password=self.password,
            tell=lambda word: self.told.append((trio.current_time(), word)),
            watchdog_s=self.watchdog_s,
            managed=self.managed,
            listen=self.listen,
        )
        await serve(
            self.config(*names),
            self.data,
            reread=self.reread,
            seams=seams,
            task_status=task_status,
        )

    @asynccontextmanager
    async def recording(self, *names: str) -> AsyncIterator[None]:
        """Record for the length of the context, and stop cleanly."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.serve, *names)
            yield
            nursery.cancel_scope.cancel()

    def entries(self, name: str = "lab") -> list[Entry]:
        return [entry for entry in scan(self.data / "journal") if entry.pool == name]

    def bodies(self, kind: type[B], name: str = "lab") -> list[B]:
        return [entry.body for entry in self.entries(name) if isinstance(entry.body, kind)]

    def marks(self, mark: MarkName, name: str = "lab") -> list[Mark]:
        return [body for body in self.bodies(Mark, name) if body.name is mark]

    def recorder_marks(self) -> list[MarkName]:
        """Return the marks of the recorder itself."""
        return [mark.name for mark in self.bodies(Mark, RECORDER)]

    def ids(self, name: str = "lab") -> list[int]:
        return [event.id for event in self.bodies(Event, name)]

    def only_gap(self, name: str = "lab") -> tuple[GapOpened, GapClosed | None]:
        """Return the first gap of a pool and what closed it; the stop's own gap is not counted."""
        opened = [entry.seq for entry in self.entries(name) if isinstance(entry.body, GapOpened)]
        assert len(opened) <= 2, opened
        return self.gap_at(opened[0], name)

    def gap_at(self, seq: int, name: str = "lab") -> tuple[GapOpened, GapClosed | None]:
        """Return the gap that was opened at `seq`, and what closed it."""
        (opened,) = [entry.body for entry in self.entries(name) if entry.seq == seq]
        assert isinstance(opened, GapOpened)
        closed = {body.opened_seq: body for body in self.bodies(GapClosed, name)}
        return opened, closed.get(seq)


@asynccontextmanager
async def stage(
    data: Path, pools: Mapping[str, ScriptedPool] | None = None
) -> AsyncIterator[Stage]:
    """Set up pools (one, `lab`, unless told otherwise) on a network, their hearts beating."""
    cast = dict(pools or {"lab": ScriptedPool()})
    patch = pytest.MonkeyPatch()
    disk = FaultyDisk()

    def open_journal(folder: Path, _limits: Limits, seams: Seams) -> Journal:
        return Journal.open(folder / "journal", now_ns=seams.now_ns, disk=disk)

    patch.setattr(daemon, "_open_journal", open_journal)
    try:
        async with trio.open_nursery() as nursery:
            one = Stage(FakeNetwork(nursery, {}), data, cast, disk)
            for name, pool in cast.items():
                one.mend(name)
                nursery.start_soon(pool.beat)
            yield one
            nursery.cancel_scope.cancel()
    finally:
        patch.undo()


def check_gaps(one: Stage, name: str = "lab") -> None:
    """Gaps open and close by turns, tell the last event of their epoch, and none is missing."""
    open_at: int | None = None
    last_id: int | None = None
    recorded = False
    for entry in one.entries(name):
        match entry.body:
            case Mark(MarkName.REGISTERED):
                last_id, recorded = None, True
            case Event(id=number):
                last_id = number
            case GapOpened() as opened:
                assert open_at is None, f"a second gap while one is open: {opened}"
                told = f"the gap tells {opened.last_event_id} as last event, recorded is {last_id}"
                assert opened.last_event_id == last_id, told
                open_at = entry.seq
            case GapClosed(opened_seq=opened_seq):
                assert opened_seq == open_at, f"closes {opened_seq}, open is {open_at}"
                open_at = None
    assert open_at is not None or not recorded, "the record ends, and no gap says so"


def logged(caplog: pytest.LogCaptureFixture, name: str) -> Sequence[logging.LogRecord]:
    """Return the log lines of one event name."""
    return [record for record in caplog.records if record.getMessage() == name]
