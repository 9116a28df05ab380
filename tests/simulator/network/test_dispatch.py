"""Calls are checked in the order of xapi, and the generated methods behave like its own."""

import pytest
import trio

from recorder.simulator.calls import Call, Result, RowReply, Sent, TableReply
from recorder.simulator.dispatch import Dispatcher, Door
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Fault
from tests.simulator.network.support import GOLDEN, NOW_S, PASSWORD

MASTER = Door("127.0.0.1")
MEMBER = Door("127.0.0.2")


class Console:
    """Calls methods as a client would, without a network."""

    def __init__(self) -> None:
        spec = PoolSpec(
            hosts=2, vms=2, speed=0.0, password=PASSWORD, addresses=("127.0.0.1", "127.0.0.2")
        )
        self.pool = SimulatedPool.build(spec, now_s=lambda: NOW_S)
        self.front = Front(self.pool, now_s=lambda: NOW_S)
        self.dispatcher = Dispatcher(self.pool, self.front.sessions, now_s=lambda: NOW_S)
        self.session = self.front.sessions.login(
            "root", PASSWORD, originator="tests", trusted=False
        )
        self.vm = self.pool.database.refs("VM")[0]

    async def raw(self, method: str, *params: Sent, door: Door = MASTER) -> Result:
        return await self.dispatcher.answer(Call(method, list(params)), door)

    async def call(self, method: str, *params: Sent) -> Result:
        return await self.raw(method, self.session, *params)

    async def fault(self, method: str, *params: Sent, door: Door = MASTER) -> list[str]:
        with pytest.raises(Fault) as error:
            await self.raw(method, *params, door=door)
        return [error.value.code, *error.value.params]


@pytest.fixture
def console() -> Console:
    return Console()


async def test_an_unknown_method_checks_the_session_first(console: Console) -> None:
    """Only a valid session, or none at all, learns that the method does not exist."""
    unknown = ["MESSAGE_METHOD_UNKNOWN", "VM.fly"]
    assert await console.fault("VM.fly") == unknown
    assert await console.fault("Async.VM.fly", console.session) == unknown
    assert await console.fault("VM.fly", "OpaqueRef:x") == ["SESSION_INVALID", "OpaqueRef:x"]
    assert await console.fault("VM.fly", console.session, door=MEMBER) == [
        "HOST_IS_SLAVE",
        "127.0.0.1",
    ]


@pytest.mark.parametrize(
    ("method", "count", "expected", "received"),
    [
        ("VM.get_all", 0, "0", "-1"),
        ("VM.get_all", 2, "0", "1"),
        ("VM.get_record", 1, "1", "0"),
        ("VM_get_record", 1, "1", "0"),
        ("VM.snapshot", 2, "2", "1"),
        ("session.login_with_password", 1, "2", "1"),
        ("event_from", 1, "3", "0"),
    ],
)
async def test_parameters_are_counted_before_the_session_is_checked(
    method: str, count: int, expected: str, received: str, console: Console
) -> None:
    """The session is not counted, nor are optional parameters; the name is as it was sent."""
    assert await console.fault(method, *["OpaqueRef:x"] * count) == [
        "MESSAGE_PARAMETER_COUNT_MISMATCH",
        method,
        expected,
        received,
    ]


async def test_types_are_checked_before_the_session(console: Console) -> None:
    """A parameter of the wrong type is INTERNAL_ERROR, even for a session that is not valid."""
    assert await console.fault("VM.set_name_label", "OpaqueRef:x", console.vm, 5) == [
        "INTERNAL_ERROR",
        "Failure(\"Expected string, got 'I(5)'\")",
    ]


@pytest.mark.parametrize("timeout_s", [0, 0.0, "0.0"])
async def test_a_float_may_be_sent_in_three_ways(timeout_s: Sent, console: Console) -> None:
    """The timeout of event.from may be a double, a whole number or text."""
    await console.call("event.from", [], "", timeout_s)


async def test_async_exists_for_operations_only(console: Console) -> None:
    """A getter has no Async form, and says so in xapi's own way."""
    assert await console.fault("Async.VM.get_all", console.session) == [
        "Fault",
        "No async mode for this operation (rpc: VM.get_all)",
    ]


async def test_list_methods_needs_no_session(console: Console) -> None:
    """system.listMethods names every method with a dot, and each of them can be called."""
    names = await console.raw("system.listMethods")
    assert isinstance(names, list)
    assert {"VM.start", "VM.get_all_records", "event.next", "session.logout"} <= set(
        map(str, names)
    )
    assert len(names) == len(set(map(str, names)))
    for name in map(str, names):
        code, *_ = await console.fault(name)
        assert code == "MESSAGE_PARAMETER_COUNT_MISMATCH", name


async def test_the_methods_are_those_of_xapi(console: Console) -> None:
    """system.listMethods answers what a real xapi does, in its order."""
    real = (GOLDEN / "methods.txt").read_text(encoding="ascii").split()
    assert console.dispatcher.method_names() == real


