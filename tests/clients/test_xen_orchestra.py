"""xen-api, the client inside Xen Orchestra, takes a simulated pool for a real one."""

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from recorder.simulator.inventory import PoolSpec
from tests.clients import samples
from tests.clients.lab import PASSWORD, USER, Lab
from tests.clients.node import NodeAbsent, ready_node
from tests.clients.official import Clients
from tests.clients.orchestra import Watching, watching

REQUIRED = "XENTRAIL_REQUIRE_NODE"
"""With this set to 1 (as the checks before a change do) missing node is a failure, no skip."""
SUFFIX = ".get_all_records"
REMOVED = ("VMPP", "VIF_metrics", "VBD_metrics")
"""Classes that are listed and fail with MESSAGE_REMOVED; events tell of their rows all the same."""
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\dT\d\d:\d\d:\d\d)\.000Z")
"""How JavaScript writes a date that came in XML."""


@pytest.fixture(scope="session")
def node() -> str:
    try:
        return ready_node()
    except NodeAbsent as absent:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but {absent}")
        pytest.skip(str(absent))


@pytest.fixture
def transport() -> str:
    """Which encoding the client speaks: `auto` tries JSON-RPC first."""
    return "auto"


IN_BOTH_ENCODINGS = pytest.mark.parametrize("transport", ["json-rpc", "xml-rpc"])


@pytest.fixture
def client(node: str, lab: Lab, transport: str) -> Iterator[Watching]:
    with watching(node, lab.url, transport=transport) as running:
        yield running


