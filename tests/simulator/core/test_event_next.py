"""event.register and event.next: order, ids, subscriptions, loss, and how a call ends."""

import json

import pytest
import trio

from recorder.simulator.events import EventHub
from recorder.simulator.values import Fault, Value
from tests.simulator.core.support import a_database, triples

SESSION = "OpaqueRef:11111111-2222-4333-8444-555555555555"


async def test_next_returns_every_change_with_its_own_snapshot() -> None:
    """Three writes give three events, oldest first, each with the state right after it."""
    database = a_database()
    database.hub.register(SESSION, ["*"])
    vm = database.create("VM", {"name_label": "a"})
    for name in ("b", "c"):
        database.write("VM", vm, "name_label", name)
    events = await database.hub.next(SESSION)
    assert triples(events) == [(0, "vm", "add"), (1, "vm", "mod"), (2, "vm", "mod")]
    assert [event.record and event.record["name_label"] for event in events] == ["a", "b", "c"]


async def test_event_text_has_the_keys_and_forms_of_the_wire() -> None:
    """An event is JSON with a text id, a timestamp with a trailing dot and the snapshot last."""
    database = a_database()
    database.hub.register(SESSION, ["*"])
    message = database.create("message", {"name": "TEST", "uuid": "u"}, "OpaqueRef:m")
    (event,) = await database.hub.next(SESSION)
    assert event.json == (
        b'{"id":"0","timestamp":"1700000000.","class":"message","operation":"add",'
        b'"ref":"OpaqueRef:m","snapshot":{"uuid":"u","name":"TEST","priority":0,"cls":"VM",'
        b'"obj_uuid":"","timestamp":"19700101T00:00:00Z","body":""}}'
    )
    assert json.loads(event.json) == event.as_value()
    assert list(event.as_value()) == ["id", "timestamp", "class", "operation", "ref", "snapshot"]
    assert message == "OpaqueRef:m"


async def test_equal_value_makes_no_event_and_no_generation() -> None:
    """Writing what is there already changes nothing."""
    database = a_database()
    vm = database.create("VM", {"name_label": "a"})
    database.hub.register(SESSION, ["*"])
    before = database.hub.rows.generation
    database.write("VM", vm, "name_label", "a")
    assert database.hub.current_id() == 0
    assert database.hub.rows.generation == before


async def test_deletion_shows_the_last_state() -> None:
    """A del of event.next has a snapshot: the record just before."""
    database = a_database()
    vm = database.create("VM", {"name_label": "gone soon"})
    database.hub.register(SESSION, ["vm"])
    database.delete("VM", vm)
    (event,) = await database.hub.next(SESSION)
    assert event.operation == "del"
    assert event.record is not None
    assert event.record["name_label"] == "gone soon"


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["*"], ["vm", "network"]),
        (["VM"], ["vm"]),
        (["vM"], ["vm"]),
        (["network", "vm"], ["vm", "network"]),
        (["vm/OpaqueRef:mine"], ["vm"]),
        (["VM/OpaqueRef:mine", "VM/OpaqueRef:other"], ["vm"]),
    ],
)
async def test_class_strings_select_events(classes: list[str], expected: list[str]) -> None:
    """`*`, a class in any case and `class/ref` select what a session hears of."""
    database = a_database()
    database.hub.register(SESSION, classes)
    database.create("VM", {}, "OpaqueRef:mine")
    database.create("network", {})
    assert [event.cls for event in await database.hub.next(SESSION)] == expected


async def test_ids_advance_only_for_matched_events() -> None:
    """An id is used up only if some registered session wanted the event; all share the ids."""
    hub = (database := a_database()).hub
    database.create("VM", {})
    assert hub.current_id() == 0
    hub.register("OpaqueRef:networks", ["network"])
    database.create("VM", {})
    database.create("network", {})
    hub.register(SESSION, ["*"])
    database.create("VM", {})
    database.create("network", {})
    assert triples(await hub.next("OpaqueRef:networks")) == [
        (0, "network", "add"),
        (2, "network", "add"),
    ]
    assert triples(await hub.next(SESSION)) == [(1, "vm", "add"), (2, "network", "add")]
    assert hub.current_id() == 3


async def test_unregistered_session_is_told_its_trackid() -> None:
    """event.next without registration is SESSION_NOT_REGISTERED with the MD5 of the session."""
    with pytest.raises(Fault) as caught:
        await a_database().hub.next(SESSION)
    assert caught.value.code == "SESSION_NOT_REGISTERED"
    assert caught.value.params == ("trackid=7ff69148406aa1d9c6e9e83c5090960d",)


async def test_unregister_takes_only_the_same_string_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """`*` cannot be narrowed; after unregistering everything next blocks and is not an error."""
    database = a_database()
    hub = database.hub
    hub.register(SESSION, ["*"])
    hub.unregister(SESSION, ["vm"])
    database.create("VM", {})
    assert len(await hub.next(SESSION)) == 1
    hub.unregister(SESSION, ["*"])
    database.create("VM", {})
    with trio.move_on_after(1000) as waited:
        await hub.next(SESSION)
    assert waited.cancelled_caught


