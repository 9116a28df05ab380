"""Trying who runs the workloads of a pool: whether he is let in, and may make their calls."""

from collections.abc import Mapping, Sequence

import msgspec

from ..client.address import Address
from ..client.line import FAILURES
from ..client.session import Credentials, open_session
from ..client.tls import TlsPolicy
from ..config import Limits, Pool
from ..errors import ConfigError
from ..service.daemon import WORKLOAD_ORIGINATOR, Seams
from ..timetable import Schedule
from ..workloads.repertoire import calls_of
from ..workloads.scheduling import scheduled
from ..workloads.scripts import Script
from .preflight import Finding, Judge

Scripts = Mapping[str, Script]
"""By the names of the schedules that run them."""


def read_scripts(schedules: Sequence[Schedule]) -> tuple[list[Finding], dict[str, Script]]:
    """Read the scripts of all schedules; return what was found, and those that can be run."""
    findings, scripts = list[Finding](), dict[str, Script]()
    for schedule in schedules:
        judge = Judge(f"schedule {schedule.name}")
        try:
            (one,) = scheduled([schedule])
        except ConfigError as error:
            about = f"schedule {schedule.name}: script: "
            for mistake in (str(error), *error.choices):
                findings.append(judge.error("script", mistake.removeprefix(about)))
            continue
        scripts[schedule.name] = one.script
        rest = "" if schedule.enabled else ", not enabled"
        findings.append(judge.ok("script", f"{schedule.script}: {one.script.name}{rest}"))
    return findings, scripts


def of_calls(
    judge: Judge, user: str, allowed: frozenset[str] | None, scripts: Scripts
) -> list[Finding]:
    """Judge whether a user may make the calls of scheduled scripts; `allowed` is lower case."""
    found = []
    for name, script in scripts.items():
        point, calls = f"calls of schedule {name}", calls_of(script)
        closed = [one for one in calls if allowed is not None and one.lower() not in allowed]
        if closed:
            text = f"user {user!r} may not call {', '.join(closed)}"
            advice = "name one who may in [pools.workload] of the pool, or give this one a role"
            found.append(judge.error(point, text, advice))
        else:
            found.append(judge.ok(point, f"user {user!r} may make all {len(calls)} of them"))
    return found


class LoginTrial(msgspec.Struct, frozen=True):
    """What is needed to try the login of `[pools.workload]`; `pool` is the configured one."""

    pool: Pool
    limits: Limits
    seams: Seams
    scripts: Scripts

    async def run(
        self, addresses: Sequence[Address], policy: TlsPolicy, judge: Judge, out: list[Finding]
    ) -> None:
        """Log in once, at addresses where that is safe, and see what the user may call."""
        assert self.pool.workload is not None
        driven = msgspec.structs.replace(self.pool.driven, workload=None)
        try:
            credentials = Credentials(driven.user, self.seams.password(driven))
        except ConfigError as error:
            told = str(error).removeprefix(f"pool {self.pool.name}: ")
            advice = "put the password there, or correct where [pools.workload] says that it is"
            out.append(judge.error("workload password", told, advice))
            return
        try:
            async with open_session(
                addresses,
                policy,
                credentials,
                originator=WORKLOAD_ORIGINATOR,
                gently=True,
                dial=self.seams.dial,
                limits=self.limits,
                run_sync=self.seams.run_sync,
            ) as session:
                out.append(judge.ok("workload login", f"user {driven.user!r} is let in"))
                allowed = await session.permissions()
                out += of_calls(judge, driven.user, allowed, self.scripts)
        except FAILURES as error:
            out.append(judge.error("workload login", str(error)))
