"""The official Python client when sessions are lost, masters move and calls are refused."""

import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import XenAPI

from recorder.simulator.inventory import PoolSpec
from tests.clients import samples
from tests.clients.lab import PASSWORD, Lab, running_lab
from tests.clients.official import Clients

REMOVED = {"VMPP", "VIF_metrics", "VBD_metrics"}
NOWHERE = "OpaqueRef:00000000-0000-4000-8000-000000000000"


def fails(session: Any, method: str, *args: object) -> list[str]:
    """Return Failure.details of a call that has to fail."""
    call = session.xenapi
    for name in method.split("."):
        call = getattr(call, name)
    with pytest.raises(XenAPI.Failure) as error:
        call(*args)
    assert str(error.value) == str(error.value.details)
    return list(error.value.details)


def guest_in(session: Any, power_state: str) -> str:
    found = samples.guests(session).items()
    return next(ref for ref, record in found if record["power_state"] == power_state)


def test_failures_have_the_code_and_parameters_of_the_api(lab: Lab, clients: Clients) -> None:
    """What a script would branch on: `details[0]`, and what it would print: the rest."""
    session = clients.login(lab.url)
    halted, running = guest_in(session, "Halted"), guest_in(session, "Running")
    assert fails(session, "VM.get_record", NOWHERE) == ["HANDLE_INVALID", "VM", NOWHERE]
    assert fails(session, "VM.get_by_uuid", "no-uuid") == ["UUID_INVALID", "VM", "no-uuid"]
    assert fails(session, "VM.fly", halted) == ["MESSAGE_METHOD_UNKNOWN", "VM.fly"]
    assert fails(session, "VM.start", halted) == [
        "MESSAGE_PARAMETER_COUNT_MISMATCH",
        "VM.start",
        "3",
        "1",
    ]
    assert fails(session, "VM.pause", halted) == [
        "VM_BAD_POWER_STATE",
        halted,
        "running",
        "halted",
    ]
    assert fails(session, "VM.start", running, False, False) == [
        "VM_BAD_POWER_STATE",
        running,
        "halted",
        "running",
    ]
    assert fails(session, "VM.add_to_other_config", halted, "mac_seed", "2") == [
        "MAP_DUPLICATE_KEY",
        "VM",
        "other_config",
        halted,
        "mac_seed",
    ]


def test_a_session_that_expired_is_opened_anew(lab: Lab, clients: Clients) -> None:
    """SESSION_INVALID makes the client log in again and repeat the call, as often as it happens."""
    session = clients.login(lab.url)
    handles = {session.handle}
    for count in range(3):
        lab.expire_sessions()
        assert session.xenapi.VM.get_all()
        handles.add(session.handle)
        assert len(handles) == count + 2


def test_a_session_that_logged_out_stays_out(lab: Lab, clients: Clients) -> None:
    """The reference is worth nothing any more, in another client either."""
    session, other = clients.login(lab.url), clients.open(lab.url)
    handle = session.handle
    session.xenapi.session.logout()
    assert other.VM.get_all(handle) == {
        "Status": "Failure",
        "ErrorDescription": ["SESSION_INVALID", handle],
    }


def test_the_client_follows_the_master(lab: Lab, clients: Clients) -> None:
    """After a change of the master the old one names the new one, to old sessions as at login."""
    session = clients.login(lab.url)
    lab.move_master(2)
    # The first call finds its connection cut, which the client repairs by dialling again.
    assert fails(session, "VM.get_all") == ["HOST_IS_SLAVE", "127.0.0.3"]
    with pytest.raises(XenAPI.Failure) as error:
        clients.login(lab.url)
    code, address = error.value.details
    assert code == "HOST_IS_SLAVE"
    master = next(url for url in lab.urls if address in url)
    session = clients.login(master)
    (pool,) = session.xenapi.pool.get_all()
    host = session.xenapi.pool.get_master(pool)
    assert session.xenapi.host.get_address(host) == address


def test_a_local_login_works_where_the_host_is_a_member(lab: Lab, clients: Clients) -> None:
    """The emergency way in: the session is good on this host only, and ended by local_logout."""
    session, master = clients.open(lab.urls[1]), clients.open(lab.url)
    session.slave_local_login_with_password("root", PASSWORD)
    handle = session.handle
    assert handle.startswith("OpaqueRef:")
    assert len(session.xenapi.host.get_all()) == 4
    refused = master.VM.get_all(handle)
    assert refused["ErrorDescription"] == ["SESSION_INVALID", handle]
    session.xenapi.session.logout()
    refused = session.host.get_all(handle)
    assert refused["ErrorDescription"] == ["SESSION_INVALID", handle]


