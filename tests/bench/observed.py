"""`xentrail record`, telling what is durable: `python -m tests.bench.observed --config FILE ...`.

It is the command itself, with an observer that the keeper tells of every group after it was synced.
Lines of JSON on standard output: one for each mark that is durable, and for the first event behind
a registration, at once; at the end one with every group that held events.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from query import main as script
from recorder.model import Draft, Event, Mark, MarkName
from tests.bench.child import memory_of

FIRST_EVENT = "first-event"


class Observer:
    """Notes when what became durable; times are in ns since 1970."""

    def __init__(self) -> None:
        self.groups: list[tuple[int, int, int]] = []
        """For each group with events: when it was durable, its last id, how many it had."""
        self._waits = False

    def __call__(self, _seqs: range, drafts: Sequence[Draft]) -> None:
        """Note one group."""
        now_ns = time.time_ns()
        events, last_id = 0, 0
        for draft in drafts:
            if isinstance(draft.body, Event):
                events, last_id = events + 1, draft.body.id
            elif isinstance(draft.body, Mark):
                self._waits |= draft.body.name is MarkName.REGISTERED
                say(draft.body.name.value, draft.received_at_ns, now_ns)
        if events:
            self.groups.append((now_ns, last_id, events))
            if self._waits:
                say(FIRST_EVENT, now_ns, now_ns)
                self._waits = False


def say(what: str, made_at_ns: int, durable_at_ns: int) -> None:
    """Print when something was made and when it was durable, and what was used until now."""
    tell(
        {
            "what": what,
            "made_at_ns": made_at_ns,
            "durable_at_ns": durable_at_ns,
            "cpu_s": time.process_time(),
            "peak_mb": memory_of().peak_mb,
        }
    )


def tell(line: dict[str, object]) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Record until SIGTERM."""
    observer = Observer()
    sys.argv[1:1] = ["record"]
    imported = script.import_recorder

    def import_recorder() -> Callable[[Path, Path | None], None]:
        # The command takes no seams; unittest.mock, which could patch it, takes a quarter of its
        # start.
        record = imported()
        from recorder.service import daemon

        daemon.Seams = partial(daemon.Seams, observer=observer)  # type: ignore[assignment,misc]  # a class
        return record

    script.import_recorder = import_recorder
    try:
        script.main()
    finally:
        tell({"what": "end", "groups": observer.groups})


if __name__ == "__main__":
    main()
