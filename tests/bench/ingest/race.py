"""One run of one client: it alone takes all events of a server of its own, and is watched."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from tests.bench.child import Cost, cpu_s_of, memory_of
from tests.bench.ingest.starting import READY, tell

ROOT = Path(__file__).parents[3]
RUN_S_MAX = 120.0
"""A client that takes longer has failed, and is ended."""

Process = subprocess.Popen[str]


class Where(msgspec.Struct):
    """What a server says of itself."""

    port: int
    fingerprint: str

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Start:
    """How a client is started, and where."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    folder: Path = ROOT


def module(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a module of this package."""
    return [sys.executable, "-m", f"tests.bench.ingest.{name}", *map(str, arguments)]


def run(script: Path, start: Callable[[Where], Start]) -> Cost:
    """Replay a script to one client. Raises RuntimeError if it fails.

    Time and processor run from the release of the events until the last of them was handled.
    """
    with _running(Start(module("server", script))) as replaying:
        where = msgspec.json.decode(_line_of(replaying), type=Where)
        with _running(start(where)) as client:
            return _watched(client, replaying)


def _watched(client: Process, server: Process) -> Cost:
    if (line := _line_of(client)) != READY:
        raise RuntimeError(f"{client.args!r} says {line!r} instead of being ready")
    cpu_s, began_s = cpu_s_of(client.pid), time.monotonic()
    tell("go", _stream(server.stdin))
    ended_s = float(_line_of(client))
    cpu_s = cpu_s_of(client.pid) - cpu_s
    return Cost(ended_s - began_s, cpu_s, memory_of(client.pid).peak_mb)


@contextmanager
def _running(start: Start) -> Iterator[Process]:
    """Run a process until the block ends, which closes its standard input."""
    with subprocess.Popen(
        start.command,
        cwd=start.folder,
        env=start.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        timer = threading.Timer(RUN_S_MAX, process.kill)
        timer.start()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            _stream(process.stdin).close()
            process.wait()
            timer.cancel()


def _line_of(process: Process) -> str:
    line = _stream(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended too early, with {process.wait()}")
    return line.rstrip("\n")


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
