"""The machine that a recorder runs on: its disk, its clock, its power, and what starts it again."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TypeVar

import trio

from recorder.config import Config
from recorder.errors import XentrailError
from recorder.journal.digest_key import NAME, load_or_create
from recorder.service.daemon import Seams, serve
from tests.journal.memorydisk import NOTHING_WRONG, Crash, MemoryDisk, Plan
from tests.truth.chronicle import Chronicle, Span
from tests.truth.network import Cable, Network
from tests.truth.world import BEGAN_NS

T = TypeVar("T")

DATA = Path("/data")
"""Where the journal and the keys are, on the disk of the machine."""

RESTART_S = 2.0
"""So long after its end the recorder is started again."""


class MachineDisk(MemoryDisk):
    """A memory disk that may be full."""

    full = False

    def write(self, fd: int, data: memoryview) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(fd, data)


class Machine:
    """Runs a recorder for as long as `run` does, and starts it again whenever it ends."""

    def __init__(
        self,
        config: Config,
        network: Network,
        chronicle: Chronicle,
        *,
        seed: int,
        password: str,
        observed: bool = True,
    ) -> None:
        """The chronicle gets all that is called durable if the recorder is `observed`."""
        self.disk = MachineDisk(Random(f"disk of {seed}"))
        self.chronicle = chronicle
        self.disk_takes_s = 0.0
        """How long a call of the disk takes: on a slow one, seconds."""
        self.clock_ahead_ns = 0
        """By how much the wall clock of this machine is wrong."""
        self._observer = chronicle.durable if observed else None
        self._config = config
        self._network = network
        self._password = password
        self._random = Random(f"recorder of {seed}")
        self._cable = Cable(network)
        self._scope = trio.CancelScope()
        self._next_disk: MachineDisk | None = None
        self._allowed = trio.Event()
        self._allowed.set()
        self._running = trio.Event()
        self._ended = trio.Event()
        load_or_create(DATA / "keys", self.disk)

    @property
    def redaction_key(self) -> bytes:
        """The key of the digests that stand for secrets."""
        return bytes.fromhex(self.disk.content(DATA / "keys" / NAME).decode())

    def now_ns(self) -> int:
        """Return what the clock of this machine says."""
        return BEGAN_NS + self.clock_ahead_ns + int(trio.current_time() * 1e9)

    @property
    def is_on(self) -> bool:
        """Whether the recorder runs."""
        return self._allowed.is_set() and not self._ended.is_set()

    async def run(self) -> None:
        """Run the recorder, and start it again when it ends, until cancelled."""
        while True:
            await self._allowed.wait()
            self._ended, self._scope = trio.Event(), trio.CancelScope()
            self._cable = Cable(self._network)
            stopped = await self._run_once()
            if self._running.is_set():
                self._running = trio.Event()
            self._ended.set()
            if not stopped:
                await trio.sleep(RESTART_S)

    async def started(self) -> None:
        """Wait until the recorder has opened its journal."""
        await self._running.wait()

    async def stop(self) -> None:
        """Stop the recorder as SIGTERM does, and wait for its end."""
        self._allowed = trio.Event()
        began_s, slowness_s = trio.current_time(), self.disk_takes_s
        self._scope.cancel()
        await self._ended.wait()
        # What the system has begun to write is not stopped by anything.
        allowed_s = self._config.limits.grace_s + 2 * max(slowness_s, self.disk_takes_s)
        self.chronicle.stops.append(Span(trio.current_time() - began_s, allowed_s))

    async def lose_power(self) -> None:
        """Cut the power: nothing more gets to the disk or to the network, not even a good-bye."""
        self._allowed = trio.Event()
        self._cable.pulled = True
        self._next_disk = self.disk.crash()
        self._scope.cancel()
        await self._ended.wait()

    async def kill(self) -> None:
        """End the recorder as kill -9 does: the system has what it was given."""
        self._allowed = trio.Event()
        self._next_disk = self.disk.kill()
        self._scope.cancel()
        await self._ended.wait()

    def lose_power_in_a_call(self, nth: int) -> None:
        """Cut the power in the nth call from now on that changes the disk."""
        self.disk.begin(Plan(stop_at=nth, stop_among=("write", "sync", "create", "sync_folder")))

    def refuse_a_sync(self) -> None:
        """Let the next sync of a file fail."""
        self.disk.begin(Plan(failures={("sync", 1): errno.EIO}))

    def spare_the_disk(self) -> None:
        """Let nothing go wrong any more with the calls of the disk."""
        self.disk.begin(NOTHING_WRONG)

    def switch_on(self) -> None:
        """Let the recorder start again."""
        self._allowed.set()

    async def _run_once(self) -> bool:
        """Run the recorder until it ends; return whether it was made to end."""
        seams = Seams(
            now_ns=self.now_ns,
            uniform=self._random.uniform,
            dial=self._cable.dial,
            run_sync=self._run_sync,
            disk=self.disk,
            observer=self._observer,
            password=lambda _pool: self._password,
            tell=lambda _state: None,
            watchdog_s=None,
            listen=None,
        )
        why = "stopped"
        try:
            with self._scope:
                await trio.lowlevel.checkpoint()
                await self._serve(seams)
        except BaseException as error:
            if not (leaves := list(_leaves(error))) or not all(map(_is_foreseen, leaves)):
                raise
            if any(isinstance(leaf, Crash) for leaf in leaves):
                why = "crashed"
                self._cable.pulled = True
                self._next_disk = self._next_disk or self.disk.crash()
            else:
                why = type(leaves[0]).__name__
        self.chronicle.endings[why] += 1
        if self._next_disk is not None:
            self.disk, self._next_disk = self._next_disk, None
        else:
            self.disk = self.disk.elsewhere()  # Another process: no plan is made for its calls.
        return self._scope.cancel_called

    async def _serve(self, seams: Seams) -> None:
        async with trio.open_nursery() as nursery:

            async def run(*, task_status: trio.TaskStatus[None]) -> None:
                await serve(self._config, DATA, seams=seams, task_status=task_status)

            await nursery.start(run)
            self._running.set()

    async def _run_sync(self, call: Callable[[], T], /) -> T:
        if self.disk_takes_s:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.disk_takes_s)
        return call()


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_foreseen(error: BaseException) -> bool:
    return isinstance(error, Crash | XentrailError)
