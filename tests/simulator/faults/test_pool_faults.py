"""What clients see when something happens to the whole pool, by time, by a call, or by hand."""

import json

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.faults.effects import Crash, Failover
from recorder.simulator.faults.poolwide import Misfire
from recorder.simulator.values import Record
from tests.simulator.faults.support import (
    LAST,
    MASTER,
    MEMBER,
    Client,
    Cut,
    Hung,
    Refused,
    Stage,
    a_stage,
    is_live,
)


async def _generation(client: Client, stage: Stage) -> int:
    token = await client.do("event.inject", "pool", stage.pool.pool_ref)
    return int(str(token).partition(",")[0])


async def test_all_sessions_expire_at_their_time(autojump_clock: MockClock) -> None:
    """A blocked event.next ends with SESSION_INVALID at that instant."""
    async with a_stage({"at_s": 12, "effect": "expire_sessions"}) as stage:
        client = await stage.login()
        await client.do("event.register", ["sr"])
        begun_s = trio.current_time()
        with pytest.raises(Refused, match="SESSION_INVALID"):
            await client.do("event.next")
        assert trio.current_time() - begun_s == pytest.approx(12)


async def test_a_timed_rule_repeats_until_its_count(autojump_clock: MockClock) -> None:
    """`every_s` winds the rule up again, `count` ends it."""
    async with a_stage({"every_s": 10, "count": 3, "effect": "clock_jump", "by_s": 100}) as stage:
        await trio.sleep(15)
        assert stage.pool.clock.offset_s == 100
        await trio.sleep(1000)
        assert stage.pool.clock.offset_s == 300


async def test_the_toolstack_restarts(autojump_clock: MockClock) -> None:
    """Connections are cut, the session is gone, the objects are the same; ids begin at 0."""
    async with a_stage({"at_s": 5, "effect": "restart", "down_s": 20}) as stage:
        client = await stage.login()
        await client.do("event.register", ["*"])
        await client.do("pool.set_name_description", stage.pool.pool_ref, "new")
        await client.do("event.next")
        with pytest.raises(Cut):
            await client.do("event.next")
        with pytest.raises(Cut):
            await stage.login()
        await trio.sleep(20)
        again = await stage.login()
        assert await again.do("event.get_current_id") == 0
        assert stage.description() == "new"


async def test_a_restart_may_befall_a_call(autojump_clock: MockClock) -> None:
    """After the call was carried out: its reply is lost with the connection."""
    rule = {"match": "pool.set_name_description", "effect": "restart", "moment": "after"}
    async with a_stage(rule) as stage:
        client = await stage.login()
        with pytest.raises(Cut):
            await client.do("pool.set_name_description", stage.pool.pool_ref, "new")
        assert stage.description() == "new"


async def test_a_restart_before_a_call_prevents_it(autojump_clock: MockClock) -> None:
    """The other moment: the call was never carried out."""
    rule = {"match": "pool.set_name_description", "effect": "restart"}
    async with a_stage(rule) as stage:
        client = await stage.login()
        with pytest.raises(Cut):
            await client.do("pool.set_name_description", stage.pool.pool_ref, "new")
        assert stage.description() == ""


async def test_a_crash_rolls_the_database_back(autojump_clock: MockClock) -> None:
    """Changes since the last flush are undone without an event, and the generation is lower."""
    async with a_stage({"at_s": 90, "effect": "crash", "flush_s": 60}) as stage:
        client = await stage.login()
        await client.do("pool.set_name_description", stage.pool.pool_ref, "flushed")
        await trio.sleep(70)
        await client.do("pool.set_name_description", stage.pool.pool_ref, "lost")
        await client.do("VM.start", stage.halted(), False, False)
        task = await client.do("task.create", "mine", "")
        before = await _generation(client, stage)
        await trio.sleep(25)
        again = await stage.login()
        assert stage.description() == "flushed"
        assert await _generation(again, stage) < before
        with pytest.raises(Refused, match="HANDLE_INVALID"):
            await again.do("task.get_record", task)


