"""The recorder, in its default configuration: `... ours URL FINGERPRINT FOLDER COUNT`.

What `xentrail record` runs, down to the sync of the disk; only the password comes from here.
"""

import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from query.main import import_recorder
from recorder.config import Config, Pool, Tls
from recorder.model import Draft, Event, Mark, MarkName
from recorder.service.daemon import Seams, serve
from tests.bench.ingest.starting import done, ready


class Count:
    """Observes what becomes durable: says when the baseline is, and sees the last event."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.ended = trio.Event()
        self.ended_at_s = 0.0

    def observe(self, _seqs: range, drafts: Sequence[Draft]) -> None:
        """A group became durable."""
        for draft in drafts:
            if isinstance(draft.body, Event):
                self._left -= 1
            elif isinstance(draft.body, Mark) and draft.body.name is MarkName.BASELINE_DONE:
                ready()
        if not self._left and not self.ended.is_set():
            self.ended_at_s = time.monotonic()
            self.ended.set()


async def record(pool: Pool, data: Path, count: int) -> None:
    """Record until so many events are durable, and nobody wants to look any more."""
    counted = Count(count)
    seams = Seams(observer=counted.observe, password=lambda _pool: "x")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, Config(pools=(pool,)), data, seams=seams))
        await counted.ended.wait()
        await trio.to_thread.run_sync(done, counted.ended_at_s)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Record one pool."""
    url, fingerprint, folder, count = sys.argv[1:]
    logging.disable()
    import_recorder()  # As the command does, it says that nothing imported is garbage.
    pool = Pool(name="lab", addresses=(url,), tls=Tls(fingerprint=fingerprint))
    trio.run(record, pool, Path(folder), int(count))


if __name__ == "__main__":
    main()