async def test_a_removed_class_is_listed_and_fails(console: Console) -> None:
    """Who reads every class that is listed meets MESSAGE_REMOVED, as in a real pool."""
    assert "VMPP.get_all_records" in console.dispatcher.method_names()
    assert await console.fault("VMPP.get_all_records", console.session) == ["MESSAGE_REMOVED"]


async def test_is_alive_echoes(console: Console) -> None:
    """system.isAlive answers its first parameter."""
    assert await console.raw("system.isAlive:me", "hello") == "hello"


async def test_getters_refuse_what_is_not_there(console: Console) -> None:
    """A wrong reference is HANDLE_INVALID, a wrong uuid UUID_INVALID, a wrong name no error."""
    session = console.session
    missing = ["HANDLE_INVALID", "VM", "OpaqueRef:x"]
    assert await console.fault("VM.get_record", session, "OpaqueRef:x") == missing
    assert await console.fault("VM.get_power_state", session, "OpaqueRef:x") == missing
    assert await console.fault("VM.set_name_label", session, "OpaqueRef:x", "n") == missing
    assert await console.fault("VM.get_by_uuid", session, "u") == ["UUID_INVALID", "VM", "u"]
    assert await console.call("VM.get_by_name_label", "nobody") == []


async def test_records_are_read_from_the_database(console: Console) -> None:
    """get_record and get_all_records name the rows; the encoders read them."""
    assert await console.call("VM.get_record", console.vm) == RowReply(
        console.pool.database, "VM", console.vm
    )
    everything = await console.call("VM.get_all_records")
    assert everything == TableReply(console.pool.database, "VM", console.pool.database.refs("VM"))


async def test_fields_are_written(console: Console) -> None:
    """set, add_to, remove_from, add and remove change the field of the row."""
    vm = console.vm
    await console.call("VM.set_other_config", vm, {"a": "1"})
    await console.call("VM.add_to_other_config", vm, "b", "2")
    await console.call("VM.remove_from_other_config", vm, "a")
    await console.call("VM.remove_from_other_config", vm, "never there")
    assert await console.call("VM.get_other_config", vm) == {"b": "2"}
    await console.call("VM.set_tags", vm, ["x"])
    await console.call("VM.add_tags", vm, "y")
    await console.call("VM.add_tags", vm, "y")
    await console.call("VM.remove_tags", vm, "x")
    assert await console.call("VM.get_tags", vm) == ["y"]
    assert await console.fault("VM.add_to_other_config", console.session, vm, "b", "3") == [
        "MAP_DUPLICATE_KEY",
        "VM",
        "other_config",
        vm,
        "b",
    ]


async def test_a_constructor_takes_fields_as_their_class_has_them(console: Console) -> None:
    """Numbers may be text, maps and sets may be empty, unknown fields do not matter."""
    async with trio.open_nursery() as nursery:
        await nursery.start(console.pool.run)
        wanted: dict[str, Sent] = {"name_label": "n", "MTU": "9000", "other_config": {}, "tags": []}
        network = await console.call("network.create", {**wanted, "no_such_field": "x"})
        assert isinstance(network, str)
        assert await console.call("network.get_MTU", network) == 9000
        nursery.cancel_scope.cancel()


async def test_read_only_fields_have_no_setter(console: Console) -> None:
    """power_state changes by operations only."""
    assert await console.fault("VM.set_power_state", console.session, console.vm, "Running") == [
        "MESSAGE_METHOD_UNKNOWN",
        "VM.set_power_state",
    ]


async def test_the_server_tells_its_time(console: Console) -> None:
    """host.get_servertime is the clock of the pool, in UTC."""
    host = console.pool.hosts[0].ref
    assert await console.call("host.get_servertime", host) == "20261123T16:51:12Z"


async def test_a_member_serves_no_session(console: Console) -> None:
    """A member sends everybody to the master, but for a session that the master does not know."""
    redirected = ["HOST_IS_SLAVE", "127.0.0.1"]
    assert await console.fault("VM.get_all", console.session, door=MEMBER) == redirected
    assert (
        await console.fault("session.login_with_password", "root", "wrong", door=MEMBER)
        == redirected
    )
    gone = ["SESSION_INVALID", "OpaqueRef:x"]
    assert await console.fault("VM.get_all", "OpaqueRef:x", door=MEMBER) == gone


async def test_the_master_is_known_by_where_it_listens(console: Console) -> None:
    """host.address may be written by clients; who answers as the master does not depend on it."""
    await console.call("host.set_address", console.pool.hosts[0].ref, "10.0.0.1")
    assert await console.call("pool.get_all") == [console.pool.pool_ref]


async def test_the_unix_socket_trusts_everybody(console: Console) -> None:
    """On the socket of the host any user and password log in."""
    ref = await console.raw(
        "session.login_with_password", "", "", "1.0", "local", door=Door("127.0.0.1", local=True)
    )
    assert ref in console.front.sessions.refs()
