"""The official client listens until it is told to stop: `... listen URL USER PASSWORD`.

Says `ready` once it is registered; in the end, as a line of JSON, when answers were read, with the
id of their last event.
"""

import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

import XenAPI

READY = "ready"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def listen(url: str, user: str, password: str) -> None:
    """Register for all events and read them for ever, as the official sample does."""
    session: Any = XenAPI.Session(url, ignore_ssl=True)
    session.xenapi.login_with_password(user, password, "1.0", "bench")
    session.xenapi.event.register(["*"])
    read: list[tuple[int, int]] = []

    def stop(*_: object) -> NoReturn:
        say(json.dumps(read))
        os._exit(0)  # In the middle of a call, whose answer nobody wants.

    signal.signal(signal.SIGTERM, stop)
    say(READY)
    while True:
        events = session.xenapi.event.next()
        read.append((time.time_ns(), int(events[-1]["id"])))


if __name__ == "__main__":
    listen(*sys.argv[1:])
