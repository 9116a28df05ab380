"""Ctrl-C while DuckDB works: the question ends, not the process."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

AGAIN_S = 0.05
"""An interrupt that comes before DuckDB has begun is lost, and is therefore repeated."""


@contextmanager
def interruptible(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let SIGINT interrupt what the connection does; Python then raises KeyboardInterrupt.

    DuckDB computes in the main thread, where Python could call no handler before it is done. The
    signal's number is written to a socket at once, and a thread that waits there passes it on. In
    other threads, and where somebody else handles SIGINT or waits for signals, nothing is done.
    """
    if not _is_ours():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno())
    listener = threading.Thread(target=_listen, args=(heard, connection), daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        told.close()
        listener.join()
        heard.close()


def _is_ours() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    before = signal.set_wakeup_fd(-1)
    if before != -1:
        signal.set_wakeup_fd(before)
    return before == -1


def _listen(heard: socket.socket, connection: duckdb.DuckDBPyConnection) -> None:
    while True:
        try:
            number = heard.recv(1)
        except TimeoutError:
            connection.interrupt()
            continue
        if not number:
            return
        if number[0] == signal.SIGINT:
            connection.interrupt()
            heard.settimeout(AGAIN_S)
