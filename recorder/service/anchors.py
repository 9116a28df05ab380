"""Handing checkpoints out of the recorder's reach: to a file, and to a command.

Whoever holds the disk and the key can write another journal; not one that goes on from a checkpoint
which somebody else has noted.
"""

import os
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import trio

from .. import logs
from ..threads import RunSync

COMMAND_S_MAX = 30.0
"""A command that takes longer is ended: the next checkpoint must not wait for it."""
STDERR_SHOWN = 200


class Anchors(msgspec.Struct, frozen=True):
    """Where checkpoints go: appended to `file`, and to the stdin of `command`; None and () nowhere.

    What fails is told in the log and left: the next checkpoint vouches for all that this one did.
    """

    file: Path | None
    command: Sequence[str]
    run_sync: RunSync = trio.to_thread.run_sync

    async def hand_out(self, note: str) -> None:
        """Hand one checkpoint, the text of a signed note, to all of them."""
        if self.file is not None:
            try:
                await self.run_sync(partial(_append, self.file, note))
            except OSError as error:
                logs.warning("anchor-failed", to=str(self.file), error=str(error))
        if self.command:
            await self._run(note)

    async def _run(self, note: str) -> None:
        error = f"it took more than {COMMAND_S_MAX:g} s"
        with trio.move_on_after(COMMAND_S_MAX):
            try:
                done = await trio.run_process(
                    list(self.command),
                    stdin=note.encode(),
                    check=False,
                    capture_stdout=True,
                    capture_stderr=True,
                )
            except OSError as refused:
                error = str(refused)
            else:
                if done.returncode == 0:
                    return
                error = _said(done)
        logs.warning("anchor-failed", to=self.command[0], error=error)


def _append(file: Path, note: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        view = memoryview(note.encode())
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    stderr = done.stderr.decode(errors="replace").strip()
    return f"exit code {done.returncode}: {stderr[-STDERR_SHOWN:]}"