async def test_the_truth_knows_what_went_back_in_time(autojump_clock: MockClock) -> None:
    """After a crash in the middle of operations, the truth ends in what the server shows."""
    async with a_stage(vms=6) as stage:
        client = await stage.login()
        stage.rules({"at_s": 30, "effect": "crash", "flush_s": 1000})
        vms = [stage.halted()]
        clone = await client.do("VM.clone", vms[0], "a copy")
        await client.do("Async.VM.start", vms[0], False, False)
        await client.do("network.set_name_label", stage.pool.database.refs("network")[0], "n")
        await trio.sleep(40)
        assert not stage.pool.database.exists("VM", str(clone))
        truth = stage.pool.truth.state_at(len(stage.pool.truth.changes))
        shown = {
            (cls.lower(), ref): row.json
            for cls, table in stage.pool.hub.rows.tables.items()
            for ref, row in table.rows.items()
            if (cls.lower(), ref) in truth
        }
        assert shown == dict(truth)
        assert stage.pool.database.record("VM", vms[0])["current_operations"] == {}


async def test_an_old_token_shows_nothing_after_a_crash(autojump_clock: MockClock) -> None:
    """The hazard itself: no error, no event and the same token, although values went back."""
    async with a_stage() as stage:
        client = await stage.login()
        stage.rules({"at_s": 30, "effect": "crash"})
        for number in range(100):
            await client.do("pool.set_name_description", stage.pool.pool_ref, str(number))
        token = (await client.do("event.from", ["*"], "", 1.0))["token"]
        await trio.sleep(40)
        again = await stage.login()
        await again.do("pool.set_name_description", stage.pool.pool_ref, "after")
        reply = await again.do("event.from", ["pool"], token, 1.0)
        assert (reply["events"], reply["token"]) == ([], token)


async def test_a_planned_failover_moves_the_master(autojump_clock: MockClock) -> None:
    """All hosts boot for a while; then the new master answers and the old one names it."""
    rule = {"at_s": 10, "effect": "failover", "takeover_s": 30}
    async with a_stage(rule) as stage:
        client = await stage.login()
        await client.do("event.register", ["sr"])
        with pytest.raises(Cut):
            await client.do("event.next")
        for address in (MASTER, MEMBER, LAST):
            with pytest.raises(Refused, match="HOST_STILL_BOOTING"):
                await stage.login(address)
        await trio.sleep(30)
        new = await stage.login(MEMBER)
        with pytest.raises(Refused) as refused:
            await stage.login(MASTER)
        assert refused.value.args == ("HOST_IS_SLAVE", MEMBER)
        messages = await new.do("message.get_all_records")
        assert [message["name"] for message in messages.values()] == ["POOL_MASTER_TRANSITION"]


async def test_an_unplanned_failover_leaves_a_dead_master(autojump_clock: MockClock) -> None:
    """The old master says nothing at all, its VMs are halted; later it is a member again."""
    rule = {
        "at_s": 10,
        "effect": "failover",
        "planned": False,
        "target": "host-3",
        "takeover_s": 20,
        "down_s": 500,
    }
    async with a_stage(rule, vms=8) as stage:
        client = await stage.login()
        await client.do("event.register", ["sr"])
        dead = stage.pool.master
        with trio.move_on_after(15):
            await client.do("event.next")
        assert stage.front.dead() == [MASTER]
        with pytest.raises(Refused, match="HOST_STILL_BOOTING"):
            await stage.login(LAST)
        await trio.sleep(20)
        new = await stage.login(LAST)
        vms: dict[str, Record] = await new.do("VM.get_all_records")
        guests = [vm for vm in vms.values() if vm["is_control_domain"] is False]
        assert [vm for vm in guests if vm["resident_on"] == dead] == []
        assert is_live(stage, 0) is False
        with pytest.raises(Hung):
            await stage.connect(MASTER).reply(within_s=50)
        await trio.sleep(500)
        with pytest.raises(Refused, match="HOST_IS_SLAVE"):
            await stage.login(MASTER)
        assert is_live(stage, 0) is True


