"""The recorder's half of the demo: two simulated pools, a real recorder, and things that happen.

Everything goes over real sockets on loopback, through the same code that records a real pool.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from .client.address import Address
from .client.session import Credentials, Session, open_session
from .client.tls import TlsPolicy
from .clock import wall_ns
from .config import Config, Pool
from .errors import XapiFault
from .model import Draft, Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from .service.daemon import Seams, serve
from .simulator.inventory import PoolSpec
from .simulator.server import Served, Sockets
from .simulator.server import serve as serve_pools
from .xapi.jsonrpc import Param

NORTH, SOUTH = "north", "south"
SPEED = 0.15
"""Operations of the simulated pools take about a seventh of the time they take in life."""
FLOOD_EVENTS = 4_000
"""About 18 MB of VM events at once, where the server's queue holds 10 MB."""
STEP_S_MAX = 20.0


class Ledger(msgspec.Struct):
    """Counts what became durable while the demo runs, and wakes whoever waits for something."""

    events: Counter[str] = msgspec.field(default_factory=Counter)
    baselines: Counter[str] = msgspec.field(default_factory=Counter)
    gaps_opened: Counter[str] = msgspec.field(default_factory=Counter)
    gaps_closed: Counter[str] = msgspec.field(default_factory=Counter)
    entries: int = 0
    _news: trio.Event = msgspec.field(default_factory=trio.Event)

    def observe(self, _seqs: range, drafts: Sequence[Draft]) -> None:
        """Take note of a durable group."""
        self.entries += len(drafts)
        for draft in drafts:
            match draft.body:
                case Event():
                    self.events[draft.pool] += 1
                case GapOpened(cause=GapCause.AUDIT_TRAIL):
                    continue  # which nothing closes
                case GapOpened():
                    self.gaps_opened[draft.pool] += 1
                case GapClosed():
                    self.gaps_closed[draft.pool] += 1
                case Mark(MarkName.BASELINE_DONE):
                    self.baselines[draft.pool] += 1
                case _:
                    continue
        self._news.set()
        self._news = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the counts holds."""
        while not condition():
            await self._news.wait()


class Played(msgspec.Struct, frozen=True):
    """What happened, to be told by the history: names, and nanoseconds since 1970 UTC."""

    vm: str
    vm_pool: str
    running_at_ns: int
    halted_at_ns: int
    events: Mapping[str, int]
    """Events made durable, by pool."""


Narrate = Callable[[str, str], None]
"""Told what is done, and what comes next."""


async def play(data: Path, narrate: Narrate) -> Played:
    """Record two simulated pools into `data/journal` while things happen to them.

    `narrate` is told of every step as it is done. Raises trio.TooSlowError if a step takes longer
    than STEP_S_MAX. The nursery holds the pools and the recorder; leaving the script ends the
    recorder first, so that its last words are in the journal.
    """
    async with trio.open_nursery() as pools:
        specs = [
            PoolSpec(name=NORTH, hosts=3, vms=8, seed=1, speed=SPEED),
            PoolSpec(name=SOUTH, hosts=2, vms=6, seed=2, speed=SPEED),
        ]
        served: list[Served] = await pools.start(_serve_pools, specs)
        for one in served:
            hosts = len(one.pool.hosts)
            narrate(f"{one.name}: {hosts} hosts, answering at {one.url}", "reading whole states")
        ledger = Ledger()
        async with _recording(served, data, ledger):
            vm, running_at_ns, halted_at_ns = await _script(served[0], served[1], ledger, narrate)
        narrate(
            f"recorder stopped cleanly with {ledger.entries:,} entries on disk",
            "verifying the journal",
        )
        pools.cancel_scope.cancel()
    return Played(vm, NORTH, running_at_ns, halted_at_ns, dict(ledger.events))


async def _serve_pools(
    specs: Sequence[PoolSpec], *, task_status: trio.TaskStatus[list[Served]]
) -> None:
    await serve_pools(specs, Sockets(), now_s=lambda: wall_ns() / 1e9, task_status=task_status)


@asynccontextmanager
async def _recording(served: Sequence[Served], data: Path, ledger: Ledger) -> AsyncIterator[None]:
    """Run the recorder for the length of the context."""
    config = Config(
        pools=tuple(Pool(name=one.name, addresses=(one.url,), user=one.user) for one in served)
    )
    seams = Seams(observer=ledger.observe, password=lambda _pool: served[0].password)
    async with trio.open_nursery() as nursery:
        await nursery.start(_serve_recorder, config, data, seams)
        yield
        nursery.cancel_scope.cancel()


async def _serve_recorder(
    config: Config, data: Path, seams: Seams, *, task_status: trio.TaskStatus[None]
) -> None:
    await serve(config, data, seams=seams, task_status=task_status)


async def _script(
    north: Served, south: Served, ledger: Ledger, narrate: Narrate
) -> tuple[str, int, int]:
    """The things that happen, in order, each bounded; return what `_life_of_a_vm` does."""
    with trio.fail_after(STEP_S_MAX):
        await ledger.until(lambda: len(ledger.baselines) == 2)
    narrate(
        "both pools recorded: the whole state is in the journal, and every change from now on",
        "starting, moving and stopping a VM",
    )
    with trio.fail_after(STEP_S_MAX):
        vm, running_at_ns, halted_at_ns = await _life_of_a_vm(north)
    narrate(f"{NORTH}: {vm} was started, migrated live and shut down", "starting many VMs")
    with trio.fail_after(STEP_S_MAX):
        good, bad = await _many_starts(south)
    narrate(
        f"{SOUTH}: {good} VMs started at the same time; one start refused ({bad})",
        "flooding the event queue",
    )
    with trio.fail_after(STEP_S_MAX):
        south.pool.flood(FLOOD_EVENTS)
        await ledger.until(lambda: ledger.gaps_closed[SOUTH] == 1)
    narrate(
        f"{SOUTH}: {FLOOD_EVENTS:,} changes at once overran the server: EVENTS_LOST, survived",
        "taking a session away",
    )
    with trio.fail_after(STEP_S_MAX):
        north.front.sessions.expire_all()
        await ledger.until(lambda: ledger.gaps_closed[NORTH] == 1)
    narrate(
        f"{NORTH}: the session was taken away: logged in again, whole state read again",
        "changing something once more",
    )
    with trio.fail_after(STEP_S_MAX):
        await _rename(north, vm)
    narrate(f"{NORTH}: {vm} got a new description, seen live again", "stopping the recorder")
    return vm, running_at_ns, halted_at_ns


@asynccontextmanager
async def _client(served: Served) -> AsyncIterator[Session]:
    """Log in as the operator whose doings the demo records."""
    async with open_session(
        [Address.parse(served.url)],
        TlsPolicy(),
        Credentials(served.user, served.password),
        originator="xentrail-demo",
    ) as session:
        yield session


async def _life_of_a_vm(north: Served) -> tuple[str, int, int]:
    """Start a VM, move it to another host, shut it down; return its name and two instants."""
    async with _client(north) as session:
        vm = await _first_vm(session, "Halted")
        name = await session.call("VM.get_name_label", vm, returns=str)
        await _run(session, "Async.VM.start", vm, False, False)
        here = await session.call("VM.get_resident_on", vm, returns=str)
        hosts = await session.call("host.get_all", returns=list[str])
        there = next(host for host in hosts if host != here)
        await _run(session, "Async.VM.pool_migrate", vm, there, {"live": "true"})
        running_at_ns = wall_ns()
        await _until_allowed(session, vm, "clean_shutdown")
        await _run(session, "Async.VM.clean_shutdown", vm)
        halted_at_ns = wall_ns()
    return name, running_at_ns, halted_at_ns


async def _many_starts(south: Served) -> tuple[int, str]:
    """Start every halted VM at once, and one that runs already; return how many and the refusal."""
    async with _client(south) as session:
        halted = await _vms(session, "Halted")
        running = await _first_vm(session, "Running")
        tasks = [
            await session.call("Async.VM.start", vm, False, False, returns=str)
            for vm in [*halted, running]
        ]
        statuses = [await _finished(session, task) for task in tasks]
        assert statuses[-1] == "failure", "a running VM cannot be started"
        errors = await session.call("task.get_error_info", tasks[-1], returns=list[str])
    return statuses.count("success"), errors[0]


async def _rename(north: Served, name: str) -> None:
    async with _client(north) as session:
        vm, *_ = await session.call("VM.get_by_name_label", name, returns=list[str])
        await session.call(
            "VM.set_name_description", vm, "described after the lost session", returns=str
        )


async def _vms(session: Session, power_state: str) -> list[str]:
    """Return the VMs in a power state that are no templates and no control domains."""
    found = []
    for vm in await session.call("VM.get_all", returns=list[str]):
        states = [
            await session.call("VM.get_power_state", vm, returns=str),
            await session.call("VM.get_is_a_template", vm, returns=bool),
            await session.call("VM.get_is_control_domain", vm, returns=bool),
        ]
        if states == [power_state, False, False]:
            found.append(vm)
    return found


async def _first_vm(session: Session, power_state: str) -> str:
    return (await _vms(session, power_state))[0]


async def _run(session: Session, method: str, *params: Param) -> None:
    """Run an operation to its end. Raises XapiFault if it fails."""
    task = await session.call(method, *params, returns=str)
    status = await _finished(session, task)
    if status != "success":
        code, *rest = await session.call("task.get_error_info", task, returns=list[str])
        raise XapiFault(code, tuple(rest))
    await session.call("task.destroy", task, returns=str)


async def _finished(session: Session, task: str) -> str:
    """Wait as the user guide does, by asking; return the final status."""
    while True:
        status = await session.call("task.get_status", task, returns=str)
        if status != "pending":
            return status
        await trio.sleep(0.05)


async def _until_allowed(session: Session, vm: str, operation: str) -> None:
    """Wait for the guest agent, without which a VM cannot be shut down cleanly."""
    while True:
        allowed = await session.call("VM.get_allowed_operations", vm, returns=list[str])
        if operation in allowed:
            return
        await trio.sleep(0.05)
