"""SRs, PBDs and disks: what calls do, in which order it is told, and what they refuse."""

import pytest
import trio

from recorder.simulator.plugins import PLUGINS
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Value, int_of, text_of, texts_of
from tests.simulator.core.rooms import (
    END,
    GIB,
    a_disk,
    a_furnished_pool,
    call,
    disk_of,
    fault_of,
    first_of,
    made,
    named,
    offers,
    record,
    shared_sr,
    sr_args,
    told,
)
from tests.simulator.core.support import vm_named

LVM: dict[str, Value] = {"device": "/dev/sdb"}
HOLD_SR = ["sr current_operations", "sr allowed_operations"]


@pytest.fixture
async def pool(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> SimulatedPool:
    pool = a_furnished_pool()
    await nursery.start(pool.run)
    return pool


async def _local_sr(pool: SimulatedPool, kind: str = "lvm", **config: Value) -> str:
    given = config or LVM
    return await made(pool, "SR.create", *sr_args(pool.hosts[0].ref, kind, given, shared=False))


async def _unplug_all(pool: SimulatedPool, sr: str) -> None:
    for pbd in texts_of(record(pool, "SR", sr), "PBDs"):
        await call(pool, "PBD.unplug", pbd)


async def test_shared_sr_is_plugged_on_every_host(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """SR.create makes a PBD for each host, the master's first, and plugs them in own tasks."""
    config: dict[str, Value] = {"server": "192.0.2.9", "serverpath": "/x"}
    sr = await made(pool, "SR.create", *sr_args(pool.hosts[1].ref, "NFS", config, shared=True))
    its = record(pool, "SR", sr)
    pbds = [record(pool, "PBD", pbd) for pbd in texts_of(its, "PBDs")]
    assert {pbd["host"] for pbd in pbds} == {host.ref for host in pool.hosts}
    assert all(pbd["currently_attached"] is True for pbd in pbds)
    assert (its["type"], its["physical_utilisation"]) == ("nfs", 0)
    assert int_of(its, "physical_size") > 0
    tasks = pool.database.find("task", "name_label", "Async.PBD.plug")
    assert len(tasks) == len(pool.hosts)


async def test_sr_offers_what_its_plugin_can(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The operations come in the order of the real server."""
    sr = await _local_sr(pool)
    assert offers(pool, "SR", sr) == [
        "vdi_enable_cbt",
        "vdi_list_changed_blocks",
        "unplug",
        "plug",
        "pbd_create",
        "vdi_disable_cbt",
        "update",
        "pbd_destroy",
        "vdi_resize",
        "vdi_resize_online",
        "vdi_clone",
        "vdi_data_destroy",
        "scan",
        "vdi_snapshot",
        "vdi_mirror",
        "vdi_create",
        "vdi_destroy",
        "vdi_set_on_boot",
    ]
    await _unplug_all(pool, sr)
    assert {"destroy", "forget"} <= set(offers(pool, "SR", sr))


@pytest.mark.parametrize(
    ("kind", "config", "fault"),
    [
        ("floppy", {}, ["SR_UNKNOWN_DRIVER", "floppy"]),
        (
            "lvm",
            {},
            ["SR_BACKEND_FAILURE_90", "", "The request is missing the device parameter", ""],
        ),
        (
            "nfs",
            {"server": "x"},
            ["SR_BACKEND_FAILURE_101", "", "The request is missing the serverpath parameter", ""],
        ),
    ],
)
async def test_sr_that_cannot_be_made_leaves_nothing(
    pool: SimulatedPool,
    autojump_clock: trio.testing.MockClock,
    kind: str,
    config: dict[str, Value],
    fault: list[str],
) -> None:
    """The row and its PBDs are there for a moment, and go again."""
    before = pool.database.refs("SR"), pool.database.refs("PBD")
    args = sr_args(pool.hosts[0].ref, kind, config, shared=True)
    assert await fault_of(pool, "SR.create", *args) == fault
    assert (pool.database.refs("SR"), pool.database.refs("PBD")) == before


async def test_sr_is_destroyed_only_when_empty_and_unplugged(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """First its PBDs must be unplugged, then its disks gone; without PBDs it cannot be."""
    sr = await _local_sr(pool)
    vdi = await made(pool, "VDI.create", a_disk(sr))
    assert await fault_of(pool, "SR.destroy", sr) == ["SR_HAS_PBD", sr]
    assert await fault_of(pool, "SR.forget", sr) == ["SR_HAS_PBD", sr]
    await _unplug_all(pool, sr)
    assert await fault_of(pool, "SR.destroy", sr) == ["SR_NOT_EMPTY"]
    await call(pool, "VDI.forget", vdi)
    pool.database.write("SR", sr, "other_config", {"indestructible": "true"})
    assert await fault_of(pool, "SR.destroy", sr) == ["SR_INDESTRUCTIBLE", sr]
    pool.database.write("SR", sr, "other_config", {})
    pool.database.write("host", pool.hosts[0].ref, "local_cache_sr", sr)
    assert await fault_of(pool, "SR.destroy", sr) == ["SR_IS_CACHE_SR", pool.hosts[0].ref]
    pool.database.write("host", pool.hosts[0].ref, "local_cache_sr", NULL_REF)
    (pbd,) = texts_of(record(pool, "SR", sr), "PBDs")
    await call(pool, "SR.destroy", sr)
    assert not pool.database.exists("SR", sr)
    assert not pool.database.exists("PBD", pbd)


async def test_introduced_sr_has_nothing_but_a_row(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Without PBDs nothing can be done to it but forget it; it is forgotten with all it has."""
    uuid = "12345678-1234-4234-8234-123456789abc"
    args: list[Value] = [uuid, "new", "", "lvm", "user", False, {}]
    sr = await made(pool, "SR.introduce", *args)
    assert await fault_of(pool, "SR.introduce", *args) == ["SR_UUID_EXISTS", uuid]
    assert await fault_of(pool, "SR.destroy", sr) == ["SR_HAS_NO_PBDS", sr]
    assert await fault_of(pool, "SR.scan", sr) == ["SR_HAS_NO_PBDS", sr]
    assert await fault_of(pool, "VDI.create", a_disk(sr)) == ["SR_HAS_NO_PBDS", sr]
    assert await fault_of(pool, "SR.set_name_label", sr, "x") == ["SR_HAS_NO_PBDS", sr]
    await call(pool, "SR.forget", sr)
    assert not pool.database.exists("SR", sr)


async def test_scan_holds_the_sr_while_it_lasts(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing else changes when nothing is found."""
    assert await told(pool, "SR.scan", shared_sr(pool)) == [
        "task add SR.scan",
        "task allowed_operations",
        *HOLD_SR,
        *HOLD_SR,
        "task allowed_operations",
        *END,
        "task del",
    ]


async def test_second_operation_waits_for_the_first(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Two disks that are made at once in an SR are made one after the other."""
    sr = shared_sr(pool)
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(call, pool, "VDI.create", a_disk(sr))
    assert trio.current_time() - begun >= 2.0


async def test_pbd_plug_and_unplug_are_told(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The SR is held, the PBD changes, and then disks offer what is possible now."""
    sr = await _local_sr(pool)
    vdi = await made(pool, "VDI.create", a_disk(sr))
    (pbd,) = texts_of(record(pool, "SR", sr), "PBDs")
    for method in ("PBD.unplug", "PBD.plug"):
        lines = await told(pool, method, pbd)
        begin = [f"task add {method}", "task allowed_operations", *HOLD_SR]
        end = [*HOLD_SR, "vdi allowed_operations", "task allowed_operations", *END, "task del"]
        assert lines == [*begin, "pbd currently_attached", *end]
    await call(pool, "PBD.unplug", pbd)
    assert await fault_of(pool, "VDI.resize", vdi, 9 * GIB) == ["SR_HAS_NO_PBDS", sr]


async def test_pbd_in_use_cannot_be_unplugged(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The disks that VMs of the host have are named; other hosts do not matter."""
    sr, vm = shared_sr(pool), vm_named(pool, "vm-001")
    host = record(pool, "VM", vm)["resident_on"]
    (pbd,) = [
        pbd
        for pbd in texts_of(record(pool, "SR", sr), "PBDs")
        if record(pool, "PBD", pbd)["host"] == host
    ]
    fault = await fault_of(pool, "PBD.unplug", pbd)
    assert fault[0] == "VDI_IN_USE"
    assert disk_of(pool, vm) in fault[1:]
    fault = await fault_of(pool, "PBD.destroy", pbd)
    assert fault == ["OPERATION_NOT_ALLOWED", "PBD is currently attached"]


async def test_pbds_connect_each_host_once(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A second PBD is refused, and a local SR is plugged on one host only."""
    sr = await _local_sr(pool)
    (pbd,) = texts_of(record(pool, "SR", sr), "PBDs")
    host, other = (host.ref for host in pool.hosts[:2])
    wanted: dict[str, Value] = {"host": host, "SR": sr, "device_config": LVM}
    assert await fault_of(pool, "PBD.create", wanted) == ["PBD_EXISTS", sr, host, pbd]
    second = await made(pool, "PBD.create", wanted | {"host": other})
    assert await fault_of(pool, "PBD.plug", second) == ["SR_NOT_SHARABLE", sr, host]
    marked = wanted | {"host": pool.hosts[2].ref, "device_config": {"SRmaster": "true"}}
    reason = "This key is for internal use only"
    fault = await fault_of(pool, "PBD.create", marked)
    assert fault == ["VALUE_NOT_SUPPORTED", "SRmaster", "true", reason]
    fault = await fault_of(pool, "SR.set_shared", sr, False)
    assert fault[0] == "SR_HAS_MULTIPLE_PBDS"
    await call(pool, "PBD.destroy", second)
    del wanted["SR"]
    assert await fault_of(pool, "PBD.create", wanted) == ["FIELD_TYPE_ERROR", "SR"]


async def test_probe_finds_srs_and_says_what_is_missing(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Known SRs are listed as XML; what a target needs next is an error that clients wait for."""
    host = pool.hosts[0].ref
    config: dict[str, Value] = {"server": "192.0.2.9", "serverpath": "/export/vms"}
    sr = await made(pool, "SR.create", *sr_args(host, "nfs", config, shared=True))
    uuid = text_of(record(pool, "SR", sr), "uuid")
    found = await call(pool, "SR.probe", host, config, "nfs", {})
    assert f"\t\t\t{uuid}\n" in str(found)
    elsewhere = await call(pool, "SR.probe", host, config | {"server": "x"}, "nfs", {})
    assert elsewhere == '<?xml version="1.0" ?>\n<SRlist/>\n'
    target: dict[str, Value] = {"target": "192.0.2.7", "targetIQN": "iqn.x"}
    fault = await fault_of(pool, "SR.probe", host, target, "lvmoiscsi", {})
    assert fault[:3] == [
        "SR_BACKEND_FAILURE_107",
        "",
        "The SCSIid parameter is missing or incorrect",
    ]
    assert await fault_of(pool, "SR.probe", host, {}, "tape", {}) == ["SR_UNKNOWN_DRIVER", "tape"]


async def test_state_files_need_a_shared_sr_on_every_host(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A local SR has no PBD on other hosts; the shared one will do."""
    local = await _local_sr(pool)
    fault = await fault_of(pool, "SR.assert_can_host_ha_statefile", local)
    assert fault == ["SR_HAS_NO_PBDS", local]
    assert await call(pool, "SR.assert_can_host_ha_statefile", shared_sr(pool)) == ""
    assert set(texts_of({"hosts": await call(pool, "SR.get_live_hosts", local)}, "hosts")) == {
        pool.hosts[0].ref
    }


async def test_every_plugin_is_a_type_that_can_be_made(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """SR.get_supported_types lists the plugins, whose rows carry their features."""
    assert await call(pool, "SR.get_supported_types") == list(PLUGINS)
    rows = {str(record(pool, "SM", sm)["type"]): sm for sm in pool.database.refs("SM")}
    features = record(pool, "SM", rows["nfs"])["features"]
    assert isinstance(features, dict)
    assert features["VDI_RESET_ON_BOOT"] == 2


async def test_disks_of_the_tools_are_not_made_or_destroyed(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """The SR of the guest tools offers neither."""
    sr = await _local_sr(pool, "iso", location="/opt/xensource/packages/iso")
    pool.database.write("SR", sr, "is_tools_sr", True)
    assert await fault_of(pool, "VDI.create", a_disk(sr)) == ["SR_OPERATION_NOT_SUPPORTED", sr]


async def test_ha_keeps_its_state_files(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """While HA is on, its disks cannot be destroyed."""
    vdi = await made(pool, "VDI.create", a_disk(shared_sr(pool), type="ha_statefile"))
    pool.database.write("pool", pool.pool_ref, "ha_enabled", True)
    assert await fault_of(pool, "VDI.destroy", vdi) == ["HA_IS_ENABLED"]
    fault = await fault_of(pool, "VDI.copy", vdi, shared_sr(pool), NULL_REF, NULL_REF)
    assert fault[0] == "OPERATION_NOT_ALLOWED"


async def test_sr_renames_and_blobs(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """Names are written while a PBD is plugged; a blob is found under its name."""
    sr = shared_sr(pool)
    await call(pool, "SR.set_name_label", sr, "other")
    assert named(pool, "SR", "other") == sr
    blob = await made(pool, "SR.create_new_blob", sr, "notes", "", False)
    assert record(pool, "SR", sr)["blobs"] == {"notes": blob}
    assert record(pool, "blob", blob)["mime_type"] == "application/octet-stream"


async def test_first_vbd_of_a_copy_source_survives(
    pool: SimulatedPool, autojump_clock: trio.testing.MockClock
) -> None:
    """A copy leaves the VBDs of its source as they were."""
    vm = vm_named(pool, "vm-003")
    before = record(pool, "VBD", first_of(pool, vm, "VBDs"))
    await call(pool, "VDI.copy", disk_of(pool, vm), shared_sr(pool), NULL_REF, NULL_REF)
    assert record(pool, "VBD", first_of(pool, vm, "VBDs")) == before
