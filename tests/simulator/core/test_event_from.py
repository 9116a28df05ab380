"""event.from: coalescing, order, tokens, deletions, messages and counts."""

import pytest
import trio
import trio.testing

from recorder.simulator import messages
from recorder.simulator.datamodel import TABLES
from recorder.simulator.values import Fault
from tests.simulator.core.support import a_database, a_pool, triples

SESSION = "OpaqueRef:s"


async def test_empty_token_gives_everything_as_add() -> None:
    """A first call returns every object with its state of now, and no two events of one."""
    database = a_database()
    vm = database.create("VM", {"name_label": "a"})
    database.write("VM", vm, "name_label", "b")
    reply = await database.hub.from_(SESSION, ["*"], "", 0.0)
    (event,) = reply.events
    assert (event.operation, event.timestamp, event.id) == ("add", "0.0", 1)
    assert event.record is not None
    assert event.record["name_label"] == "b"
    assert reply.token == "00000000000000000002,00000000000000000000"


async def test_changes_are_coalesced_and_ordered_by_kind() -> None:
    """One event an object: adds, then mods, then dels without snapshot; ids are generations."""
    database = a_database()
    kept, gone = database.create("VM", {}), database.create("network", {})
    token = (await database.hub.from_(SESSION, ["*"], "", 0.0)).token
    database.delete("network", gone)
    for name in ("b", "c"):
        database.write("VM", kept, "name_label", name)
    database.create("SR", {})
    database.delete("VDI", database.create("VDI", {}))
    reply = await database.hub.from_(SESSION, ["*"], token, 0.0)
    assert triples(reply.events) == [(6, "sr", "add"), (5, "vm", "mod"), (3, "network", "del")]
    assert reply.events[2].record is None
    assert reply.events[2].json == (
        f'{{"id":"3","timestamp":"0.0","class":"network","operation":"del","ref":"{gone}"}}'.encode()
    )


async def test_two_ends_of_a_relation_share_a_generation() -> None:
    """One write that changes two rows gives two events with the same id."""
    database = a_database()
    network = database.create("network", {})
    token = (await database.hub.from_(SESSION, ["*"], "", 0.0)).token
    database.create("VIF", {"network": network})
    events = (await database.hub.from_(SESSION, ["*"], token, 0.0)).events
    assert triples(events) == [(2, "vif", "add"), (2, "network", "mod")]


async def test_token_is_the_newest_match_of_the_subscription() -> None:
    """Tokens of different class lists differ: each names the newest row that matched."""
    database = a_database()
    database.create("network", {})
    database.create("VM", {})
    tokens = [
        (await database.hub.from_(SESSION, classes, "", 0.0)).token
        for classes in (["network"], ["*"], ["nonsense"], [])
    ]
    assert [int(token.split(",")[0]) for token in tokens] == [1, 2, 0, 0]


@pytest.mark.parametrize(
    "token", ["garbage", "1", "1,2,3", "1,x", "1 ,2", "12345678901234567890123,1"]
)
async def test_bad_token_is_refused(token: str) -> None:
    """Anything but two numbers is EVENT_FROM_TOKEN_PARSE_FAILURE [token]."""
    with pytest.raises(Fault) as caught:
        await a_database().hub.from_(SESSION, ["*"], token, 0.0)
    assert caught.value.code == "EVENT_FROM_TOKEN_PARSE_FAILURE"
    assert caught.value.params == (token,)


async def test_future_token_comes_back_unchanged(autojump_clock: trio.testing.MockClock) -> None:
    """After a roll-back a kept token is in the future: no events, no error, the same token."""
    database = a_database()
    database.create("VM", {})
    token = "00000000000000099999,00000000000000000000"
    reply = await database.hub.from_(SESSION, ["*"], token, 30.0)
    assert (list(reply.events), reply.token) == ([], token)


@pytest.mark.parametrize(
    ("timeout_s", "waited_s"), [(30.0, 30), (-1.0, 0), (1e300, 86400), (float("nan"), 86400)]
)
async def test_timeout_ends_without_events(
    autojump_clock: trio.testing.MockClock, timeout_s: float, waited_s: float
) -> None:
    """A call without changes ends after its timeout, after a day if that is no sensible number."""
    reply = await a_database().hub.from_(SESSION, ["*"], "", timeout_s)
    assert list(reply.events) == []
    assert trio.current_time() == pytest.approx(waited_s, abs=0.01)


