"""Things to do at a later time, done one after the other in a fixed order.

A task for each of them would be simpler, but trio wakes tasks of the same instant in random
order, and the same seed must give the same events.
"""

import heapq
import math
from collections.abc import Callable
from itertools import count

import trio

from .bugs import Bugs


class Agenda:
    """What is due when; ends with the cancellation of `run`."""

    def __init__(self, bugs: Bugs) -> None:
        """`bugs` hears of what fails: the rest of the agenda is done all the same."""
        self._bugs = bugs
        self._items: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._changed = trio.Event()

    def add(self, delay_s: float, act: Callable[[], None]) -> None:
        """Have something done in this many seconds, after whatever was added for that time."""
        item = (trio.current_time() + delay_s, next(self._numbers), act)
        heapq.heappush(self._items, item)
        self._changed.set()

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            due = self._items[0][0] if self._items else math.inf
            with trio.move_on_at(due):
                await self._changed.wait()
                self._changed = trio.Event()
            while self._items and self._items[0][0] <= trio.current_time():
                act = heapq.heappop(self._items)[2]
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - logged; the rest goes on
                    self._bugs.note(error, "agenda")
