"""A VM's domain: what the rows say once it runs, and once it does not run any more."""

from .copiedvm import generation_id
from .guests import schedule_agent
from .marks import DEVICES, devices_of
from .placement import read_memory_later, settle
from .toolstack import Call, Toolstack
from .values import NULL_REF, Record, Value, datetime_of, int_of, map_of, text_of, texts_of

RESTART = "restart"
"""The value of VM.ha_restart_priority that makes HA keep a VM running."""

_BIOS: dict[str, Value] = {
    "bios-vendor": "Xen",
    "bios-version": "",
    "system-manufacturer": "Xen",
    "system-product-name": "HVM domU",
    "system-version": "",
    "system-serial-number": "",
    "baseboard-manufacturer": "",
    "baseboard-product-name": "",
    "baseboard-version": "",
    "baseboard-serial-number": "",
    "baseboard-asset-tag": "",
    "baseboard-location-in-chassis": "",
    "enclosure-asset-tag": "",
    "hp-rombios": "",
    "oem-1": "Xen",
    "oem-2": "MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d",
}
_CPU: dict[str, Value] = {"vendor": "GenuineIntel", "features": ""}
_UNKNOWN_TYPE = "unspecified"


def write_bios(call: Call, vm: str) -> None:
    """Write the BIOS strings, which a VM keeps from its first start on."""
    if not call.vm(vm)["bios_strings"]:
        call.set("VM", vm, "bios_strings", _BIOS)


def prepare(call: Call, vm: str) -> None:
    """Write what xapi settles before it builds a domain: what every VM needs, no old guest."""
    record = call.vm(vm)
    if record["ha_restart_priority"] == RESTART:
        call.set("VM", vm, "ha_always_run", True)
    call.set(
        "VM", vm, "platform", map_of(record, "platform") | {"device-model": "qemu-upstream-compat"}
    )
    if record["generation_id"] == "0:0":
        call.set("VM", vm, "generation_id", generation_id(call.database.new_uuid()))
    drop_guest(call, vm)


def drop_guest(call: Call, vm: str) -> None:
    """Forget the guest metrics of the domain before."""
    guest = text_of(call.vm(vm), "guest_metrics")
    if guest != NULL_REF:
        call.set("VM", vm, "guest_metrics", NULL_REF)
        if call.database.exists("VM_guest_metrics", guest):
            call.database.delete("VM_guest_metrics", guest)


def appear(call: Call, vm: str, host: str, power_state: str, *, resumed: bool = False) -> None:
    """Write everything that shows a new domain on a host, the guest agent included (later).

    A VM that was `resumed` keeps what its guest told before, and its start time.
    """
    settle(call, vm, host)
    record = call.vm(vm)
    _write_metrics(call, record, {"current_domain_type": record["domain_type"]})
    call.set("VM", vm, "power_state", power_state)
    call.toolstack.update_allowed(vm)
    if power_state == "Running":
        _add_guest(call, vm)
    domid = next_domid(call.toolstack, host)
    call.set("VM", vm, "domid", domid)
    _open_console(call, vm, host)
    call.set("VM", vm, "memory_target", record["memory_dynamic_max"])
    _write_metrics(call, record, {"hvm": record["domain_type"] == "hvm"})
    if not resumed:
        _write_metrics(call, record, {"start_time": datetime_of(call.database.now_s())})
    _add_guest(call, vm)
    _write_metrics(call, record, {"VCPUs_number": record["VCPUs_at_startup"]})
    call.set("VM", vm, "last_boot_CPU_flags", _CPU)
    update_in_task(call, vm)
    _show_devices(call, vm)
    schedule_agent(call.toolstack, vm, domid)


def reappear(call: Call, vm: str) -> None:
    """Write that a VM has a new domain without ever having been halted: it was rebooted."""
    record = call.vm(vm)
    attach_devices(call, vm)
    domid = next_domid(call.toolstack, text_of(record, "resident_on"))
    call.set("VM", vm, "power_state", "Running")
    call.set("VM", vm, "domid", domid)
    _write_metrics(call, record, {"start_time": datetime_of(call.database.now_s())})
    drop_guest(call, vm)
    _add_guest(call, vm)
    update_in_task(call, vm)
    _show_devices(call, vm)
    schedule_agent(call.toolstack, vm, domid)


def move_in(call: Call, vm: str, host: str) -> None:
    """Write that a VM's domain lives on another host now."""
    settle(call, vm, host)
    call.set("VM", vm, "domid", next_domid(call.toolstack, host))
    _close_consoles(call, vm)
    _open_console(call, vm, host)
    update_in_task(call, vm)


