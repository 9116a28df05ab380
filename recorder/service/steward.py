"""What a journal needs beside writing: packing, dropping by rule, handing out checkpoints.

None of it holds up a commit, and none of it can lose an entry: what fails is told and tried again.
"""

from collections import deque
from functools import partial

import trio

from .. import logs
from ..clock import WallClock
from ..journal.files import Disk
from ..journal.packed import PackedDamaged
from ..journal.packing import pack_segment, to_pack
from ..journal.retention import Rules, drop, last_to_drop
from ..journal.store import DiskFull, Journal, News
from ..keeper import Pen
from ..threads import RunSync
from .anchors import Anchors

LOOK_S = 600.0
"""Entries grow old without anything happening: the rules are looked at this often."""
NOTES_MAX = 1000
"""Checkpoints that wait for a slow anchor; of more than that the oldest are passed over."""
LAST_NOTES_S = 2.0


class Steward:
    """Serves one journal while it is written to."""

    def __init__(
        self,
        journal: Journal,
        pen: Pen,
        *,
        rules: Rules,
        anchors: Anchors,
        now_ns: WallClock,
        run_sync: RunSync,
        disk: Disk | None = None,
    ) -> None:
        self._folder = journal.folder
        self._pen = pen
        self._rules = rules
        self._anchors = anchors
        self._now_ns = now_ns
        self._run_sync = run_sync
        self._disk = disk or journal.disk
        self._notes: deque[str] = deque(maxlen=NOTES_MAX)
        self._noted = trio.Event()
        self._sealed = trio.Event()
        self._gave_up: set[int] = set()

    def hear(self, news: News) -> None:
        """Take news of the journal, from the keeper."""
        self._notes += news.notes
        if news.notes:
            self._noted.set()
        if news.sealed:
            self._sealed.set()

    async def serve(self) -> None:
        """Work until cancelled; then hand out the last checkpoints, within a bounded time.

        In the nursery: one task for the files of the journal, one for checkpoints.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_files)
                nursery.start_soon(self._hand_out)
        finally:
            self._pen.close()

    async def hand_out_last(self) -> None:
        """Hand out what the end of the journal brought."""
        with trio.move_on_after(LAST_NOTES_S, shield=True) as scope:
            while self._notes:
                await self._anchors.hand_out(self._notes.popleft())
        if scope.cancelled_caught:
            logs.warning("anchor-failed", error="there was no time left for the last checkpoint")

    async def _hand_out(self) -> None:
        while True:
            await self._noted.wait()
            self._noted = trio.Event()
            while self._notes:
                await self._anchors.hand_out(self._notes.popleft())

    async def _keep_files(self) -> None:
        while True:
            try:
                await self._pack()
                await self._drop()
            except (OSError, DiskFull) as error:
                logs.warning("upkeep-failed", error=str(error))
            with trio.move_on_after(LOOK_S):
                await self._sealed.wait()
            self._sealed = trio.Event()

    async def _pack(self) -> None:
        for number in await self._run_sync(partial(to_pack, self._folder, self._disk)):
            if number in self._gave_up:
                continue
            try:
                packed = await self._run_sync(
                    partial(pack_segment, self._folder, number, self._disk)
                )
            except PackedDamaged as error:
                logs.error("not-packed", segment=number, error=str(error))
                packed = False
            if not packed:
                self._gave_up.add(number)  # It is damaged, as `verify` says: it stays as it is.

    async def _drop(self) -> None:
        look = partial(last_to_drop, self._folder, self._disk, self._rules, now_ns=self._now_ns())
        last = await self._run_sync(look)
        if last is not None:
            detail = await self._pen.ask(partial(drop, last=last))
            logs.info("segments-dropped", **detail)
