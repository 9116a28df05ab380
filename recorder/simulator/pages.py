"""What is served besides calls: a table of exact method and path to whoever answers there.

xapi serves files and logs beside its API, each by a handler of its own (`GET /audit_log`).
`connection.Manners.pages` holds the table; without a page a path is an RPC endpoint or nothing.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

import msgspec

from .http import Head


def _nothing() -> None:
    pass


class PageReply(msgspec.Struct, frozen=True):
    """An answer as it goes out: the headers verbatim and in this order, nothing is added.

    `status` is such as '200 OK'. `body` comes in pieces, each sent as it is made; it is closed
    whatever happens, and `done` called, even if not a byte was sent. With `close` the connection
    ends after it, which is how a client sees the end of a body without content-length.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    body: AsyncGenerator[bytes, None]
    close: bool = True
    version: str = "1.1"
    done: Callable[[], None] = _nothing

    def encode_head(self) -> bytes:
        """Return the status line and the headers with the empty line after them."""
        lines = [f"HTTP/{self.version} {self.status}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


Page = Callable[[Head], Awaitable[PageReply]]
"""Answers one request by its head (`query` and `cookies` are decoded); a body is not read for it.

May raise http.HttpError, which is sent instead and ends the connection.
"""

Pages = Mapping[tuple[str, str], Page]
"""By method and path, such as ('GET', '/audit_log'); both must match exactly."""
