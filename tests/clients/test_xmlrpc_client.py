"""xmlrpc.client of the standard library, with nothing between it and the wire."""

import datetime
from collections.abc import Iterator
from typing import Any
from xmlrpc.client import DateTime, ServerProxy

import pytest

from tests.clients.lab import NOW_S, PASSWORD, USER, Lab

NULL = "OpaqueRef:NULL"


@pytest.fixture
def proxy(lab: Lab) -> Iterator[ServerProxy]:
    with ServerProxy(lab.url, allow_none=True) as opened:
        yield opened


def value_of(reply: Any) -> Any:
    """Return what a call that succeeded has as its result."""
    assert sorted(reply) == ["Status", "Value"], reply
    assert reply["Status"] == "Success"
    return reply["Value"]


def fault_of(reply: Any) -> list[str]:
    """Return code and parameters of a call that failed."""
    assert sorted(reply) == ["ErrorDescription", "Status"], reply
    assert reply["Status"] == "Failure"
    return list(reply["ErrorDescription"])


@pytest.fixture
def session(proxy: ServerProxy) -> str:
    return str(value_of(proxy.session.login_with_password(USER, PASSWORD)))


def test_login_takes_two_to_four_parameters(proxy: ServerProxy) -> None:
    """The version and the originator may be left out; each login is a session of its own."""
    login = proxy.session.login_with_password
    extras: list[tuple[str, ...]] = [(), ("1.0",), ("1.0", "tests")]
    sessions = [value_of(login(USER, PASSWORD, *extra)) for extra in extras]
    assert len(set(sessions)) == 3
    assert all(ref.startswith("OpaqueRef:") for ref in sessions)


def test_errors_are_no_faults_of_xml_rpc(proxy: ServerProxy, session: str) -> None:
    """A refused login, an unknown method, a bad session: HTTP 200, Status and ErrorDescription."""
    refused = proxy.session.login_with_password(USER, "wrong")
    assert fault_of(refused) == ["SESSION_AUTHENTICATION_FAILED", USER, "Authentication failure"]
    assert fault_of(proxy.VM.get_all(NULL)) == ["SESSION_INVALID", NULL]
    assert fault_of(proxy.no.such_method(session)) == ["MESSAGE_METHOD_UNKNOWN", "no.such_method"]


def test_the_list_of_methods_has_no_envelope(proxy: ServerProxy) -> None:
    """`system.listMethods` alone answers with a bare array, as introspection does elsewhere."""
    methods = proxy.system.listMethods()
    assert isinstance(methods, list)
    assert {"VM.start", "event.from", "session.logout", "host.get_all_records"} <= set(methods)
    assert len(methods) == len(set(methods))


def test_values_come_out_in_the_types_of_the_wire(proxy: ServerProxy, session: str) -> None:
    """Integers are text, booleans and doubles are typed, dates are dateTime, void is empty text."""
    records = value_of(proxy.VM.get_all_records(session))
    record = next(it for it in records.values() if it["is_control_domain"])
    assert isinstance(record["memory_static_max"], str)
    assert int(record["memory_static_max"]) == 4 * 1024**3
    assert record["is_a_template"] is False
    assert isinstance(record["snapshot_time"], DateTime)
    assert record["snapshot_time"] == "19700101T00:00:00Z"
    assert isinstance(record["VBDs"], list)
    assert isinstance(record["other_config"], dict)
    task = value_of(proxy.task.create(session, "a task", ""))
    progress = value_of(proxy.task.get_progress(session, task))
    assert (type(progress), progress) == (float, 0.0)
    assert value_of(proxy.task.destroy(session, task)) in ("", None)


def test_numbers_go_in_as_double_as_integer_and_as_text(proxy: ServerProxy, session: str) -> None:
    """A float parameter takes all three, an integer parameter an <int> and its decimal text."""
    task = value_of(proxy.task.create(session, "a task", ""))
    sent: list[float | int | str] = [0.25, 1, "0.5"]
    seen = []
    for progress in sent:
        value_of(proxy.task.set_progress(session, task, progress))
        seen.append(value_of(proxy.task.get_progress(session, task)))
    assert seen == [0.25, 1.0, 0.5]
    (network, *_) = value_of(proxy.network.get_all(session))
    for mtu in (1400, "9000"):
        value_of(proxy.network.set_MTU(session, network, mtu))
        assert value_of(proxy.network.get_MTU(session, network)) == str(mtu)