def test_a_restart_of_the_toolstack_goes_unnoticed(lab: Lab, clients: Clients) -> None:
    """Its connection is dialled again and its session replaced; the objects are the same."""
    session = clients.login(lab.url)
    before = sorted(session.xenapi.VM.get_all())
    lab.restart()
    assert sorted(session.xenapi.VM.get_all()) == before


def test_every_class_is_read_in_every_way(lab: Lab, clients: Clients) -> None:
    """get_all, get_all_records, get_record and get_by_uuid agree for each class that has them."""
    session = clients.login(lab.url)
    methods = set(session.system.listMethods())
    classes = {name.partition(".")[0] for name in methods if name.endswith(".get_all_records")}
    assert {"VM", "host", "pool", "SR", "VDI", "PIF", "task", "message", "Bond"} <= classes
    for cls in sorted(classes - REMOVED):
        proxy = getattr(session.xenapi, cls)
        records = proxy.get_all_records()
        assert sorted(proxy.get_all()) == sorted(records), cls
        for ref, record in records.items():
            assert proxy.get_record(ref) == record
            if f"{cls}.get_by_uuid" in methods and record.get("uuid"):
                assert proxy.get_by_uuid(record["uuid"]) == ref


@pytest.mark.parametrize("cls", sorted(REMOVED))
def test_a_removed_class_says_so(lab: Lab, clients: Clients, cls: str) -> None:
    """It is still listed, and fails as in a real pool."""
    session = clients.login(lab.url)
    assert f"{cls}.get_all_records" in session.system.listMethods()
    assert fails(session, f"{cls}.get_all_records") == ["MESSAGE_REMOVED"]


def test_the_server_tells_its_version_and_time(lab: Lab, clients: Clients) -> None:
    """The client's own property, and the calls with which scripts say hello."""
    session = clients.login(lab.url)
    major, minor = session.API_version.split(".")
    assert (int(major), int(minor)) >= (2, 0)
    host = session.xenapi.host.get_all()[0]
    assert session.xenapi.host.get_software_version(host)["product_version"]
    assert session.xenapi.host.get_servertime(host).value.endswith("Z")


def test_a_certificate_that_nobody_signed_is_accepted_when_told_to(
    lab: Lab, clients: Clients
) -> None:
    """`ignore_ssl` is how scripts reach a host whose certificate it signed itself."""
    with pytest.raises(ssl.SSLCertVerificationError):
        clients.login(lab.tls_url)
    session = clients.login(lab.tls_url, ignore_ssl=True)
    assert session.xenapi.VM.get_all()
    assert session.xenapi.event_from(["pool"], "", 0.0)["events"]


class TestUnixSocket:
    """On the host itself: `xapi_local()` dials a unix socket."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        # The client takes underscores for slashes, which tmp_path is full of.
        made = Path("/tmp") / f"xentrail-{uuid.uuid4()}"  # noqa: S108 - 0700, a random name
        made.mkdir(mode=0o700)
        yield made
        made.rmdir()

    @pytest.fixture
    def lab(self, spec: PoolSpec, folder: Path) -> Iterator[Lab]:
        with running_lab(spec, folder=folder) as running:
            yield running

    def test_anybody_is_root_there(self, lab: Lab, clients: Clients) -> None:
        """A login without a password that counts, calls, events and a logout."""
        socket = lab.served.unix_socket
        assert socket is not None
        session = clients.local(socket)
        session.xenapi.login_with_password("", "", "1.0", "tests")
        assert len(session.xenapi.host.get_all()) == 4
        first = session.xenapi.event_from(["pool"], "", 0.0)
        assert [event["class"] for event in first["events"]] == ["pool"]
        session.xenapi.session.logout()

    def test_a_session_is_good_at_both_doors(self, lab: Lab, clients: Clients) -> None:
        """What was opened at the unix socket works over TCP: it is one server."""
        socket = lab.served.unix_socket
        assert socket is not None
        session = clients.local(socket)
        session.xenapi.login_with_password("root", "")
        answer = clients.open(lab.url).host.get_all(session.handle)
        assert answer["Status"] == "Success"
