"""Where blocking calls run: a thread in service, inline in a simulation.

The virtual clock of a simulation does not wait for threads, so there a blocking call runs in place.
"""

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

    Instead of the threads that trio has for everybody: those take 60 us a call, this one 25, and
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
        self._task = trio.lowlevel.current_task()
        self._token = trio.lowlevel.current_trio_token()

    def do(self) -> None:
        """Make the call, and wake the task that waits for it."""
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again, by the task
            self.error = error
        self._token.run_sync_soon(trio.lowlevel.reschedule, self._task)


class _OwnThread:
    """A thread that takes jobs until its end."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # As trio's: what hangs on a dead disk must not keep the process from ending.
        threading.Thread(target=self._serve, name="journal", daemon=True).start()

    async def run(self, call: Callable[[], T], /) -> T:
        """Run `call` there. Raises what it raises."""
        await trio.lowlevel.checkpoint_if_cancelled()
        job = _Job(call)
        self._jobs.put(job)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # what `call` returned

    def end(self) -> None:
        """Let the thread end once it has nothing left to do."""
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()
