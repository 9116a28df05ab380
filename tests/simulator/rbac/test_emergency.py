"""A host that is cut off from its pool still lets root in, for itself."""

import xmlrpc.client
from functools import partial

import pytest
import trio

from recorder.simulator.emergency import is_emergency_call
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served, Sockets, serve
from recorder.simulator.values import Fault
from tests.simulator.rbac.support import NOW_S, PASSWORD


@pytest.mark.parametrize(
    ("method", "answered"),
    [
        ("session.slave_local_login_with_password", True),
        ("session_slave_local_login_with_password", True),
        ("host.is_in_emergency_mode", True),
        ("session.login_with_password", False),
        ("VM.get_all", False),
    ],
)
def test_few_calls_work_in_an_emergency(*, method: str, answered: bool) -> None:
    """Those that help out of it."""
    assert is_emergency_call(method) is answered


async def test_root_gets_into_a_host_in_emergency_mode(nursery: trio.Nursery) -> None:
    """Every other call is answered with what is wrong; the session is of this host only."""
    spec = PoolSpec(hosts=1, vms=1, speed=0.0, password=PASSWORD)
    start = partial(serve, [spec], Sockets(), now_s=lambda: NOW_S)
    (served,) = await nursery.start(start)
    assert isinstance(served, Served)
    served.front.emergency[served.pool.hosts[0].address] = Fault("HOST_STILL_BOOTING")

    def talk() -> list[str]:
        with xmlrpc.client.ServerProxy(served.url) as proxy:
            login = proxy.session.slave_local_login_with_password("root", PASSWORD)
            refused = proxy.session.login_with_password("root", PASSWORD)
            logout = proxy.session.local_logout(login["Value"])  # type: ignore[index,call-overload]
        return [
            str(login["Status"]),  # type: ignore[index,call-overload]
            str(refused["ErrorDescription"]),  # type: ignore[index,call-overload]
            str(logout["Status"]),  # type: ignore[index,call-overload]
        ]

    with trio.fail_after(5):
        told = await trio.to_thread.run_sync(talk)
    assert told == ["Success", "['HOST_STILL_BOOTING']", "Success"]
