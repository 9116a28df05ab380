"""A recorder for as long as something else goes on: in a thread, stopped by whoever began it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from ..config import Config
from ..errors import XentrailError
from . import daemon
from .process import first_of

STOP_S_MAX = 30.0
"""Beyond the grace period of the recorder, which is 10 s by default."""


class _Recorder:
    """`ready` is set once the control socket is there, or the recorder has failed."""

    def __init__(self, config: Config, data: Path) -> None:
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self._serve = partial(daemon.serve, config, data, begins_due=False)
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()

    def run(self) -> None:
        """Record until stopped; the body of the thread."""
        try:
            trio.run(self._record)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for it
            self.error = error
        finally:
            self.ready.set()

    async def _record(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._started)
                self.ready.set()

    async def _started(self, *, task_status: trio.TaskStatus[None]) -> None:
        await self._serve(task_status=task_status)

    def stop(self) -> None:
        """Stop recording; nothing happens if that was done, or has happened."""
        if self._token is not None:
            try:
                trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
            except trio.RunFinishedError:
                return


@contextmanager
def recording(config: Config, data: Path) -> Iterator[None]:
    """Record into `data/journal` for the length of the context, everything on disk afterwards.

    In a thread, so that signals and the terminal are the caller's. What ends the recorder before
    its time is raised here in place of what came of it.
    """
    recorder = _Recorder(config, data)
    thread = threading.Thread(target=recorder.run, name="recorder")
    thread.start()
    try:
        recorder.ready.wait()
        if recorder.error is None:
            yield
    finally:
        recorder.stop()
        thread.join(config.limits.grace_s + STOP_S_MAX)
        if recorder.error is not None:
            raise _plain(recorder.error)


def _plain(error: BaseException) -> BaseException:
    """Return the foreseen error inside groups, or what is not foreseen as it is."""
    if isinstance(error, BaseExceptionGroup):
        foreseen, bugs = error.split(XentrailError)
        if foreseen is not None and bugs is None:
            return first_of(foreseen)
    return error
