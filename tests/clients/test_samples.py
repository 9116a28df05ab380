"""The sample programs of the XenServer SDK find in a simulated pool what they expect."""

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from xmlrpc.client import DateTime

import pytest
import XenAPI

from tests.clients import samples
from tests.clients.lab import WAIT_S_MAX, Lab
from tests.clients.official import Clients

T = TypeVar("T")
PAUSE_S = 0.002
END = "the watcher may go home"
State = dict[tuple[str, str], object]


def plain(value: Any) -> Any:
    """Return a value as it is in JSON once numbers are texts: the same for XML-RPC and JSON-RPC."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, DateTime) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    return value


class Watcher:
    """A thread that collects batches until the pool is called END."""

    def __init__(self, batches: Iterator[list[samples.Record]]) -> None:
        self.batches: list[list[samples.Record]] = []
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, args=(batches,), daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[samples.Record]:
        """What all batches had, in the order in which it came."""
        return [event for batch in self.batches for event in batch]

    def finish(self, lab: Lab, session: Any) -> None:
        """Let the pool come to rest, give the sign, and wait until the watcher has seen it."""
        lab.settle()
        (pool,) = session.xenapi.pool.get_all()
        session.xenapi.pool.set_name_description(pool, END)
        self._thread.join(WAIT_S_MAX)
        assert not self._thread.is_alive()
        assert self._failure is None

    def _watch(self, batches: Iterator[list[samples.Record]]) -> None:
        try:
            for batch in batches:
                self.batches.append(batch)
                if any(it.get("snapshot", {}).get("name_description") == END for it in batch):
                    return
        except (OSError, XenAPI.Failure) as failure:
            self._failure = failure


def folded(events: list[samples.Record], first: State | None = None) -> State:
    """Return the state after these events. An object that dies must have lived."""
    state = dict(first or {})
    for event in events:
        key = event["class"], event["ref"]
        if event["operation"] == "del":
            del state[key]
        else:
            state[key] = plain(event["snapshot"])
    return state


def true_state(lab: Lab) -> State:
    """Return every object that emits events as the pool itself has it."""
    silent = {"session", "user", "secret"}
    now = lab.do(lambda: lab.served.pool.truth.state_at(len(lab.served.pool.truth.changes)))
    return {key: plain(json.loads(text)) for key, text in now.items() if key[0] not in silent}


def power_states(session: Any) -> dict[str, str]:
    return {str(vm["name_label"]): vm["power_state"] for vm in samples.guests(session).values()}


def test_powercycle_leaves_every_guest_halted(lab: Lab, clients: Clients) -> None:
    """Nine starts, suspensions, resumptions and shutdowns of each VM, and none of them fails."""
    session = clients.login(lab.url)
    assert set(power_states(session).values()) == {"Running", "Halted"}
    assert samples.powercycle(session, pause_s=PAUSE_S) == 9 * 4
    assert set(power_states(session).values()) == {"Halted"}
    assert session.xenapi.task.get_all() == []


def test_powercycle_wakes_guests_that_sleep(lab: Lab, clients: Clients) -> None:
    """A suspended VM is resumed and a paused one unpaused before either is shut down."""
    session = clients.login(lab.url)
    running = [vm for vm, it in samples.guests(session).items() if it["power_state"] == "Running"]
    session.xenapi.VM.suspend(running[0])
    session.xenapi.VM.pause(running[1])
    assert set(power_states(session).values()) == {"Running", "Halted", "Suspended", "Paused"}
    assert samples.powercycle(session, boots=1, pause_s=PAUSE_S) == 4
    assert set(power_states(session).values()) == {"Halted"}


def test_permute_gives_each_guest_the_host_of_the_one_before(lab: Lab, clients: Clients) -> None:
    """Two rounds of concurrent live migrations, and no task is left over."""
    session = clients.login(lab.url)

    def hosts() -> list[str]:
        living = samples.guests(session).values()
        return [it["resident_on"] for it in living if it["power_state"] == "Running"]

    before = hosts()
    assert len(set(before)) == 3
    moves = samples.permute(session, 2, pause_s=PAUSE_S)
    assert hosts() == [before[-2], before[-1], *before[:-2]]
    assert hosts() == [host for _, host in moves]
    assert session.xenapi.task.get_all() == []


def test_permute_tells_which_migration_failed(lab: Lab, clients: Clients) -> None:
    """A host that is disabled takes no VM; the task that failed says so, and is left behind."""
    session = clients.login(lab.url)
    host = next(record["resident_on"] for record in samples.guests(session).values())
    session.xenapi.host.disable(host)
    with pytest.raises(samples.TasksFailed) as error:
        samples.permute(session, 1, pause_s=PAUSE_S)
    failed = [task for task in error.value.args[0] if task["status"] == "failure"]
    assert [task["error_info"] for task in failed] == [["HOST_DISABLED", host]]
    assert len(session.xenapi.task.get_all()) == 3


def test_permute_without_running_guests_has_no_hosts_to_rotate(lab: Lab, clients: Clients) -> None:
    """The sample ends with an IndexError when nothing runs, as it does with a real pool."""
    session = clients.login(lab.url)
    for vm, record in samples.guests(session).items():
        if record["power_state"] == "Running":
            session.xenapi.VM.hard_shutdown(vm)
    with pytest.raises(IndexError):
        samples.permute(session, 1, pause_s=PAUSE_S)


def test_vm_start_async_ends_with_a_complete_task(lab: Lab, clients: Clients) -> None:
    """The task goes from pending to success, and its record tells all about it."""
    session = clients.login(lab.url)
    vm, task = samples.start_async(session, pause_s=PAUSE_S)
    assert session.xenapi.VM.get_power_state(vm) == "Running"
    assert (task["status"], task["progress"], task["error_info"]) == ("success", 1.0, [])
    assert (task["name_label"], task["result"]) == ("Async.VM.start", "<value></value>")
    assert task["finished"] >= task["created"]
    assert len(session.xenapi.task.get_all()) == 1


def test_vm_start_async_outlives_its_session(lab: Lab, clients: Clients) -> None:
    """A session that expires while the task is polled is replaced by the client: nobody notices."""
    session = clients.login(lab.url)
    before = session.handle
    lab.expire_sessions()
    _, task = samples.start_async(session, pause_s=PAUSE_S)
    assert task["status"] == "success"
    assert session.handle != before


def work(session: Any) -> None:
    """Do what touches many classes: power cycles, migrations, tasks that come and go."""
    samples.start_async(session, pause_s=PAUSE_S)
    samples.permute(session, 1, pause_s=PAUSE_S)
    samples.powercycle(session, boots=1, pause_s=PAUSE_S)


def test_the_watcher_of_event_from_ends_with_the_state_of_the_pool(
    lab: Lab, clients: Clients
) -> None:
    """Beginning with an empty token, the batches add up to every object as it is in the end."""
    session = clients.login(lab.url)
    watcher = Watcher(samples.watch_from(clients.login(lab.url), timeout_s=30.0))
    work(session)
    watcher.finish(lab, session)
    assert len(watcher.batches) > 1
    assert {event["operation"] for event in watcher.batches[0]} == {"add"}
    assert folded(watcher.events) == true_state(lab)


def test_the_watcher_of_event_next_hears_every_single_change(lab: Lab, clients: Clients) -> None:
    """Registered for `*`: what it heard is what happened, in this order, with these snapshots."""
    session = clients.login(lab.url)
    happened = lab.served.pool.truth.changes
    first, start = true_state(lab), lab.do(lambda: len(happened))
    watcher = Watcher(samples.watch_next(clients.login(lab.url)))
    work(session)
    watcher.finish(lab, session)
    heard = [
        (event["id"], event["class"], event["operation"], event["ref"], plain(event["snapshot"]))
        for event in watcher.events
    ]
    assert heard == [
        (str(it.event_id), it.cls, it.operation, it.ref, plain(json.loads(it.snapshot)))
        for it in lab.do(lambda: happened[start:])
        if it.event_id is not None
    ]
    assert folded(watcher.events, first) == true_state(lab)
