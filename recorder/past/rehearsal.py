"""A recorded run once more, on a simulated pool that is as the real one was when it began.

Nothing leaves this process, and no time passes: the pool, its recorder and the run live by a clock
that jumps to whatever is due next. 900 calls of ten minutes take half a minute of a processor, and
last as they did. It is tried again until the pool behaves as the real one did; see `direction`.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import trio
from trio.testing import MockClock, memory_stream_pair

from ..client.address import Address
from ..config import Config, Pool
from ..control import endpoint
from ..control.protocol import Answer, Replay, Run, line_of
from ..control.running import RunLine, RunReport
from ..errors import ConfigError, ProtocolError, WorkloadError
from ..journal.files import Disk
from ..journal.scan import scan
from ..model import Mark
from ..service.daemon import Seams, serve
from ..simulator.faults import effects
from ..simulator.faults.strike import Strike
from ..simulator.front import Front
from ..simulator.image import PoolImage
from ..simulator.inventory import PoolSpec
from ..simulator.pool import SimulatedPool
from ..threads import inline
from ..workloads.comparison import Pair, pairs_of
from ..workloads.direction import Direction, Director, Key
from ..workloads.recorded import RecordedRun, steps_of

TRIES_MAX = 25
"""Each try makes at least one more call go as in life; of what then still differs it is told."""
CONNECT_S_MAX = 5.0
LINE_BYTES_MAX = 65_536

_LINE: msgspec.json.Decoder[RunLine] = msgspec.json.Decoder(RunLine)


class _QuickDisk(Disk):
    """Nobody cuts the power to a journal that is thrown away."""

    def sync(self, fd: int) -> None:
        """Take it for durable."""

    def sync_folder(self, folder: Path) -> None:
        """Take it for durable."""


class Rehearsed(msgspec.Struct, frozen=True):
    """The repetition of a run; `injected` says by number of a call what was made to go wrong."""

    run: RecordedRun
    pairs: list[Pair]
    injected: Mapping[int, str]


def _say_nothing(_text: str) -> None:
    pass


def rehearse(
    run: RecordedRun,
    image: PoolImage,
    *,
    keep: Path | None = None,
    tell: Callable[[str], None] = _say_nothing,
) -> Rehearsed:
    """Repeat a run; its journal is kept in the folder `keep`, which must not be there yet.

    `tell` hears of each try that is not the last one.

    Raises WorkloadError if it cannot be begun, ConfigError if `keep` is there.
    """
    if keep is not None and keep.exists():
        raise ConfigError(f"{keep} is there already: name a folder that is not, to keep this one")
    director = Director(run.steps, frozenset({*run.plan.found, *run.plan.hosts}))
    with TemporaryDirectory(prefix="xentrail-replay-") as folder:
        for number in range(TRIES_MAX):
            data = Path(folder, str(number))
            injected = dict(director.injected)
            again = _tried(run, image, director.told, data)
            pairs = pairs_of(run.plan, run.steps, again.steps)
            if not director.learn(pairs):
                break
            other = sum(not pair.is_same for pair in pairs)
            tell(f"try {number + 1}: {other} of {len(pairs)} calls end in another way, again")
        if keep is not None:
            shutil.copytree(data, keep)
    return Rehearsed(again, pairs, injected)


def _tried(
    run: RecordedRun, image: PoolImage, told: Mapping[Key, Direction], data: Path
) -> RecordedRun:
    """Try it once; what comes of it is read from the journal, as it would be of a real run."""
    # The clock of trio's tests is all that a life without waiting takes; nothing here has threads.
    report = trio.run(
        partial(_play, run, image, told, data), clock=MockClock(autojump_threshold=0.0)
    )
    marks = [
        (entry.received_at_ns, entry.body.name, entry.body.detail)
        for entry in scan(data / "journal")
        if isinstance(entry.body, Mark)
    ]
    return msgspec.structs.replace(
        run,
        run=report.run,
        status=report.status,
        held=report.held,
        steps=tuple(steps_of(report.run, marks)),
    )


async def _play(
    run: RecordedRun, image: PoolImage, told: Mapping[Key, Direction], data: Path
) -> RunReport:
    """In the outer nursery: the pool and its connections; in the inner one: the recorder.

    The recorder ends first, in good order; both end with the run.
    """
    began_s = trio.current_time()

    def now_ns() -> int:
        return run.began_ns + int((trio.current_time() - began_s) * 1e9)

    spec = PoolSpec(name=run.pool, keeps_truth=False, image=image)
    front = Front(
        SimulatedPool.build(spec, now_s=lambda: now_ns() / 1e9), now_s=lambda: now_ns() / 1e9
    )
    front.faults.cues = _cues(front.pool, told)
    async with trio.open_nursery() as nursery:

        async def dial(_address: Address) -> trio.abc.Stream:
            client, server = memory_stream_pair()
            nursery.start_soon(front.serve_stream, server)
            return client

        await nursery.start(front.run)
        seams = Seams(
            now_ns=now_ns,
            uniform=lambda low, high: (low + high) / 2,
            dial=dial,
            run_sync=inline,
            disk=_QuickDisk(),
            password=lambda _pool: spec.password,
            tell=lambda _state: None,
            watchdog_s=None,
        )
        config = Config(pools=(Pool(name=run.pool, addresses=("http://127.0.0.1:1",)),))
        async with trio.open_nursery() as recorder:
            await recorder.start(partial(serve, config, data, seams=seams))
            report = await _asked(run, data)
            recorder.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    return report


async def _asked(run: RecordedRun, data: Path) -> RunReport:
    """Have the recorder in this process repeat the run, and wait for its end."""
    replay = Replay(run.run, run.plan.json())
    wanted = Run(pool=run.pool, script=run.script, origin=f"run {run.run}", replay=replay)
    async with _lines_of(data, line_of(wanted)) as next_line:
        answer = msgspec.json.decode(await next_line(), type=Answer)
        if answer.error is not None:
            raise WorkloadError(*answer.error.texts)
        while True:
            line = _LINE.decode(await next_line())
            if isinstance(line, RunReport):
                return line


@asynccontextmanager
async def _lines_of(data: Path, request: bytes) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    plain = endpoint.connect(data, timeout_s=CONNECT_S_MAX)
    plain.setblocking(False)
    received = bytearray()
    async with trio.SocketStream(trio.socket.from_stdlib_socket(plain)) as stream:
        await stream.send_all(request)

        async def next_line() -> bytes:
            while b"\n" not in received:
                piece = await stream.receive_some(LINE_BYTES_MAX)
                if not piece:
                    raise ProtocolError("the recorder of the simulated pool ended before the run")
                received.extend(piece)
            line, _, rest = bytes(received).partition(b"\n")
            received[:] = rest
            return line

        yield next_line


def _cues(
    pool: SimulatedPool, told: Mapping[Key, Direction]
) -> Callable[[str, str], Strike | None]:
    """Return what tells the pool call by call what befalls it."""
    seen: dict[tuple[str, str], int] = {}

    def cue(called: str, ref: str) -> Strike | None:
        method = called.removeprefix("Async.")
        if method == called:
            return None
        name = ref
        if (method, ref, 0) not in told and pool.database.exists("VM", ref):
            name = str(pool.database.field("VM", ref, "name_label"))
        number = seen.get((method, name), 0)
        seen[method, name] = number + 1
        direction = told.get((method, name, number))
        if direction is None:
            return None
        return Strike(f"{method} of {name}", _effect(direction), 0.0, "")

    return cue


def _effect(told: Direction) -> effects.Effect:
    if told.vanishes:
        return effects.TaskVanish(told.lasts_s or 0.0)
    if told.refused:
        return effects.Fault(told.error[0], told.error[1:])
    if told.error:
        return effects.TaskFailure(told.error[0], told.error[1:], lasts_s=told.lasts_s or 0.0)
    return effects.Pace(agent=told.agent, agent_s=told.agent_s, lasts_s=told.lasts_s)
