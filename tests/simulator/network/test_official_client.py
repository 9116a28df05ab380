"""The official Python client, unmodified, takes the simulator for a pool."""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import trio
import XenAPI

from recorder.simulator.inventory import PoolSpec
from recorder.simulator.server import Served
from tests.simulator.network.support import PASSWORD

T = TypeVar("T")
ORIGINATOR = "tests"


async def _in_thread(work: Callable[[], T]) -> T:
    with trio.fail_after(10):
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


class Clients:
    """Sessions of the official client, closed in the end: it leaves its sockets open."""

    def __init__(self) -> None:
        self._opened: list[Any] = []

    def open(self, url: str) -> Any:
        session = XenAPI.Session(url)
        self._opened.append(session)
        return session

    def login(self, url: str, password: str = PASSWORD) -> Any:
        session = self.open(url)
        session.xenapi.login_with_password("root", password, "1.0", ORIGINATOR)
        return session

    def close(self) -> None:
        for session in self._opened:
            session("close")()


@pytest.fixture
def clients() -> Iterator[Clients]:
    opened = Clients()
    yield opened
    opened.close()


def _halted(session: Any) -> str:
    """Return the first VM that a person would start."""
    for ref, record in session.xenapi.VM.get_all_records().items():
        hidden = ("is_a_template", "is_a_snapshot", "is_control_domain")
        if record["power_state"] == "Halted" and not any(record[field] for field in hidden):
            return str(ref)
    raise AssertionError("no halted VM")


async def test_objects_are_found_in_every_way(served: Served, clients: Clients) -> None:
    """The four ways to a VM (records, uuid, name, list of all) agree."""

    def work() -> None:
        session = clients.login(served.url)
        records = session.xenapi.VM.get_all_records()
        ref = _halted(session)
        record = records[ref]
        assert sorted(records) == sorted(session.xenapi.VM.get_all())
        assert session.xenapi.VM.get_by_uuid(record["uuid"]) == ref
        assert ref in session.xenapi.VM.get_by_name_label(record["name_label"])
        assert session.xenapi.VM.get_record(ref) == record
        assert session.xenapi.VM.get_name_label(ref) == record["name_label"]
        session.xenapi.session.logout()

    await _in_thread(work)


async def test_the_master_is_found(served: Served, clients: Clients) -> None:
    """`pool.get_master` and the version fields work as the client's own API_version uses them."""

    def work() -> str:
        session = clients.login(served.url)
        (pool,) = session.xenapi.pool.get_all()
        assert session.API_version.count(".") == 1
        return str(session.xenapi.host.get_address(session.xenapi.pool.get_master(pool)))

    assert await _in_thread(work) == "127.0.0.1"


async def test_a_vm_is_started_synchronously(served: Served, clients: Clients) -> None:
    """VM.start returns when the VM runs."""

    def work() -> str:
        session = clients.login(served.url)
        vm = _halted(session)
        assert session.xenapi.VM.start(vm, False, False) == ""
        return str(session.xenapi.VM.get_power_state(vm))

    assert await _in_thread(work) == "Running"


async def test_a_vm_is_started_asynchronously(served: Served, clients: Clients) -> None:
    """Async.VM.start gives a task, and the progress loop of the user guide ends with success."""

    def work() -> tuple[str, str, str]:
        session = clients.login(served.url)
        vm = _halted(session)
        task = session.xenapi.Async.VM.start(vm, False, False)
        while session.xenapi.task.get_status(task) == "pending":
            assert 0.0 <= session.xenapi.task.get_progress(task) <= 1.0
            time.sleep(0.001)
        status, result = session.xenapi.task.get_status(task), session.xenapi.task.get_result(task)
        session.xenapi.task.destroy(task)
        return str(status), str(result), str(session.xenapi.VM.get_power_state(vm))

    assert await _in_thread(work) == ("success", "<value></value>", "Running")


