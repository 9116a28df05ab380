"""Inspecting all segments of a journal: one after another, or in several processes at a time."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from .files import Disk
from .inspect import Inspection, inspect
from .names import find_segment, is_packed

PARALLEL_BYTES_MIN = 1024 * 1024 * 1024
"""Less than that one process reads in two seconds, of which others take one to start if the
machine is busy (measured on two processors: at 400 MB they gain nothing or lose)."""

PACKED_TIMES = 30
"""What is in a packed file is about so many times as long (measured: 40)."""

Progress = Callable[[int, int], None]


def inspect_all(
    folder: Path,
    numbers: Sequence[int],
    sizes: Sequence[int],
    progress: Progress | None,
    processes: int | None,
    disk: Disk,
) -> Iterator[Inspection]:
    """Yield what is in the segments of these numbers, in their order; see `verify`."""
    bytes_of = {number: _size(folder, number, disk) for number in numbers}
    total, done = sum(bytes_of.values()), 0
    tell = progress or _tell_nobody
    workers = min(processes or os.cpu_count() or 1, len(numbers))
    if workers > 1 and (processes or _work_bytes(folder, bytes_of, disk) >= PARALLEL_BYTES_MIN):
        for inspection in _in_parallel(folder, numbers, sizes, workers, disk):
            done += bytes_of[inspection.number]
            tell(done, total)
            yield inspection
        return
    for number in numbers:
        # A packed segment is longer inside than its file is.
        told = partial(_tell_within, tell, done, total, bytes_of[number])
        last = number == numbers[-1]
        yield inspect(folder, number, last=last, sizes=sizes, told=told, disk=disk)
        done += bytes_of[number]
        tell(done, total)


def _in_parallel(
    folder: Path, numbers: Sequence[int], sizes: Sequence[int], workers: int, disk: Disk
) -> Iterator[Inspection]:
    look, done = partial(_look, folder, numbers[-1], sizes, disk), 0
    try:
        # A fresh interpreter each: a copy of this one would share its threads' locks.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for inspection in pool.map(look, numbers):
                yield inspection
                done += 1
    except BrokenProcessPool:
        # The system killed one, for want of memory most likely: one at a time needs the least.
        yield from map(look, numbers[done:])


def _look(folder: Path, last: int, sizes: Sequence[int], disk: Disk, number: int) -> Inspection:
    return inspect(folder, number, last=number == last, sizes=sizes, disk=disk)


def _tell_within(tell: Progress, done: int, total: int, size: int, place: int) -> None:
    tell(done + min(place, size), total)


def _tell_nobody(_done: int, _total: int) -> None:
    pass


def _work_bytes(folder: Path, bytes_of: Mapping[int, int], disk: Disk) -> int:
    return sum(
        size * (PACKED_TIMES if is_packed(find_segment(folder, number, disk)) else 1)
        for number, size in bytes_of.items()
    )


def _size(folder: Path, number: int, disk: Disk) -> int:
    with suppress(OSError):  # told when it is inspected
        return disk.size(find_segment(folder, number, disk))
    return 0
