"""Processes of their own, one for each thing that is measured, and what they cost.

A program of ours measures its work itself, so that starting Python and importing does not count,
and tells what it cost on its standard output; any other program is measured as a whole.
"""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

Outcome = TypeVar("Outcome")

LOOK_S = 0.1
"""How often it is looked how much memory a child has."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took: seconds by the clock and of processors, MB of memory at most."""

    wall_s: float
    cpu_s: float
    peak_mb: float = 0.0


# -- in the process that does the work ---------------------------------------------------------


def measured(work: Callable[[], object]) -> Cost:
    """Do some work and return its cost.

    The memory is that of the whole process so far, and of those that it started, the most of each.
    """
    began_s, began_cpu_s = time.perf_counter(), _cpu_s()
    with _children_watched() as peaks_mb:
        work()
    wall_s, cpu_s = time.perf_counter() - began_s, _cpu_s() - began_cpu_s
    return Cost(wall_s, cpu_s, memory_of().peak_mb + sum(peaks_mb.values()))


@contextmanager
def _children_watched() -> Iterator[dict[int, float]]:
    """Look again and again, until the block ends, how much memory each child has had, in MB."""
    peaks_mb: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            for pid in _children():
                with suppress(OSError, KeyError):  # it has ended, or is not one of a program yet
                    peaks_mb[pid] = memory_of(pid).peak_mb

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks_mb
    finally:
        ended.set()
        watcher.join()


def _children() -> list[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return [int(pid) for one in lists for pid in one.read_text(encoding="ascii").split()]


def tell(costs: Mapping[str, Cost]) -> None:
    """Tell the process that asked for the work what it cost."""
    sys.stdout.buffer.write(msgspec.json.encode(costs))
    sys.stdout.flush()


def _cpu_s() -> float:
    """Return the seconds of processors so far, with those of children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


@dataclass(frozen=True, slots=True)
class Memory:
    """MB of a process: resident now, and at most ever."""

    now_mb: float
    peak_mb: float


def memory_of(pid: int | str = "self") -> Memory:
    """Return what the kernel says of a process.

    `ru_maxrss` would not do: it begins with what the process took from which this one was started.
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return Memory(kib["VmRSS"] * 1024 / 1e6, kib["VmHWM"] * 1024 / 1e6)


# -- in the process that asks for it -----------------------------------------------------------


def costs_of(module: str, *arguments: object) -> dict[str, Cost]:
    """Run a module of ours, which tells by name what its parts cost."""
    return msgspec.json.decode(output_of(module, *arguments), type=dict[str, Cost])


def output_of(module: str, *arguments: object) -> bytes:
    """Run a module of ours, and return what it tells."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def cost_of(*command: object) -> Cost:
    """Run any program, and return the cost of all of it but its memory."""
    began_s = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began_s
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def cpu_s_of(pid: int) -> float:
    """Return the seconds of processors of another process, to the nanosecond.

    The kernel has a clock for each process; its number is made as `clock_getcpuclockid` makes it.
    """
    return time.clock_gettime((~pid << 3) | 2)
