"""Sessions of the official Python client, which is untyped: what it returns is `Any` here."""

from pathlib import Path
from typing import Any

import XenAPI

from tests.clients.lab import PASSWORD, USER

VERSION = "1.0"
ORIGINATOR = "tests-of-clients"


class Clients:
    """Sessions that are closed in the end: the client leaves its sockets open."""

    def __init__(self) -> None:
        self._opened: list[Any] = []

    def open(self, url: str, **options: Any) -> Any:
        """Return a session that is not logged in."""
        session = XenAPI.Session(url, **options)
        self._opened.append(session)
        return session

    def login(self, url: str, password: str = PASSWORD, **options: Any) -> Any:
        """Return a session that is logged in. Raises XenAPI.Failure."""
        session = self.open(url, **options)
        session.xenapi.login_with_password(USER, password, VERSION, ORIGINATOR)
        return session

    def local(self, socket: Path) -> Any:
        """Return what `xapi_local()` returns, for a unix socket elsewhere than on a real host.

        The client writes the slashes of the path as underscores, so the path may have none.
        """
        assert "_" not in str(socket)
        return self.open(
            f"http://{str(socket).replace('/', '_')}/", transport=XenAPI.UDSTransport()
        )

    def close(self) -> None:
        """Close every connection."""
        for session in self._opened:
            session("close")()
