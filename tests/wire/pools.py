"""Sessions with hosts in memory, for the tests of sessions."""

from typing import Any

import pytest
import trio

from recorder.client.session import Credentials, open_session
from recorder.client.transport import Address, TlsPolicy
from recorder.config import Limits
from recorder.errors import XentrailError
from tests.fakes import PASSWORD, FakeHost, FakeNetwork

ROOT = Credentials("root", PASSWORD)
LIMITS = Limits(connect_timeout_s=5.0, call_timeout_s=60.0)


class Pool:
    """Opens sessions with fake hosts; every name is an address `https://NAME`."""

    def __init__(self, nursery: trio.Nursery, **hosts: FakeHost) -> None:
        self.network = FakeNetwork(nursery, hosts)

    def open(self, *names: str, credentials: Credentials = ROOT, gently: bool = False) -> Any:
        addresses = [Address.parse(f"https://{name}") for name in names]
        return open_session(
            addresses,
            TlsPolicy(),
            credentials,
            gently=gently,
            dial=self.network.dial,
            limits=LIMITS,
        )

    async def failure(
        self, *names: str, credentials: Credentials = ROOT, gently: bool = False
    ) -> XentrailError:
        """Return the error of a session that cannot be opened."""
        with pytest.raises(XentrailError) as caught:
            async with self.open(*names, credentials=credentials, gently=gently):
                pytest.fail("the session was opened")
        return caught.value