async def test_blocked_call_wakes_with_the_change(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A blocked call answers at the moment of the first matching change."""
    database = a_database()

    async def change() -> None:
        await trio.sleep(3)
        database.create("network", {})
        await trio.sleep(3)
        database.create("VM", {})

    nursery.start_soon(change)
    reply = await database.hub.from_(SESSION, ["VM"], "", 60.0)
    assert [event.cls for event in reply.events] == ["vm"]
    assert trio.current_time() == pytest.approx(6, abs=0.01)


async def test_old_deletions_are_forgotten_silently() -> None:
    """Only the newest deletions of a class are remembered; the rest never appears."""
    database = a_database()
    vdis = [database.create("VDI", {}) for _ in range(600)]
    token = (await database.hub.from_(SESSION, ["vdi"], "", 0.0)).token
    for vdi in vdis:
        database.delete("VDI", vdi)
    reply = await database.hub.from_(SESSION, ["vdi"], token, 0.0)
    assert len(reply.events) == 257 + (600 - 512)
    assert reply.valid_ref_counts["vdi"] == 0


async def test_messages_have_their_own_half_of_the_token() -> None:
    """Messages are add with snapshot and del without, id 0, first in the reply, never counted."""
    database = a_database()
    first = database.create("message", {"name": "A"})
    database.create("VM", {})
    reply = await database.hub.from_(SESSION, ["*"], "", 0.0)
    assert triples(reply.events) == [(0, "message", "add"), (2, "vm", "add")]
    assert reply.token == "00000000000000000002,00000000000000000001"
    assert reply.valid_ref_counts["message"] == 0
    database.delete("message", first)
    database.create("message", {"name": "B"})
    reply = await database.hub.from_(SESSION, ["message"], reply.token, 0.0)
    assert triples(reply.events) == [(0, "message", "del"), (0, "message", "add")]
    assert reply.events[0].record is None


async def test_counts_cover_all_tables_in_wire_order() -> None:
    """valid_ref_counts has all 71 tables, whatever was asked for."""
    database = a_database()
    database.other_counts["session"] = 4
    database.create("VM", {})
    reply = await database.hub.from_(SESSION, [], "", 0.0)
    counts = reply.valid_ref_counts
    assert (len(TABLES), list(counts)) == (71, list(TABLES))
    assert (counts["vm"], counts["session"], counts["host"]) == (1, 4, 0)


async def test_inject_gives_a_token_from_before_the_touch() -> None:
    """inject makes a mod in both streams; its token is lower than any that includes it."""
    database = a_database()
    vm = database.create("VM", {})
    database.hub.register(SESSION, ["*"])
    token = database.hub.inject("VM", vm)
    reply = await database.hub.from_(SESSION, ["VM"], token, 0.0)
    assert [(event.operation, event.ref) for event in reply.events] == [("mod", vm)]
    assert token < reply.token
    assert triples(await database.hub.next(SESSION)) == [(0, "vm", "mod")]


@pytest.mark.parametrize(("cls", "ref"), [("vm", "OpaqueRef:x"), ("VM", "OpaqueRef:nobody")])
async def test_inject_knows_exact_names_only(cls: str, ref: str) -> None:
    """A class in another case or an unknown reference is HANDLE_INVALID [class, ref]."""
    with pytest.raises(Fault) as caught:
        a_database().hub.inject(cls, ref)
    assert (caught.value.code, caught.value.params) == ("HANDLE_INVALID", (cls, ref))


async def test_restart_makes_all_rows_look_new_to_an_old_token() -> None:
    """After a restart every object is an add to a token from before, and tasks leave no del."""
    pool = a_pool()
    pool.database.create("task", {})
    token = (await pool.hub.from_(SESSION, ["*"], "", 0.0)).token
    pool.restart_toolstack()
    events = (await pool.hub.from_(SESSION, ["*"], token, 0.0)).events
    assert {event.operation for event in events} == {"add"}
    assert sum(event.cls == "vm" for event in events) == len(pool.database.refs("VM"))
    assert "task" not in {event.cls for event in events}


async def test_there_are_only_so_many_messages() -> None:
    """Collection deletes the oldest messages above the limit of xapi, and keeps the others."""
    database = a_database()
    made = [database.create("message", {"name": str(number)}) for number in range(10_003)]
    messages.trim(database)
    assert database.refs("message") == made[3:]


@pytest.mark.parametrize("listens", ["next", "from"])
async def test_a_call_ends_with_its_session_when_it_has_hardly_begun(
    listens: str, autojump_clock: trio.testing.MockClock
) -> None:
    """A session that goes between the check of a call and its waiting ends it, too."""
    hub = a_database().hub

    async def call(begun: trio.Event) -> None:
        begun.set()
        with pytest.raises(Fault, match="SESSION_INVALID"), trio.fail_after(30.0):
            await (hub.next(SESSION) if listens == "next" else hub.from_(SESSION, ["*"], "", 60.0))

    for _round in range(20):  # Trio draws which of two tasks goes on first: each has its turns.
        hub.register(SESSION, ["*"])
        begun = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, begun)
            await begun.wait()
            hub.forget_session(SESSION)