def pause_or_go_on(call: Call, vm: str, power_state: str) -> None:
    """Write that a domain was paused or unpaused."""
    call.set("VM", vm, "power_state", power_state)
    call.toolstack.update_allowed(vm)
    update_in_task(call, vm)


def vanish(call: Call, vm: str, power_state: str) -> None:
    """Write everything that shows that a VM has no domain any more.

    Of a halted VM the devices are detached, as they are by the time that xapi sees it halted;
    those of a suspended one stay attached.
    """
    record = call.vm(vm)
    if power_state == "Halted":
        _write_metrics(call, record, {"current_domain_type": _UNKNOWN_TYPE})
    forget_host(call, vm, power_state)
    _close_consoles(call, vm)
    call.set("VM", vm, "memory_target", 0)
    _write_metrics(call, record, {"hvm": False, "VCPUs_number": 0})
    update_in_task(call, vm)
    read_memory_later(call.toolstack)


def forget_host(call: Call, vm: str, power_state: str) -> None:
    """Write that a VM is halted or suspended, with everything that follows from it at once."""
    call.set("VM", vm, "power_state", power_state)
    if power_state == "Halted":
        _detach_silently(call, vm)
        call.set("VM", vm, "requires_reboot", False)
    call.toolstack.machines.left_by[vm] = text_of(call.vm(vm), "resident_on")
    call.set("VM", vm, "resident_on", NULL_REF)
    call.set("VM", vm, "scheduled_to_be_resident_on", NULL_REF)
    call.set("VM", vm, "domid", -1)
    call.toolstack.update_allowed(vm)


def attach_devices(call: Call, vm: str) -> None:
    """Write that all disks and network interfaces are attached, before the domain is built."""
    for cls, _field in DEVICES:
        for device in devices_of(call, vm, cls):
            call.set(cls, device, "currently_attached", True)


def detach_devices(call: Call, vm: str) -> None:
    """Write that disks and network interfaces are unplugged, one after the other."""
    for cls, _field in DEVICES:
        for device in devices_of(call, vm, cls):
            call.set(cls, device, "currently_attached", False)
            call.toolstack.update_allowed(device, cls)
            _show_disk(call, cls, device)


def update_in_task(call: Call, vm: str) -> None:
    """Compute `allowed_operations` of a VM anew in a task of its own, as xapi's watcher does."""
    with call.subtask("VM.update_allowed_operations", self=vm):
        call.toolstack.update_allowed(vm)


def next_domid(toolstack: Toolstack, host: str) -> int:
    """Return the next domain id of a host: hosts count on, they never use one twice."""
    database = toolstack.database
    residents = database.find("VM", "resident_on", host)
    living = [int_of(database.record("VM", vm), "domid") for vm in residents]
    toolstack.domids[host] = max(toolstack.domids.get(host, 0), *living, 0) + 1
    return toolstack.domids[host]


def _detach_silently(call: Call, vm: str) -> None:
    for cls, _field in DEVICES:
        for device in devices_of(call, vm, cls):
            call.set(cls, device, "currently_attached", False)
            call.set(cls, device, "current_operations", {})
            call.toolstack.update_allowed(device, cls)


def _show_devices(call: Call, vm: str) -> None:
    for cls, _field in DEVICES:
        for device in devices_of(call, vm, cls):
            call.toolstack.update_allowed(device, cls)
            _show_disk(call, cls, device)


def _show_disk(call: Call, cls: str, device: str) -> None:
    disk = NULL_REF if cls != "VBD" else str(call.database.field("VBD", device, "VDI"))
    if call.database.exists("VDI", disk):
        call.toolstack.update_allowed(disk, "VDI")


def _add_guest(call: Call, vm: str) -> None:
    if call.vm(vm)["guest_metrics"] == NULL_REF:
        now = datetime_of(call.database.now_s())
        guest = call.database.create("VM_guest_metrics", {"last_updated": now, "live": True})
        call.set("VM", vm, "guest_metrics", guest)


def _write_metrics(call: Call, vm: Record, fields: dict[str, Value]) -> None:
    metrics = text_of(vm, "metrics")
    if call.database.exists("VM_metrics", metrics):
        for field, value in fields.items():
            call.set("VM_metrics", metrics, field, value)


def _open_console(call: Call, vm: str, host: str) -> None:
    if texts_of(call.vm(vm), "consoles"):
        return
    address = text_of(call.database.record("host", host), "address")
    ref = f"OpaqueRef:{call.database.new_uuid()}"
    location = f"https://{address}/console?ref={ref}"
    call.database.create("console", {"protocol": "rfb", "location": location, "VM": vm}, ref)


def _close_consoles(call: Call, vm: str) -> None:
    for console in texts_of(call.vm(vm), "consoles"):
        call.database.delete("console", console)