async def test_a_change_is_heard_by_a_subscriber(served: Served, clients: Clients) -> None:
    """A session registered for `*` gets the change that another session makes."""

    def work() -> list[tuple[str, str, str]]:
        watcher, actor = clients.login(served.url), clients.login(served.url)
        watcher.xenapi.event.register(["*"])
        vm = _halted(actor)
        actor.xenapi.VM.set_name_description(vm, "<heard> & understood")
        events = watcher.xenapi.event.next()
        assert all(event["ref"] == vm for event in events)
        return [
            (event["class"], event["operation"], event["snapshot"]["name_description"])
            for event in events
        ]

    assert await _in_thread(work) == [("vm", "mod", "<heard> & understood")]


async def test_event_from_works_by_both_of_its_names(served: Served, clients: Clients) -> None:
    """`event_from` exists because `from` is a Python keyword; both give the same answer."""

    def work() -> None:
        session = clients.login(served.url)
        first = session.xenapi.event_from(["vm"], "", 0.0)
        again = getattr(session.xenapi.event, "from")(["vm"], "", 0.0)
        assert first == again
        assert {event["operation"] for event in first["events"]} == {"add"}
        assert first["valid_ref_counts"]["vm"] == len(first["events"])
        later = session.xenapi.event_from(["vm"], first["token"], 0.0)
        assert (later["events"], later["token"]) == ([], first["token"])

    await _in_thread(work)


class TestFlood:
    """A pool whose event queue is soon full."""

    @pytest.fixture
    def spec(self) -> PoolSpec:
        return PoolSpec(hosts=1, vms=1, speed=0.0, password=PASSWORD, queue_bytes_max=50_000)

    async def test_a_slow_reader_loses_events_once(self, served: Served, clients: Clients) -> None:
        """EVENTS_LOST ends one call; the session stays registered and hears of the next change."""
        session = await _in_thread(lambda: clients.login(served.url))
        await _in_thread(lambda: session.xenapi.event.register(["*"]))
        served.pool.flood(200)

        def work() -> int:
            with pytest.raises(XenAPI.Failure) as error:
                session.xenapi.event.next()
            assert error.value.details == ["EVENTS_LOST"]
            session.xenapi.VM.set_name_label(session.xenapi.VM.get_all()[0], "after the flood")
            return len(session.xenapi.event.next())

        assert await _in_thread(work) == 1


async def test_a_member_names_the_master(served: Served, clients: Clients) -> None:
    """A member refuses even a wrong password with HOST_IS_SLAVE; the address it names works."""

    def work() -> None:
        with pytest.raises(XenAPI.Failure) as error:
            clients.login(served.members[0], "wrong")
        code, address = error.value.details
        assert code == "HOST_IS_SLAVE"
        master = served.members[0].replace("127.0.0.2", address)
        assert master == served.url
        clients.login(master)

    await _in_thread(work)


async def test_a_wrong_password_is_refused(served: Served, clients: Clients) -> None:
    """The failure has the user and the reason as its parameters."""

    def work() -> None:
        with pytest.raises(XenAPI.Failure) as error:
            clients.login(served.url, "wrong")
        assert error.value.details == [
            "SESSION_AUTHENTICATION_FAILED",
            "root",
            "Authentication failure",
        ]

    await _in_thread(work)


async def test_a_lost_session_is_replaced_by_the_client(served: Served, clients: Clients) -> None:
    """The client logs in again on SESSION_INVALID, so a lost session goes unnoticed."""
    session = await _in_thread(lambda: clients.login(served.url))
    (before,) = served.front.sessions.refs()
    served.front.sessions.expire_all()
    assert await _in_thread(session.xenapi.pool.get_all) == [served.pool.pool_ref]
    (after,) = served.front.sessions.refs()
    assert after != before


async def test_logout_ends_a_blocked_call(served: Served, clients: Clients) -> None:
    """event.next of a session that logs out elsewhere fails with SESSION_INVALID [ref]."""
    session = await _in_thread(lambda: clients.login(served.url))
    ref = str(session.handle)
    await _in_thread(lambda: session.xenapi.event.register(["sr"]))
    failed: list[object] = []

    def blocked() -> None:
        other = clients.open(served.url)
        failed.append(other.event.next(ref))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_in_thread, blocked)
        await trio.sleep(0.03)
        assert failed == []
        await _in_thread(session.xenapi.session.logout)
    assert failed == [{"Status": "Failure", "ErrorDescription": ["SESSION_INVALID", ref]}]