async def test_a_failover_may_roll_back(autojump_clock: MockClock) -> None:
    """A new master without a redo log has what was last copied to it."""
    rule = {"at_s": 30, "effect": "failover", "planned": False, "rollback": True}
    async with a_stage(rule) as stage:
        client = await stage.login()
        await client.do("pool.set_name_description", stage.pool.pool_ref, "lost")
        await trio.sleep(40)
        await stage.login(MEMBER)
        assert stage.description() == ""


async def test_an_ejected_host_becomes_a_pool_of_its_own(autojump_clock: MockClock) -> None:
    """Its rows are gone; at its address another pool takes the same password."""
    async with a_stage({"at_s": 5, "effect": "host_ejected", "down_s": 30}) as stage:
        ejected = stage.pool.hosts[2].ref
        uuid = stage.pool.database.record("pool", stage.pool.pool_ref)["uuid"]
        await trio.sleep(10)
        client = await stage.login()
        hosts = await client.do("host.get_all")
        assert ejected not in hosts
        assert len(hosts) == 2
        pbds: dict[str, Record] = await client.do("PBD.get_all_records")
        assert all(pbd["host"] != ejected for pbd in pbds.values())
        with pytest.raises(Cut):
            await stage.login(LAST)
        await trio.sleep(30)
        stranger = await stage.login(LAST)
        (pool,) = (await stranger.do("pool.get_all_records")).values()
        assert pool["uuid"] != uuid


async def test_every_reference_holds_after_an_ejection(autojump_clock: MockClock) -> None:
    """No object of the pool names the host that is gone."""
    async with a_stage({"at_s": 5, "effect": "host_ejected"}, vms=12) as stage:
        ejected = stage.pool.hosts[2].ref
        await trio.sleep(10)
        holders = [
            cls
            for cls, table in stage.pool.hub.rows.tables.items()
            for row in table.rows.values()
            if cls != "message" and ejected.encode() in row.json
        ]
        assert holders == []


async def test_a_host_answers_with_an_emergency(autojump_clock: MockClock) -> None:
    """To everything, for as long as the rule says."""
    rule = {
        "at_s": 5,
        "effect": "emergency",
        "code": "HOST_UNKNOWN_TO_MASTER",
        "params": ["x"],
        "target": MEMBER,
        "lasts_s": 60,
    }
    async with a_stage(rule) as stage:
        await trio.sleep(10)
        with pytest.raises(Refused) as refused:
            await stage.login(MEMBER)
        assert refused.value.args == ("HOST_UNKNOWN_TO_MASTER", "x")
        await stage.login()
        await trio.sleep(60)
        with pytest.raises(Refused, match="HOST_IS_SLAVE"):
            await stage.login(MEMBER)


async def test_every_host_names_another_as_the_master(autojump_clock: MockClock) -> None:
    """Whoever follows goes in a circle."""
    async with a_stage({"at_s": 1, "effect": "slave_loop", "lasts_s": 60}) as stage:
        await trio.sleep(2)
        address, seen = MASTER, []
        for _ in range(4):
            with pytest.raises(Refused) as refused:
                await stage.login(address)
            assert refused.value.args[0] == "HOST_IS_SLAVE"
            seen.append(address := refused.value.args[1])
        assert seen == [MEMBER, LAST, MASTER, MEMBER]
        await trio.sleep(60)
        await stage.login()


async def test_hosts_may_name_a_master_elsewhere(autojump_clock: MockClock) -> None:
    """A trap for credentials."""
    async with a_stage({"at_s": 0, "effect": "slave_loop", "to": "203.0.113.9"}) as stage:
        await trio.sleep(1)
        with pytest.raises(Refused) as refused:
            await stage.login()
        assert refused.value.args == ("HOST_IS_SLAVE", "203.0.113.9")


