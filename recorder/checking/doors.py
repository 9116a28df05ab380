"""One address of a pool being tried: reached, its certificate judged, spoken to without a login."""

from collections.abc import Sequence

import msgspec
import trio
from msgspec.structs import replace

from ..client.address import Address
from ..client.line import FAILURES, JSON, XML, Failure, Line, Route
from ..client.session import Session
from ..client.transport import examine
from ..clock import WallClock
from ..errors import CertificateRefused, ProtocolError, XapiFault
from ..xapi import faults
from .preflight import Finding, Judge, of_certificate

AGAIN = "try again; if it stays so, look into the logs of this host"


class Door(msgspec.Struct):
    """One address. `usable` once a host behind it answered whose certificate is trusted.

    Up to there nothing secret is sent, and to a host that is not trusted nothing at all.
    """

    judge: Judge
    route: Route
    now_ns: WallClock
    findings: list[Finding] = msgspec.field(default_factory=list)
    usable: bool = False

    @property
    def address(self) -> Address:
        """Where it leads."""
        return self.route.address

    @property
    def _point(self) -> str:
        return f"address {self.address}"

    async def knock(self) -> None:
        """Reach the host, judge its certificate and, if that is trusted, hear it speak XAPI."""
        try:
            if await self._is_trusted():
                codec = await self._codec()
                self.findings.append(self.judge.ok(self._point, f"answers in {codec}"))
                self.usable = True
        except FAILURES as error:
            self.findings.append(self._trouble(error))

    async def place(self, session: Session) -> None:
        """See whether this is a host of the pool of `session`: no other knows the session."""
        try:
            async with session.open_line(self.address) as line:
                await line.call("pool.get_all", returns=list[str])
            found = self.judge.ok(self._point, "is the master, by another name")
        except FAILURES as error:
            found = self._placed(error, session)
        # It is the same address, of which more is known now.
        self.findings[-1] = replace(found, text=f"{self.findings[-1].text}; {found.text}")

    def _placed(self, error: Failure, session: Session) -> Finding:
        if isinstance(error, XapiFault):
            master = faults.is_slave(error)
            if master is not None:
                return self.judge.ok(self._point, f"is a member, whose master is {master}")
            if faults.is_session_lost(error):
                text = f"is a host of another pool than {session.address}"
                return self.judge.error(self._point, text, "take it out of this pool's addresses")
        return self._trouble(error)

    async def _is_trusted(self) -> bool:
        """Judge the certificate, where there is one. Raises TransportError if nobody answers."""
        if self.address.scheme != "https" or self.route.dial is not None:
            return True
        timeout_s = self.route.limits.connect_timeout_s
        presented = await examine(self.address, timeout_s=timeout_s)
        refusal = await self._refusal()
        found = of_certificate(
            self.judge,
            self.address,
            presented,
            self.route.tls,
            refusal=refusal,
            now_ns=self.now_ns(),
        )
        self.findings.append(found)
        return refusal is None

    async def _refusal(self) -> CertificateRefused | None:
        """Connect as the recorder does; return why it would not."""
        line = Line(self.route, JSON)
        try:
            await line.open()
        except CertificateRefused as error:
            return error
        finally:
            await line.aclose()
        return None

    async def _codec(self) -> str:
        """Return in which codec the host answers a call that needs no session."""
        try:
            await self._list_methods(Line(self.route, JSON))
        except ProtocolError:
            await self._list_methods(Line(self.route, XML))
            return XML.name
        return JSON.name

    async def _list_methods(self, line: Line) -> None:
        try:
            await line.list_methods()
        finally:
            await line.aclose()

    def _trouble(self, error: Failure) -> Finding:
        if isinstance(error, XapiFault) and faults.is_emergency(error):
            text = f"is up, but starting or cut off from its pool: {error}"
            advice = "wait until it has started; if it stays so, see to this host"
            return self.judge.warning(self._point, text, advice)
        if isinstance(error, XapiFault):
            return self.judge.error(self._point, f"answers {error}", AGAIN)
        advice = "check that this is a host of the pool" if isinstance(error, ProtocolError) else ""
        return self.judge.error(self._point, str(error), advice)


async def knock_at(doors: Sequence[Door]) -> list[Door]:
    """Try doors side by side; return those that are usable."""
    async with trio.open_nursery() as nursery:
        for door in doors:
            nursery.start_soon(door.knock)
    return [door for door in doors if door.usable]
