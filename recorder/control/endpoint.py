"""Where the control socket is: a file in the data folder, for its owner alone.

The path of a unix socket holds 107 bytes; data folders may lie deeper. So both ends hold the folder
open and go to the socket by way of /proc/self/fd, whose paths are short.
"""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError

SOCKET_NAME = "control.sock"
BACKLOG = 32
PATH_BYTES_MAX = 107
"""What the kernel keeps of the path of a unix socket."""


def listen(data: Path) -> socket.socket:
    """Return a listening socket in a data folder, whose journal the caller has locked.

    It is readable and writable for its owner only, from the first moment. The socket of a recorder
    that was killed is replaced. Raises ConfigError if something else is in its place, OSError if
    the folder takes no socket.
    """
    place = data / SOCKET_NAME
    with _short(data) as path:
        _clear(path, place)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Linux makes the file with the mode of the socket: at no time is it anybody else's.
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(path)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
    return listener


def remove(data: Path) -> None:
    """Take the socket away again, where the disk lets us: the next recorder replaces what is left.

    A recorder that ends because of its disk has something better to say than that.
    """
    with suppress(OSError):
        (data / SOCKET_NAME).unlink()


def connect(data: Path, *, timeout_s: float) -> socket.socket:
    """Return a connection to the recorder of a data folder. Raises OSError if there is none."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    stream.settimeout(timeout_s)
    try:
        with _short(data) as path:
            stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


@contextmanager
def _short(data: Path) -> Iterator[str]:
    """Give a path to the socket that is short enough. Raises OSError."""
    folder = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        direct = str(data / SOCKET_NAME)
        yield direct if len(os.fsencode(direct)) <= PATH_BYTES_MAX else _by_way_of(folder, direct)
    finally:
        os.close(folder)


def _by_way_of(folder: int, direct: str) -> str:
    if not Path("/proc/self/fd").exists():
        text = f"{direct} is longer than {PATH_BYTES_MAX} bytes, and there is no /proc"
        raise OSError(errno.ENAMETOOLONG, text)
    return f"/proc/self/fd/{folder}/{SOCKET_NAME}"


def _clear(path: str, place: Path) -> None:
    """Remove the socket of a recorder that was killed. Raises ConfigError for anything else."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{place} is no socket: move it away, the recorder listens there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise ConfigError(f"another process listens at {place}: stop it first")
    Path(path).unlink()