class Plain:
    """Calls in JSON-RPC with nothing but the standard library, to compare with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = self._call("session.login_with_password", USER, PASSWORD)

    def __call__(self, method: str, *args: object) -> Any:
        return self._call(method, self.session, *args)

    def methods(self) -> list[str]:
        """Return what `system.listMethods` has."""
        names: list[str] = self._call("system.listMethods")
        return names

    def state(self) -> dict[str, dict[str, Any]]:
        """Return every object by class and reference, without classes that have none."""
        classes = [name.removesuffix(SUFFIX) for name in self.methods() if name.endswith(SUFFIX)]
        objects = {cls: self(cls + SUFFIX) for cls in classes if cls not in REMOVED}
        return {cls: records for cls, records in objects.items() if records}

    def _call(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        with urllib.request.urlopen(f"{self.url}/jsonrpc", json.dumps(body).encode()) as reply:  # noqa: S310 - loopback
            answer = json.load(reply)
        assert "error" not in answer, answer
        return answer["result"]


def halted(plain: Plain) -> str:
    """Return the halted guest."""
    records = plain("VM.get_all_records")
    (vm,) = [
        ref
        for ref, record in records.items()
        if record["power_state"] == "Halted" and not record["is_a_template"]
    ]
    return str(vm)


def plain_text(value: Any) -> Any:
    """Return numbers and dates as text, which both encodings and JavaScript agree on."""
    if isinstance(value, dict):
        return {key: plain_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_text(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, str) and (date := DATE.fullmatch(value)):
        return "".join(date.groups()) + "Z"
    return value


def check_state(lab: Lab, client: Watching, plain: Plain) -> None:
    """Compare the whole cache of the client with the pool, class by class."""
    lab.settle()
    client.barrier()
    cached, true = client.state(), plain.state()
    # The barrier of the client is a key in the pool, which it removes only after the fact.
    for records in (cached["pool"], true["pool"]):
        for record in records.values():
            record["other_config"] = {}
    assert sorted(set(cached) - set(REMOVED)) == sorted(true)
    for cls, records in true.items():
        assert plain_text(cached[cls]) == plain_text(records), cls


@IN_BOTH_ENCODINGS
def test_it_fetches_every_object_of_every_class(lab: Lab, client: Watching) -> None:
    """It connects, finds the classes by introspection, and has all records without a complaint."""
    plain = Plain(lab.url)
    client.until(saw="connected")
    fetched = client.until(saw="fetched")
    assert fetched["counts"] == {cls: len(records) for cls, records in plain.state().items()}
    assert fetched["counts"]["host"] == 4
    assert fetched["master"] == "127.0.0.1"
    check_state(lab, client, plain)
    assert client.errors == []


@IN_BOTH_ENCODINGS
def test_it_follows_an_operation_by_its_task_and_events(lab: Lab, client: Watching) -> None:
    """A start through the client ends with the task's event; its cache then is the pool's truth."""
    plain = Plain(lab.url)
    client.until(saw="fetched")
    vm = halted(plain)
    client.call("VM.set_name_label", vm, "<b>&amp; déjà\nvu</b>")
    assert client.call_async("VM.start", vm, False, False) == ""
    # The client destroys a task once it knows the end, and then hears of that, too.
    client.until(saw="remove", **{"class": "task"})
    states = [line["power_state"] for line in client.seen if line.get("ref") == vm]
    assert states[-1] == "Running"
    assert plain("VM.get_power_state", vm) == "Running"
    plain("VM.suspend", vm)
    client.until(saw="update", ref=vm, power_state="Suspended")
    plain("VM.hard_shutdown", vm)
    copy = plain("VM.clone", vm, "a copy")
    client.until(saw="add", ref=copy)
    plain("VM.destroy", copy)
    client.until(saw="remove", ref=copy)
    check_state(lab, client, plain)


@IN_BOTH_ENCODINGS
def test_a_failure_reaches_its_user_with_code_and_parameters(lab: Lab, client: Watching) -> None:
    """Both from a call that fails at once and from a task that fails later."""
    client.until(saw="fetched")
    vm = halted(Plain(lab.url))
    for way in (client.call, client.call_async):
        with pytest.raises(AssertionError) as error:
            way("VM.pause", vm)
        assert "VM_BAD_POWER_STATE" in str(error.value)
        assert "'params': ['" + vm + "', 'running', 'halted']" in str(error.value)


def test_it_survives_a_restart_of_the_toolstack(lab: Lab, client: Watching) -> None:
    """Connections and sessions are gone: it logs in again, fetches all anew and goes on."""
    client.until(saw="fetched")
    task = client.call("task.create", "lost in the restart", "")
    client.barrier()
    lab.restart()
    fetched = client.until(saw="fetched")
    assert fetched["counts"].get("task", 0) == 0
    plain = Plain(lab.url)
    vm = halted(plain)
    plain("VM.set_name_label", vm, "after the restart")
    client.until(saw="update", ref=vm, name="after the restart")
    assert task not in client.state().get("task", {})
    check_state(lab, client, plain)


def test_it_survives_the_loss_of_its_session(lab: Lab, client: Watching) -> None:
    """The blocked event.from ends with SESSION_INVALID; it logs in again and fetches all anew."""
    client.until(saw="fetched")
    lab.expire_sessions()
    client.until(saw="fetched")
    plain = Plain(lab.url)
    vm = halted(plain)
    plain("VM.set_name_label", vm, "after the expiry")
    client.until(saw="update", ref=vm, name="after the expiry")
    assert [line for line in client.seen if line["saw"] in ("trouble", "disconnected")] == []
    check_state(lab, client, plain)


def test_it_survives_a_change_of_the_master(lab: Lab, client: Watching) -> None:
    """The old master knows its session no more and names the new one, where it watches on."""
    client.until(saw="fetched")
    lab.move_master(1)
    plain = Plain(lab.urls[1])
    vm = halted(plain)
    plain("VM.set_name_label", vm, "under a new master")
    client.until(saw="update", ref=vm, name="under a new master")
    check_state(lab, client, plain)


def test_it_finds_the_master_from_a_member(node: str, lab: Lab) -> None:
    """Given the address of a member it ends up at the master, and has all objects."""
    with watching(node, lab.urls[2]) as client:
        client.until(saw="connected")
        assert client.until(saw="fetched")["master"] == "127.0.0.1"
        check_state(lab, client, Plain(lab.url))


def test_it_speaks_tls(node: str, lab: Lab) -> None:
    """The way in which it meets every host in life."""
    with watching(node, lab.tls_url) as client:
        client.until(saw="fetched")
        check_state(lab, client, Plain(lab.url))
        assert client.errors == []


def test_changes_of_other_clients_are_all_seen(
    lab: Lab, clients: Clients, client: Watching
) -> None:
    """The power cycles of a sample program end with the same state in both clients and the pool."""
    client.until(saw="fetched")
    samples.powercycle(clients.login(lab.url), boots=2, pause_s=0.002)
    check_state(lab, client, Plain(lab.url))


class TestSlowOperations:
    """A pool whose operations take as long as in life: nothing ends unless it is stopped."""

    @pytest.fixture
    def spec(self) -> PoolSpec:
        return PoolSpec(hosts=1, vms=3, seed=5, speed=1.0, password=PASSWORD)

    def test_a_cancelled_task_ends_the_call_that_waits_for_it(
        self, lab: Lab, client: Watching
    ) -> None:
        """Whoever cancels the task: the client learns of it from the task's event."""
        client.until(saw="fetched")
        plain = Plain(lab.url)
        vm = halted(plain)
        asked = client.send(**{"call": "VM.start", "args": [vm, False, False], "async": True})
        task = client.until(saw="add", name="Async.VM.start")["ref"]
        plain("task.cancel", task)
        answer = client.until(saw="answer", ask=asked)
        assert answer["message"] == "task canceled"
        assert plain("VM.get_power_state", vm) == "Halted"
