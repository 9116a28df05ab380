"""Words for systemd about this service (sd_notify): it is ready, it is alive, it is stopping.

Written here because it is one datagram; without systemd, which names its socket in the environment,
nothing is said.
"""

import os
import socket
from collections.abc import Callable, Mapping

Notify = Callable[[str], None]
"""Tells the service manager something, such as `READY=1`."""

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"


def say(word: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send a word to the socket that NOTIFY_SOCKET names, if there is one.

    Raises OSError if there is one and it takes nothing: a manager that waits for READY=1 kills a
    service that it does not hear, so that silence would only be harder to explain.
    """
    path = environ.get("NOTIFY_SOCKET")
    if not path:
        return
    # A first @ stands for the zero byte of an abstract socket.
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(word.encode(), address)


def is_managed(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a service manager waits for the word, which also starts anew what has failed."""
    return bool(environ.get("NOTIFY_SOCKET"))


def watchdog_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return after how long a silent service is killed, None if nobody waits for WATCHDOG=1."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for the process that started this one
    interval_us = environ.get("WATCHDOG_USEC", "")
    return int(interval_us) / 1e6 if interval_us.isdecimal() and int(interval_us) > 0 else None
