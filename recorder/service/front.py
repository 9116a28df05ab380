"""The recorder's side of its control socket: what may be asked, and when the socket is there."""

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from difflib import get_close_matches
from pathlib import Path

import msgspec
import trio

from .. import logs
from ..clock import WallClock
from ..control import endpoint
from ..control.following import Followers
from ..control.protocol import (
    ErrorName,
    Import,
    ImportReport,
    PoolStatus,
    Refused,
    ReloadReport,
    Resume,
    Run,
    StatusReport,
)
from ..control.server import Server
from ..errors import ConfigError
from ..keeper import Pen
from ..model import AuditLine, Draft
from ..pools.roster import Roster
from ..redaction.policy import OTHER_RULES
from ..workloads.resuming import Resumer
from ..workloads.runs import Runs, Told
from ..workloads.scheduling import Scheduler
from .bulletin import Bulletin
from .reload import Reloader

RETRY_S = 10.0
"""A disk without room has none for a socket either: how often it is tried again."""

Listen = Callable[[Path], socket.socket]
"""Returns a listening socket in a data folder; see `endpoint.listen`."""


class Importer:
    """Adds to the journal what a command has read in copies of audit trails."""

    def __init__(self, pen: Pen, now_ns: WallClock, *, rules: str) -> None:
        """`rules` are those by which the recorder hides secrets, as marks name them."""
        self._pen = pen
        self._now_ns = now_ns
        self._rules = rules

    async def take(self, wanted: Import) -> ImportReport:
        """Return once all is durable.

        Raises Refused while there is no room for it, and for lines with secrets in them that those
        of the recorder would not have.
        """
        if wanted.rules != self._rules:
            raise Refused(ErrorName.CONFIG_REFUSED, OTHER_RULES)
        if self._pen.disk_is_full:
            text = "the disk of the recorder is full: make room, and import once more"
            raise Refused(ErrorName.DISK_FULL, text)
        bodies = (AuditLine(one.host, one.line, True) for one in wanted.lines)
        drafts = [Draft(self._now_ns(), wanted.pool, body) for body in bodies]
        if drafts:
            await (await self._pen.put(drafts)).durable.wait()
        return ImportReport(len(drafts))


class Counter:
    """What clients can ask of this recorder: the `Desk` of its server."""

    def __init__(
        self,
        bulletin: Bulletin,
        roster: Roster,
        reloader: Reloader | None,
        runs: Runs,
        scheduler: Scheduler,
        resumer: Resumer,
        importer: Importer,
    ) -> None:
        self._bulletin = bulletin
        self._roster = roster
        self._reloader = reloader
        self._runs = runs
        self._scheduler = scheduler
        self._resumer = resumer
        self._importer = importer

    def status(self) -> StatusReport:
        """Tell how it goes."""
        report = self._bulletin.report(self._roster.vitals)
        return msgspec.structs.replace(report, pools=[*map(self._with_workloads, report.pools)])

    def _with_workloads(self, one: PoolStatus) -> PoolStatus:
        """Add what runs on a pool, and what will."""
        run, schedule = self._runs.status(one.pool), self._scheduler.next_on(one.pool)
        return msgspec.structs.replace(one, run=run, schedule=schedule)

    async def reload(self) -> ReloadReport:
        """Read the configuration again. Raises Refused."""
        if self._reloader is None:
            text = "this recorder was started without a configuration file: there is none to read"
            raise Refused(ErrorName.CONFIG_REFUSED, text)
        return await self._reloader.reload()

    async def run(self, wanted: Run, who: str) -> Told:
        """Begin a run, or only plan it. Raises Refused."""
        self.check_pools([wanted.pool])
        return await self._runs.begin(wanted, who)

    async def resume(self, wanted: Resume, who: str) -> Told:
        """Go on with a run. Raises Refused."""
        self.check_pools([await self._resumer.pool_of(wanted)])
        return await self._resumer.resume(wanted, who)

    async def import_lines(self, wanted: Import) -> ImportReport:
        """Add lines of copied trails to the journal. Raises Refused."""
        self.check_pools([wanted.pool])
        return await self._importer.take(wanted)

    def check_pools(self, names: Sequence[str]) -> None:
        """Refuse names of pools that are not recorded."""
        known = [pool.name for pool in self._roster.pools]
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                text = f"no pool {name!r} is recorded; {advice}"
                raise Refused(ErrorName.UNKNOWN_POOL, text)

    def last_seq(self) -> int:
        """Return the seq of the last durable entry."""
        return self._bulletin.tally.last_seq


class Front:
    """Owns the socket: it is there while the recorder takes things in, and no longer."""

    def __init__(self, data: Path, listen: Listen | None) -> None:
        """Listen at once if that is possible. Raises ConfigError if something else is there."""
        self.followers = Followers()
        self._data = data
        self._listen = listen
        self._server = Server(self.followers)
        self._listener: socket.socket | None = None
        if listen is not None:
            try:
                self._listener = listen(data)
            except OSError as error:
                # To record is more than to be asked about it.
                logs.warning("no-control", error=f"{data / endpoint.SOCKET_NAME}: {error.strerror}")

    def attending(self) -> AbstractAsyncContextManager[None]:
        """Attend to clients for the length of the context; see `Server.attending`."""
        return self._server.attending()

    async def serve(self, counter: Counter) -> None:
        """Let clients in until cancelled."""
        if self._listen is None:
            return
        while self._listener is None:
            await trio.sleep(RETRY_S)
            with suppress(OSError, ConfigError):
                self._listener = self._listen(self._data)
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        await self._server.listen(listener, counter)

    def close(self) -> None:
        """Let nobody in any more. A second close does nothing."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            endpoint.remove(self._data)
