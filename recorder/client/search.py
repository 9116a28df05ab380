"""Finding the master of a pool: every known address is tried at once, the first good answer wins.

One attempt is one round. A host that answers, whatever it says, is done for this round; one that is
silent while others answered is not waited for, because the round after this one may find the pool
where it has moved meanwhile.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import msgspec
import trio
from msgspec.structs import replace

from ..errors import LoginRefused, TransportError, XapiFault
from ..xapi import faults
from .address import Address
from .line import FAILURES, Failure, Route, retold

T = TypeVar("T")

HOPS_MAX = 3
"""From member to member: one hop is usual, and a broken server could name new hosts for ever."""

SILENT_FACTOR = 3.0
SILENT_S_MIN = 0.5
"""Hosts of a pool are about equally far away. One that is still silent after three times as long as
the slowest that answered took, and half a second at least, is not going to answer."""

LATE_LOGIN_S = 0.5
"""A login that is under way when another has won gets this long to end, so that it can be logged
out: one that is cut off would stay on the server for a day."""


class Probe(msgspec.Struct):
    """One address in one round.

    `connected` once the host has taken the connection; `left_in_peace` if it was not asked at all.
    """

    route: Route
    hops: int
    scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)
    connected: bool = False
    left_in_peace: bool = False

    def is_connected(self) -> None:
        """Note that the host took the connection: from now on it is not silent."""
        if not self.connected:
            self.connected = True
            self.scope.deadline = float("inf")


class Search(Generic[T]):
    """One round over the addresses of a pool.

    `attempt` logs in at one address and tells its probe when it is connected; `discard` ends what
    came too late.
    """

    def __init__(
        self,
        attempt: Callable[[Probe], Awaitable[T]],
        discard: Callable[[T], Awaitable[None]],
    ) -> None:
        self._attempt = attempt
        self._discard = discard
        self._found: T | None = None
        self._under_way: list[Probe] = []
        self._tried: dict[Address, None] = {}
        self._errors: dict[Address, Failure] = {}
        self._refusal: LoginRefused | None = None
        self._began_s = 0.0
        self._answered_s: float | None = None

    async def run(self, routes: Sequence[Route], *, gently: bool = False) -> T:
        """Return what the first successful attempt gave; `gently` tries one address at a time.

        Raises LoginRefused as soon as one host refuses user or password: another would count as one
        more wrong password. Otherwise the error names each address with its reason, and is of the
        kind of the first that may come back by itself.
        """
        self._began_s = trio.current_time()
        for together in [[route] for route in routes] if gently else [routes]:
            async with trio.open_nursery() as nursery:
                for route in together:
                    self._start(nursery, route, hops=0)
        if self._found is not None:
            return self._found
        if self._refusal is not None:
            raise self._refusal
        # In the order in which they were tried, which chance does not change.
        raise _all_failed([self._errors[one] for one in self._tried if one in self._errors])

    def _start(self, nursery: trio.Nursery, route: Route, *, hops: int) -> None:
        """Try an address, unless this round has come by it before."""
        if route.address not in self._tried and self._refusal is None and self._found is None:
            self._tried[route.address] = None
            probe = Probe(route, hops)
            self._under_way.append(probe)
            nursery.start_soon(self._probe, nursery, probe)

    async def _probe(self, nursery: trio.Nursery, probe: Probe) -> None:
        result: T | None = None
        with probe.scope:
            try:
                result = await self._attempt(probe)
            except LoginRefused as refusal:
                self._refusal = self._refusal or refusal
                self._stop_others(probe)
            except XapiFault as fault:
                self._answered(probe)
                self._follow(nursery, probe, fault)
            except FAILURES as error:
                self._answered(probe)
                self._errors[probe.route.address] = _named(error, probe.route.address)
        if probe.scope.cancelled_caught and self._found is None and self._refusal is None:
            self._errors[probe.route.address] = _silent(probe.route.address)
        self._under_way.remove(probe)
        if result is not None:
            await self._take(probe, result)
        self._give_up_the_silent()

    async def _take(self, probe: Probe, result: T) -> None:
        if self._found is None and self._refusal is None:
            self._found = result
            self._stop_others(probe)
        else:
            await self._discard(result)

    def _follow(self, nursery: trio.Nursery, probe: Probe, fault: XapiFault) -> None:
        """Go where a member sends us."""
        address, master = probe.route.address, faults.is_slave(fault)
        if master is None:
            self._errors[address] = _named(fault, address)
            return
        try:
            there = address.with_host(master)
        except FAILURES as error:
            self._errors[address] = _named(error, address)
            return
        self._errors[address] = TransportError(f"{address} names {there} as the master")
        if probe.hops < HOPS_MAX:
            self._start(nursery, replace(probe.route, address=there), hops=probe.hops + 1)

    def _stop_others(self, winner: Probe) -> None:
        """End what only connects; let a login that is under way end by itself, for a moment."""
        deadline_s = trio.current_time() + LATE_LOGIN_S
        for other in self._under_way:
            if other is not winner and other.connected and self._refusal is None:
                other.scope.deadline = min(other.scope.deadline, deadline_s)
            elif other is not winner:
                other.scope.cancel()

    def _answered(self, probe: Probe) -> None:
        if probe.left_in_peace:
            return
        took_s = trio.current_time() - self._began_s
        if probe.connected or took_s < SILENT_S_MIN:
            self._answered_s = max(self._answered_s or 0.0, took_s)

    def _give_up_the_silent(self) -> None:
        """Once only silent hosts are left, do not wait for them as long as for a first answer."""
        silent = [probe for probe in self._under_way if not probe.connected]
        if self._answered_s is None or len(silent) < len(self._under_way):
            return
        patience_s = max(SILENT_S_MIN, SILENT_FACTOR * self._answered_s)
        for probe in silent:
            probe.scope.deadline = min(probe.scope.deadline, self._began_s + patience_s)


def _silent(address: Address) -> TransportError:
    return TransportError(f"{address} is silent, while other hosts of the pool answer")


def _named(error: Failure, address: Address) -> Failure:
    """Make sure that an error names the address that was tried."""
    text = str(error)
    return error if str(address) in text else retold(error, f"{address}: {text}")


def _all_failed(errors: Sequence[Failure]) -> Failure:
    if len(errors) == 1:
        return errors[0]
    text = "; ".join(str(error) for error in errors)
    passing = [error for error in errors if error.retryable]
    return retold((passing or errors)[0], f"no address of this pool works: {text}")
