"""Trying pools without recording them: every address, one login each, and what it lets us see.

Nothing is changed on a server but a session that ends with the trial, and nothing is written here.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec
import trio

from ..client.address import Address
from ..client.line import FAILURES, Route
from ..client.session import Credentials, Session, open_session
from ..client.tls import TlsPolicy
from ..config import Config, Limits, Pool
from ..errors import ConfigError, ProtocolError, XapiFault
from ..service.daemon import Seams
from ..xapi.baseline import classes_with_records
from .doors import AGAIN, Door, knock_at
from .preflight import (
    Finding,
    Judge,
    Verdict,
    of_clock,
    of_identity,
    of_methods,
    of_pressure,
    of_role,
    of_twins,
)
from .workloads import LoginTrial, Scripts, of_calls

R = TypeVar("R", bound=msgspec.Struct)

POOL_S_MAX = 60.0
"""A pool that takes longer is told as such: a login may take 20 s, and so may any call."""

CALL_S_MAX = 20.0

SAMPLE_S = 1.0
"""So long the events of a pool are counted, to tell how fast its queue fills."""


class _Pool(msgspec.Struct):
    uuid: str
    master: str
    name_label: str = ""


class _Host(msgspec.Struct):
    address: str = ""
    API_version_major: int = 0
    API_version_minor: int = 0
    software_version: dict[str, str] = msgspec.field(default_factory=dict)


async def try_pools(
    config: Config,
    known_uuids: Mapping[str, str],
    *,
    scripts: Scripts | None = None,
    seams: Seams | None = None,
) -> list[Finding]:
    """Try all pools side by side, each for POOL_S_MAX at most; return what was found, in order.

    `known_uuids` is what the journal holds under the names of pools, `scripts` are those of the
    schedules. In the nursery: one trial a pool; each ends by itself, and none waits for another.
    """
    limits = msgspec.structs.replace(
        config.limits, call_timeout_s=min(CALL_S_MAX, config.limits.call_timeout_s)
    )
    trials = [
        Trial(
            pool,
            known_uuids.get(pool.name),
            limits,
            seams or Seams(),
            _scripts_on(pool.name, config, scripts or {}),
        )
        for pool in config.pools
    ]
    async with trio.open_nursery() as nursery:
        for trial in trials:
            nursery.start_soon(trial.run)
    findings = [finding for trial in trials for finding in trial.findings()]
    twins = of_twins((trial.pool.name, trial.uuid) for trial in trials if trial.uuid is not None)
    return findings + twins


def _scripts_on(pool: str, config: Config, scripts: Scripts) -> Scripts:
    named = (one.name for one in config.schedules if pool in one.pools and one.enabled)
    return {name: scripts[name] for name in named if name in scripts}


class Trial(msgspec.Struct):
    """One pool being tried. `uuid` is known once a host let us in.

    Findings are in chapters, so that their order does not depend on who answered first.
    """

    pool: Pool
    known_uuid: str | None
    limits: Limits
    seams: Seams
    scripts: Scripts = msgspec.field(default_factory=dict)
    uuid: str | None = None
    _chapters: list[list[Finding]] = msgspec.field(default_factory=list)

    def findings(self) -> list[Finding]:
        """Return what was found so far."""
        return [finding for chapter in self._chapters for finding in chapter]

    @property
    def judge(self) -> Judge:
        """Who makes the findings about this pool."""
        return Judge(f"pool {self.pool.name}")

    async def run(self) -> None:
        """Try everything about the pool, for POOL_S_MAX at most."""
        with trio.move_on_after(POOL_S_MAX) as scope:
            await self._run()
        if scope.cancelled_caught:
            text = f"not everything was answered within {POOL_S_MAX:.0f} s"
            advice = "see what is missing here; the hosts may be overloaded"
            self._chapter().append(self.judge.error("time", text, advice))

    async def _run(self) -> None:
        written = self._chapter()
        addresses = self._addresses(written)
        policy, credentials = self._policy(written), self._credentials(written)
        if policy is None:
            return
        doors = self._doors(addresses, policy)
        self._chapters += [door.findings for door in doors]
        usable = await knock_at(doors)
        if usable and credentials is not None:
            await self._log_in(usable, policy, credentials, self._chapter())
        if usable and self.pool.workload is not None:
            trial = LoginTrial(self.pool, self.limits, self.seams, self.scripts)
            addresses = [door.address for door in usable]
            await trial.run(addresses, policy, self.judge, self._chapter())

    def _chapter(self) -> list[Finding]:
        chapter: list[Finding] = []
        self._chapters.append(chapter)
        return chapter

    # -- what the configuration says ----------------------------------------------------------

    def _addresses(self, out: list[Finding]) -> list[Address]:
        """Return the addresses that can be read, each once; the others are findings."""
        found: dict[Address, None] = {}
        for text in self.pool.addresses:
            try:
                found[Address.parse(text)] = None
            except ConfigError as error:
                out.append(self.judge.error("addresses", str(error)))
        return list(found)

    def _policy(self, out: list[Finding]) -> TlsPolicy | None:
        tls = self.pool.tls
        try:
            policy = TlsPolicy(tls.ca_file, tls.fingerprint, tls.verify)
            policy.context()
        except ConfigError as error:
            advice = "correct it; no address of this pool was tried without"
            out.append(self.judge.error("tls", str(error), advice))
            return None
        return policy

    def _credentials(self, out: list[Finding]) -> Credentials | None:
        try:
            return Credentials(self.pool.user, self.seams.password(self.pool))
        except ConfigError as error:
            told = str(error).removeprefix(f"pool {self.pool.name}: ")
            advice = "put the password there, or correct where this pool says that it is"
            out.append(self.judge.error("password", told, advice))
            return None

    def _doors(self, addresses: Sequence[Address], policy: TlsPolicy) -> list[Door]:
        route = partial(Route, tls=policy, dial=self.seams.dial, limits=self.limits)
        return [
            Door(self.judge, route(one, run_sync=self.seams.run_sync), self.seams.now_ns)
            for one in addresses
        ]

    # -- what the pool says -------------------------------------------------------------------

    async def _log_in(
        self,
        doors: Sequence[Door],
        policy: TlsPolicy,
        credentials: Credentials,
        out: list[Finding],
    ) -> None:
        """Log in once, as the recorder does: a wrong password is not tried at every address."""
        addresses = [door.address for door in doors]
        try:
            async with open_session(
                addresses,
                policy,
                credentials,
                gently=True,
                dial=self.seams.dial,
                limits=self.limits,
                run_sync=self.seams.run_sync,
            ) as session:
                led = "" if session.address in addresses else ", which these addresses lead to"
                text = f"user {self.pool.user!r} is let in by the master, {session.address}{led}"
                out.append(self.judge.ok("login", text))
                await self._inside(session, doors, policy)
        except FAILURES as error:
            out.append(self.judge.error("login", str(error)))

    async def _inside(self, session: Session, doors: Sequence[Door], policy: TlsPolicy) -> None:
        """Ask the master, and see where the other addresses belong, side by side."""
        async with trio.open_nursery() as nursery:
            for door in doors:
                if door.address != session.address:
                    nursery.start_soon(door.place, session)
            await self._look(session, policy, self._chapter())
            await self._role(session, self._chapter())

    async def _look(self, session: Session, policy: TlsPolicy, out: list[Finding]) -> None:
        """Look at what the pool says of itself, and at its members."""
        async with self._asking("pool", session, out):
            pool = _only(_records(await session.get_all_records("pool"), _Pool))
            self.uuid = pool.uuid
            identity = of_identity(
                self.judge,
                self.pool,
                name=pool.name_label,
                uuid=pool.uuid,
                known=self.known_uuid,
            )
            out.append(identity)
            async with self._asking("hosts", session, out):
                hosts = _records(await session.get_all_records("host"), _Host)
                if pool.master not in hosts:
                    raise ProtocolError("the pool names a master that is none of its hosts")
                out.append(self.judge.ok("version", _version(hosts.pop(pool.master))))
                addresses = [host.address for host in hosts.values() if host.address]
                await self._members(session, addresses, policy, out)
            async with self._asking("clock", session, out):
                out.append(await self._clock(session, pool.master))

    async def _members(
        self, session: Session, hosts: Sequence[str], policy: TlsPolicy, out: list[Finding]
    ) -> None:
        """See whether the pool could be followed to members that the configuration leaves out."""
        if session.address.scheme == "unix":
            return
        listed = set(self._addresses([]))
        found = dict.fromkeys(session.address.with_host(host) for host in hosts)
        doors = self._doors([one for one in found if one not in listed], policy)
        usable = await knock_at(doors)
        if usable:
            trusted = session.address.scheme == "https" and policy.verify
            how = ", with trusted certificates" if trusted else ""
            text = f"{len(usable)} more that the configuration does not list answer{how}"
            out.append(self.judge.ok("members", text))
        for door in doors:
            if not door.usable:
                out += [_of_member(one) for one in door.findings if one.verdict is not Verdict.OK]

    async def _clock(self, session: Session, master: str) -> Finding:
        asked_ns = self.seams.now_ns()
        told = await session.call("host.get_servertime", master, returns=str)
        answered_ns = self.seams.now_ns()
        try:
            at = datetime.strptime(told, "%Y%m%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise ProtocolError(f"host.get_servertime answered {told!r:.80}") from error
        # The server tells whole seconds, and means any time within that one.
        return of_clock(
            self.judge,
            offset_s=at.timestamp() + 0.5 - (asked_ns + answered_ns) / 2e9,
            error_s=0.5 + (answered_ns - asked_ns) / 2e9,
        )

    async def _role(self, session: Session, out: list[Finding]) -> None:
        """See what the user may do, by asking and, where it costs nothing, by doing it."""
        async with self._asking("event calls", session, out):
            methods = await session.list_methods()
            out.append(of_methods(self.judge, methods, self.pool.stream))
            async with self._asking("role", session, out):
                allowed = await session.permissions()
                out += of_role(self.judge, self.pool, allowed, classes_with_records(methods))
                if self.pool.workload is None:
                    out += of_calls(self.judge, self.pool.user, allowed, self.scripts)
        async with self._asking("objects", session, out):
            counts = (await session.events_from([], "", 0.0)).valid_ref_counts.values()
            text = f"{sum(counts):,} in {sum(map(bool, counts))} classes"
            out.append(self.judge.ok("objects", text))
        async with self._asking("event queue", session, out):
            out.append(await self._pressure(session))

    async def _pressure(self, session: Session) -> Finding:
        """Count events for a moment: the server numbers those that somebody is registered for."""
        await session.register(["*"])
        first, began_s = await session.current_id(), trio.current_time()
        await trio.sleep(SAMPLE_S)
        events, over_s = await session.current_id() - first, trio.current_time() - began_s
        return of_pressure(self.judge, events=max(events, 0), over_s=over_s)

    @asynccontextmanager
    async def _asking(
        self, point: str, session: Session, out: list[Finding]
    ) -> AsyncIterator[None]:
        """Make a finding of the failure of one question, so that the next is still asked."""
        try:
            yield
        except XapiFault as fault:
            refused = fault.code == "RBAC_PERMISSION_DENIED"
            advice = f"give user {self.pool.user!r} the role read-only, or one above it"
            text = f"{session.address} answers {fault}"
            out.append(self.judge.error(point, text, advice if refused else AGAIN))
        except FAILURES as error:
            out.append(self.judge.error(point, f"{session.address}: {error}", AGAIN))


def _of_member(finding: Finding) -> Finding:
    """Turn what is wrong with a member that nobody listed into a warning."""
    advice = finding.advice or "let this machine reach it"
    return Judge(finding.subject).warning(
        f"member: {finding.point}",
        finding.text,
        f"{advice}; else the recorder cannot follow when this host becomes the master",
    )


def _records(raw: Mapping[str, bytes], kind: type[R]) -> dict[str, R]:
    """Return records by ref. Raises ProtocolError for one that is not what it should be."""
    try:
        return {ref: msgspec.json.decode(text, type=kind) for ref, text in raw.items()}
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a record that cannot be read: {error}") from error


def _only(pools: Mapping[str, _Pool]) -> _Pool:
    if len(pools) != 1:
        raise ProtocolError(f"pool.get_all_records answered {len(pools)} pools, expected one")
    return next(iter(pools.values()))


def _version(host: _Host) -> str:
    software = host.software_version
    product = " ".join(software.get(key, "") for key in ("product_brand", "product_version"))
    build = software.get("xapi_build") or software.get("xapi", "")
    told = [f"API {host.API_version_major}.{host.API_version_minor}", product.strip()]
    return ", ".join(part for part in (*told, f"xapi {build}" if build else "") if part)