async def test_blocked_next_wakes_at_the_first_matching_event(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """next sleeps through what does not concern the session and never answers empty."""
    database = a_database()
    database.hub.register(SESSION, ["network"])
    database.hub.register("OpaqueRef:all", ["*"])

    async def change() -> None:
        await trio.sleep(5)
        database.create("VM", {})
        await trio.sleep(5)
        database.create("network", {})

    nursery.start_soon(change)
    assert triples(await database.hub.next(SESSION)) == [(1, "network", "add")]
    assert trio.current_time() == pytest.approx(10, abs=0.01)


async def test_forgotten_session_ends_its_blocked_calls(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Blocked next and from of a session that is dropped end with SESSION_INVALID [session]."""
    hub = a_database().hub
    hub.register(SESSION, ["*"])
    nursery.start_soon(_forget_later, hub)
    with pytest.raises(Fault) as caught:
        await hub.next(SESSION)
    assert (caught.value.code, caught.value.params) == ("SESSION_INVALID", (SESSION,))
    nursery.start_soon(_forget_later, hub)
    with pytest.raises(Fault) as caught:
        await hub.from_(SESSION, [], "", 500.0)
    assert (caught.value.code, caught.value.params) == ("SESSION_INVALID", (SESSION,))
    with pytest.raises(Fault, match="SESSION_NOT_REGISTERED"):
        await hub.next(SESSION)


async def test_calls_of_one_session_end_by_themselves(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A later call that returns earlier is not taken for the one that still waits."""
    hub = a_database().hub
    hub.register(SESSION, ["*"])

    async def ask() -> None:
        await trio.sleep(0.1)
        await hub.from_(SESSION, [], "", 0.0)

    nursery.start_soon(ask)
    nursery.start_soon(_forget_later, hub)
    with pytest.raises(Fault, match="SESSION_INVALID"):
        await hub.next(SESSION)


async def _forget_later(hub: EventHub) -> None:
    await trio.sleep(1)
    hub.forget_session(SESSION)


async def test_slow_reader_loses_events_once_and_goes_on() -> None:
    """Beyond the bound EVENTS_LOST comes once; the session stays and goes on from the head."""
    database = a_database(queue_bytes_max=10_000)
    hub = database.hub
    hub.register(SESSION, ["*"])
    vm = database.create("VM", {})
    for number in range(5):
        database.write("VM", vm, "name_label", str(number))
    with pytest.raises(Fault) as caught:
        await hub.next(SESSION)
    assert (caught.value.code, caught.value.params) == ("EVENTS_LOST", ())
    database.write("VM", vm, "name_label", "after")
    assert triples(await hub.next(SESSION)) == [(6, "vm", "mod")]


async def test_queue_is_bounded_by_the_bytes_of_the_events() -> None:
    """What fits into the bound exactly is kept; one byte less loses the oldest event."""
    fields: dict[str, Value] = {"name_label": "n", "uuid": "u"}
    sizes: list[int] = []
    for less in (0, 1):
        database = a_database(queue_bytes_max=sum(sizes) - less if sizes else 10**9)
        database.hub.register(SESSION, ["*"])
        for ref in ("OpaqueRef:1", "OpaqueRef:2"):
            database.create("network", fields, ref)
        if less:
            with pytest.raises(Fault, match="EVENTS_LOST"):
                await database.hub.next(SESSION)
        else:
            sizes = [len(event.json) for event in await database.hub.next(SESSION)]


async def test_heartbeat_is_a_mod_of_the_unchanged_pool() -> None:
    """The heartbeat wakes subscribers with a full snapshot and leaves event.from alone."""
    database = a_database()
    pool = database.create("pool", {"name_label": "p"})
    token = (await database.hub.from_(SESSION, ["pool"], "", 0.0)).token
    database.hub.register(SESSION, ["pool"])
    database.hub.heartbeat()
    (event,) = await database.hub.next(SESSION)
    assert (event.cls, event.operation, event.ref) == ("pool", "mod", pool)
    assert event.record == database.record("pool", pool)
    assert (await database.hub.from_(SESSION, ["pool"], token, 0.0)).events == []


async def test_restart_counts_from_zero_and_forgets_everybody() -> None:
    """After a restart of xapi ids begin at 0 and nobody is registered."""
    database = a_database()
    database.hub.register(SESSION, ["*"])
    database.create("VM", {})
    database.hub.restart()
    with pytest.raises(Fault, match="SESSION_NOT_REGISTERED"):
        await database.hub.next(SESSION)
    database.hub.register(SESSION, ["*"])
    database.create("VM", {})
    assert triples(await database.hub.next(SESSION)) == [(0, "vm", "add")]
