"""Where blocking calls run: a thread in service, inline in a simulation.

The virtual clock of a simulation does not wait for threads, so there a blocking call runs in place.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class RunSync(Protocol):
    """Runs a blocking call somewhere, and returns its result; `trio.to_thread.run_sync` is one."""

    async def __call__(self, call: Callable[[], T], /) -> T:
        """Run `call`."""
        ...


async def inline(call: Callable[[], T], /) -> T:
    """Run a blocking call in place."""
    return call()


@contextmanager
def own_thread(run_sync: RunSync) -> Iterator[RunSync]:
    """Lend what runs blocking calls one after the other in a thread of its own, until the block
    ends.

    Instead of the threads that trio has for everybody: those take 60 us a call, this one 15, and
    the journal has a call for each answer of a quiet pool. Where `run_sync` is anything else, as in
    a simulation, it is lent itself. As with trio's, a call is waited for also by who is cancelled.
    """
    if run_sync is not trio.to_thread.run_sync:
        yield run_sync
        return
    thread = _OwnThread()
    try:
        yield thread.run
    finally:
        thread.end()


class _Job:
    """A call, and what became of it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self._call = call

    def do(self) -> None:
        """Make the call."""
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again, by the task
            self.error = error


class _OwnThread:
    """A thread that takes jobs until its end, one at a time.

    That one is done is told by a descriptor that the task waits for as for a socket. trio's own way
    from a thread into a task leads by way of another task, and takes twice as long.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._busy = False
        # As trio's: what hangs on a dead disk must not keep the process from ending.
        threading.Thread(target=self._serve, name="journal", daemon=True).start()

    async def run(self, call: Callable[[], T], /) -> T:
        """Run `call` there. Raises what it raises."""
        assert not self._busy, "one call at a time"
        await trio.lowlevel.checkpoint_if_cancelled()
        self._busy = True
        job = _Job(call)
        self._jobs.put(job)
        try:
            await trio.lowlevel.wait_readable(self._done_fd)
        except trio.Cancelled:
            # It is told again where the task waits next, as it is by trio's threads; until then
            # nobody may touch what is being written.
            with trio.CancelScope(shield=True):
                await trio.lowlevel.wait_readable(self._done_fd)
        os.eventfd_read(self._done_fd)
        self._busy = False
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # what `call` returned

    def end(self) -> None:
        """Let the thread end once it has nothing left to do."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()
            os.eventfd_write(self._done_fd, 1)
        os.close(self._done_fd)  # here, where nobody writes to whatever has its number next