@pytest.mark.parametrize(
    "rule", [{"effect": "flood", "events": 4000}, {"effect": "events_lost"}], ids=str
)
async def test_events_are_lost(autojump_clock: MockClock, rule: dict[str, object]) -> None:
    """By a flood or directly, the next event.next says so, and the one after goes on."""
    async with a_stage({"at_s": 5, **rule}) as stage:
        client = await stage.login()
        await client.do("event.register", ["*"])
        await trio.sleep(6)
        with pytest.raises(Refused, match="EVENTS_LOST"):
            await client.do("event.next")
        (event,) = await client.do("event.next")
        assert event["class"] == "pool"


async def test_heartbeats_stop_for_a_while(autojump_clock: MockClock) -> None:
    """A subscriber that hears of nothing else is not woken."""
    async with a_stage({"at_s": 5, "effect": "stop_heartbeats", "lasts_s": 200}) as stage:
        client = await stage.login()
        await client.do("event.register", ["*"])
        begun_s = trio.current_time()
        await client.do("event.next")
        assert 205 < trio.current_time() - begun_s <= 240


async def test_the_clock_of_the_server_jumps(autojump_clock: MockClock) -> None:
    """Back by an hour: its time, and the stamps of events."""
    async with a_stage({"at_s": 5, "effect": "clock_jump", "by_s": -3600}) as stage:
        client = await stage.login()
        host = stage.pool.hosts[0].ref
        before = await client.do("host.get_servertime", host)
        await client.do("event.register", ["pool"])
        await trio.sleep(6)
        assert await client.do("host.get_servertime", host) < before
        await client.do("pool.set_name_description", stage.pool.pool_ref, "new")
        (event,) = await client.do("event.next")
        assert float(event["timestamp"]) < 1_795_452_672 - 3000


async def test_silence_holds_all_replies_back(autojump_clock: MockClock) -> None:
    """Until it is over."""
    async with a_stage({"at_s": 5, "effect": "silence", "lasts_s": 100}) as stage:
        client = await stage.login()
        await trio.sleep(6)
        begun_s = trio.current_time()
        await client.do("VM.get_all")
        assert trio.current_time() - begun_s == pytest.approx(99)


async def test_all_connections_are_cut(autojump_clock: MockClock) -> None:
    """The session is still there."""
    async with a_stage({"at_s": 5, "effect": "drop_connections"}) as stage:
        client = await stage.login()
        await trio.sleep(6)
        with pytest.raises((Cut, trio.BrokenResourceError)):
            await client.do("VM.get_all")
        other = stage.connect()
        other.session = client.session
        assert await other.do("VM.get_all")


async def test_what_cannot_happen_is_noted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule that misfires says why, in the log and in the list; nothing else comes of it."""
    leaves = {"at_s": 1, "effect": "host_ejected", "target": "host-3"}
    dies = {"name": "late", "at_s": 2, "effect": "host_death", "target": "host-3"}
    async with a_stage(leaves, dies) as stage:
        await trio.sleep(3)
        entry = list(stage.front.faults.ledger)[1]
        reason = "there is no host host-3; known: 192.0.2.11, 192.0.2.12, host-1, host-2"
        assert entry.tally.misfired == reason
        assert caplog.messages == [f"fault_misfired rule=late reason={reason}"]


async def test_a_lone_host_has_no_failover(autojump_clock: MockClock) -> None:
    """Nor does a database roll back that was never flushed: acting by hand flushes it first."""
    async with a_stage(hosts=1) as stage:
        with pytest.raises(Misfire, match="no other host"):
            stage.front.faults.act(Failover())
        stage.front.faults.act(Crash())
        assert json.dumps(stage.description()) == '""'
