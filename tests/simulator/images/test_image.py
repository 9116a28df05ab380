"""Pools that are served from an image: what is as it was, and what the simulator adds."""

import pytest
import trio

from recorder.simulator.dump import read_dump
from recorder.simulator.image import PoolImage
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.tls import self_signed
from recorder.simulator.values import NULL_REF, Record
from tests.simulator.images.recorded import DUMPS, NOW_S

MASTER, MEMBER = "OpaqueRef:b-master", "OpaqueRef:a-member"
HOSTS: dict[str, Record] = {
    MASTER: {"uuid": "m", "address": "10.0.0.1", "enabled": True},
    MEMBER: {"uuid": "s", "address": "10.0.0.2", "enabled": True},
}


def _image(**tables: dict[str, Record]) -> PoolImage:
    pool: Record = {"uuid": "p", "name_label": "Lab", "master": MASTER}
    return PoolImage.of({"pool": {"OpaqueRef:p": pool}, "host": HOSTS, **tables}, source="here")


def _pool(image: PoolImage, *, rewrites_addresses: bool = False) -> SimulatedPool:
    spec = PoolSpec(
        image=image,
        speed=0.0,
        addresses=("127.0.0.1", "127.0.0.2"),
        rewrites_addresses=rewrites_addresses,
    )
    return SimulatedPool.build(spec, now_s=lambda: NOW_S)


def test_master_comes_first() -> None:
    """It is found at the first address, whatever its reference."""
    hosts = _pool(_image()).hosts
    assert [(host.ref, host.address) for host in hosts] == [
        (MASTER, "127.0.0.1"),
        (MEMBER, "127.0.0.2"),
    ]


@pytest.mark.parametrize(("label", "name"), [("", "pool-1"), ("x" * 100, "x" * 64)])
def test_any_pool_can_be_announced(label: str, name: str) -> None:
    """Pools of one host have no name; a long one would not fit into the certificate."""
    pool: Record = {"name_label": label, "master": MASTER}
    tables = {"pool": {"OpaqueRef:p": pool}, "host": HOSTS}
    image = PoolImage.of(tables, source="pool.xml")
    assert image.name == name
    assert self_signed(image.name, seed=1, addresses=["127.0.0.1"]).fingerprint


def test_hosts_keep_their_addresses() -> None:
    """Records are as they were; only HOST_IS_SLAVE tells where the simulator answers."""
    database = _pool(_image()).database
    assert database.record("host", MASTER)["address"] == "10.0.0.1"


def test_addresses_are_rewritten_on_request() -> None:
    """Hosts and their management interfaces then tell addresses on loopback."""
    pifs: dict[str, Record] = {
        "OpaqueRef:1": {"host": MASTER, "management": True, "IP": "10.0.0.1"},
        "OpaqueRef:2": {"host": MASTER, "management": False, "IP": "10.9.0.1"},
        "OpaqueRef:3": {"host": MEMBER, "management": True, "IP": "10.0.0.2"},
    }
    database = _pool(_image(PIF=pifs), rewrites_addresses=True).database
    assert database.record("host", MEMBER)["address"] == "127.0.0.2"
    ips = {ref: database.record("PIF", ref)["IP"] for ref in pifs}
    assert list(ips.values()) == ["127.0.0.1", "10.9.0.1", "127.0.0.2"]


def test_unknown_fields_follow_the_known_ones() -> None:
    """A field that the data model lacks is served after the others, and can't break anything."""
    vms: dict[str, Record] = {"OpaqueRef:v": {"colour": "blue", "name_label": "web"}}
    record = _pool(_image(VM=vms)).database.record("VM", "OpaqueRef:v")
    assert list(record)[-1] == "colour"
    assert record["colour"] == "blue"


def test_sets_are_those_of_the_other_side() -> None:
    """A set that an image tells otherwise is corrected; the order of a right one stays."""
    vms: dict[str, Record] = {
        "OpaqueRef:v": {"VBDs": ["OpaqueRef:1", "OpaqueRef:3", "OpaqueRef:2"]},
        "OpaqueRef:w": {"VBDs": ["OpaqueRef:gone", "OpaqueRef:4"]},
    }
    vbds: dict[str, Record] = {
        f"OpaqueRef:{number}": {"VM": "OpaqueRef:v" if number < 4 else "OpaqueRef:w"}
        for number in range(1, 6)
    }
    database = _pool(_image(VM=vms, VBD=vbds)).database
    assert database.record("VM", "OpaqueRef:v")["VBDs"] == vms["OpaqueRef:v"]["VBDs"]
    assert database.record("VM", "OpaqueRef:w")["VBDs"] == ["OpaqueRef:5", "OpaqueRef:4"]


def test_running_vms_stay_running() -> None:
    """What happened to the server that the image is from did not happen to its VMs."""
    vms: dict[str, Record] = {
        "OpaqueRef:v": {
            "power_state": "Running",
            "resident_on": MEMBER,
            "scheduled_to_be_resident_on": MASTER,
        }
    }
    database = _pool(_image(VM=vms)).database
    record = database.record("VM", "OpaqueRef:v")
    assert (record["power_state"], record["resident_on"]) == ("Running", MEMBER)
    assert record["scheduled_to_be_resident_on"] == NULL_REF
    assert database.record("host", MEMBER)["resident_VMs"] == ["OpaqueRef:v"]


def test_metrics_that_are_missing_are_made() -> None:
    """Without them neither host nor VM could live; the image may have been cut short."""
    vms: dict[str, Record] = {"OpaqueRef:v": {"metrics": "OpaqueRef:lost"}}
    database = _pool(_image(VM=vms)).database
    assert database.exists("VM_metrics", str(database.record("VM", "OpaqueRef:v")["metrics"]))
    assert database.exists("host_metrics", str(database.record("host", MASTER)["metrics"]))


def test_messages_of_an_image_are_older_than_new_ones() -> None:
    """A client that has seen the old messages hears of the next."""
    messages: dict[str, Record] = {
        f"OpaqueRef:{number}": {"name": "ALARM", "obj_uuid": "m"} for number in range(5)
    }
    database = _pool(_image(message=messages)).database
    newest = max(database.row("message", ref).created for ref in messages)
    new = database.create("message", {"name": "LATER"})
    assert database.row("message", new).created > newest


async def test_a_real_pool_lives(autojump_clock: trio.testing.MockClock) -> None:
    """A VM of a dump stops and starts; the events of it begin after the dump's generation."""
    pool = SimulatedPool.build(
        PoolSpec(image=read_dump(DUMPS / "pool.xml").image), now_s=lambda: NOW_S
    )
    before = await pool.hub.from_("OpaqueRef:asker", ["*"], "", 0.0)
    vm = next(
        ref
        for ref in pool.database.find("VM", "power_state", "Running")
        if not pool.database.record("VM", ref)["is_control_domain"]
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        await pool.call_operation(NULL_REF, "VM.hard_shutdown", [vm])
        assert pool.database.record("VM", vm)["power_state"] == "Halted"
        await pool.call_operation(NULL_REF, "VM.start", [vm, False, False])
        nursery.cancel_scope.cancel()
    after = await pool.hub.from_("OpaqueRef:asker", ["*"], before.token, 0.0)
    assert vm in {event.ref for event in after.events}
    assert all(event.id > 6880 for event in after.events if event.cls != "message")