def test_booleans_go_in_as_booleans_only(proxy: ServerProxy, session: str) -> None:
    """`true` as text is refused, as by xapi."""
    (vm, *_) = value_of(proxy.VM.get_all(session))
    value_of(proxy.VM.set_is_default_template(session, vm, True))
    assert value_of(proxy.VM.get_is_default_template(session, vm)) is True
    code, *_params = fault_of(proxy.VM.set_is_default_template(session, vm, "true"))
    assert code == "INTERNAL_ERROR"
    assert value_of(proxy.VM.get_is_default_template(session, vm)) is True


def test_dates_go_in(proxy: ServerProxy, session: str) -> None:
    """message.get_since takes a dateTime, with and without a time zone, and filters by it."""
    (pool,) = value_of(proxy.pool.get_all_records(session)).values()
    ref = value_of(
        proxy.message.create(session, "HELLO", 3, "Pool", pool["uuid"], "a <body> & more")
    )
    now = datetime.datetime.fromtimestamp(NOW_S, tz=datetime.UTC)
    for form in ("%Y%m%dT%H:%M:%SZ", "%Y%m%dT%H:%M:%S"):
        before = DateTime((now - datetime.timedelta(minutes=1)).strftime(form))
        after = DateTime((now + datetime.timedelta(minutes=1)).strftime(form))
        found = value_of(proxy.message.get_since(session, before))
        assert found[ref]["body"] == "a <body> & more"
        assert ref not in value_of(proxy.message.get_since(session, after))


def test_structs_and_sets_go_in(proxy: ServerProxy, session: str) -> None:
    """A map and a set replace what was there; keys are added and removed one by one."""
    (vm, *_) = value_of(proxy.VM.get_all(session))
    value_of(proxy.VM.set_other_config(session, vm, {"ключ": "значение", "empty": ""}))
    value_of(proxy.VM.add_to_other_config(session, vm, "third", "3"))
    value_of(proxy.VM.remove_from_other_config(session, vm, "empty"))
    other = value_of(proxy.VM.get_other_config(session, vm))
    assert other == {"ключ": "значение", "third": "3"}
    value_of(proxy.VM.set_tags(session, vm, ["one", "two"]))
    value_of(proxy.VM.add_tags(session, vm, "three"))
    assert sorted(value_of(proxy.VM.get_tags(session, vm))) == ["one", "three", "two"]


def test_nil_is_understood_and_refused_where_text_is_due(proxy: ServerProxy, session: str) -> None:
    """<nil/> parses; as a parameter that must be text it is a failure of the call, not of HTTP."""
    (vm, *_) = value_of(proxy.VM.get_all(session))
    code, *_params = fault_of(proxy.VM.set_name_label(session, vm, None))
    assert code == "INTERNAL_ERROR"


def test_event_calls_work_without_any_wrapper(proxy: ServerProxy, session: str) -> None:
    """register, a change, next and from: ids and timestamps are texts, counts are integers."""
    value_of(proxy.event.register(session, ["vm"]))
    start = value_of(getattr(proxy.event, "from")(session, ["vm"], "", 0.0))
    (vm, *_) = value_of(proxy.VM.get_all(session))
    value_of(proxy.VM.set_name_label(session, vm, "renamed"))
    (event,) = value_of(proxy.event.next(session))
    assert list(event) == ["id", "timestamp", "class", "operation", "ref", "snapshot"]
    assert (event["class"], event["operation"], event["ref"]) == ("vm", "mod", vm)
    assert (event["id"], event["timestamp"]) == ("0", f"{NOW_S:.0f}.")
    assert event["snapshot"] == value_of(proxy.VM.get_record(session, vm))
    later = value_of(getattr(proxy.event, "from")(session, ["vm"], start["token"], 1.0))
    assert [it["snapshot"]["name_label"] for it in later["events"]] == ["renamed"]
    assert later["events"][0]["timestamp"] == "0.0"
    assert later["valid_ref_counts"]["vm"] == len(start["events"])
    assert type(later["valid_ref_counts"]["vm"]) is int
    assert later["token"] > start["token"]
    value_of(proxy.event.unregister(session, ["vm"]))


def test_event_next_needs_a_registration(proxy: ServerProxy, session: str) -> None:
    """SESSION_NOT_REGISTERED names the session by a digest, which opens nothing."""
    code, tracked = fault_of(proxy.event.next(session))
    assert code == "SESSION_NOT_REGISTERED"
    assert tracked.startswith("trackid=")
    assert session not in tracked
