"""`GET /audit_log` of one host, line by line as it comes: a first answer may have 10 MB."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from ...client.line import Route
from ...client.transport import Connection, connect
from ...errors import ProtocolError

PATH = "/audit_log"

LINE_BYTES_MAX = 1024 * 1024
"""A longer line is cut into lines of this length. Of 20,000 characters in a name xapi makes one of
20 KB, and what writes the file seldom takes more than 8."""

_COOKIE = re.compile(r"[!#-+\--:<-\[\]-~]{1,256}")


class Splitter:
    """Cuts what comes in pieces into lines."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that a piece ends, without their line feeds; empty ones are left out."""
        *ended, self._begun = (self._begun + piece).split(b"\n")
        if len(self._begun) > LINE_BYTES_MAX:
            ended.append(self._begun)
            self._begun = b""
        return [part for line in ended for part in _cut(line)]


class Page:
    """The answer of one host; `lines` gives what came since the last time."""

    def __init__(self, connection: Connection, *, timeout_s: float, bytes_max: int) -> None:
        self.bytes = 0
        self._connection = connection
        self._timeout_s = timeout_s
        self._bytes_max = bytes_max
        self._splitter = Splitter()

    async def lines(self) -> list[bytes] | None:
        """Return the next lines, perhaps none, or None at the end.

        Half a line at the end is not given: xapi ends every line, so that the connection broke.
        Raises TransportError, ProtocolError.
        """
        piece = await self._connection.next_piece(timeout_s=self._timeout_s)
        self.bytes += len(piece)
        if self.bytes > self._bytes_max:
            raise ProtocolError(
                f"{self._connection.address}{PATH} sends {self.bytes} bytes or more;"
                f" limits.reply_mib_max allows {self._bytes_max}"
            )
        return self._splitter.feed(piece) if piece else None


@asynccontextmanager
async def open_page(
    route: Route, session: str, *, since: bytes, task: str | None
) -> AsyncIterator[Page]:
    """Ask the host at `route` for its lines from `since` on; the connection ends with the context.

    `task` is the task that the host notes its answer in, instead of making one. The session goes
    as a cookie, not in the path, which proxies log. Raises TransportError, ProtocolError, of which
    HttpRefused for another status than 200.
    """
    if not _COOKIE.fullmatch(session):
        raise ProtocolError(f"{route.address} gave a session that is no cookie")
    limits = route.limits
    connection = await connect(
        route.address,
        route.tls,
        timeout_s=limits.connect_timeout_s,
        reply_bytes_max=limits.reply_mib_max * 1024 * 1024,
        dial=route.dial,
    )
    try:
        target = f"{PATH}?since={since.decode('ascii')}"
        if task is not None:
            target += f"&task_id={quote(task, safe=':')}"
        await connection.get(
            target, cookie=f"session_id={session}", timeout_s=limits.call_timeout_s
        )
        bytes_max = limits.reply_mib_max * 1024 * 1024
        yield Page(connection, timeout_s=limits.call_timeout_s, bytes_max=bytes_max)
    finally:
        await connection.aclose()


def _cut(line: bytes) -> list[bytes]:
    return [line[at : at + LINE_BYTES_MAX] for at in range(0, len(line), LINE_BYTES_MAX)]
