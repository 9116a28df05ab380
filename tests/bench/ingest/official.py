"""The loop of the official sample with XenAPI.py: `... official URL COUNT`.

Registers for all events and prints a line for each, which nobody reads.
"""

import os
import sys
from pathlib import Path
from typing import Any

import XenAPI

from tests.bench.ingest.starting import done, ready


def watch(session: Any, count: int) -> None:
    """Print so many events."""
    seen = 0
    with Path(os.devnull).open("w") as out:
        while seen < count:
            for event in session.xenapi.event.next():
                name = "(unknown)"
                if "snapshot" in event:
                    name = event["snapshot"].get("name_label", name)
                line = f"{event['id']:>8} {event['class']:>20} {event['operation']:>5} {name}"
                print(line, file=out)
                seen += 1


def main() -> None:
    """Log in, register, follow."""
    url, count = sys.argv[1:]
    session = XenAPI.Session(url, ignore_ssl=True)
    session.xenapi.login_with_password("root", "x", "1.0", "benchmark")
    session.xenapi.event.register(["*"])
    ready()
    watch(session, int(count))
    done()


if __name__ == "__main__":
    main()
