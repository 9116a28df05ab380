"""A VM's domain: what the rows say once it runs, and once it does not run any more."""

from .guests import schedule_agent
from .placement import read_memory_later, settle
from .toolstack import Call, Toolstack
from .values import NULL_REF, Value, datetime_of, int_of, map_of, text_of, texts_of

_BIOS: dict[str, Value] = {
    "bios-vendor": "Xen",
    "bios-version": "",
    "system-manufacturer": "Xen",
    "system-product-name": "HVM domU",
    "system-version": "",
    "system-serial-number": "",
    "hp-rombios": "",
    "oem-1": "Xen",
    "oem-2": "MS_VM_CERT/SHA1/bdbeb6e0a816d43fa6d3fe8aaef04c2bad9d3e3d",
}
_CPU: dict[str, Value] = {"vendor": "GenuineIntel", "features": ""}


def prepare(call: Call, vm: str) -> None:
    """Write what xapi settles at the first start of a VM; on later ones, drop the old guest."""
    record = call.vm(vm)
    call.set(
        "VM", vm, "platform", map_of(record, "platform") | {"device-model": "qemu-upstream-compat"}
    )
    if record["generation_id"] == "0:0":
        bits = call.database.new_uuid().replace("-", "")
        call.set("VM", vm, "generation_id", f"{int(bits[:15], 16)}:{int(bits[17:], 16)}")
    drop_guest(call, vm)


def drop_guest(call: Call, vm: str) -> None:
    """Forget the guest metrics of the domain before."""
    guest = text_of(call.vm(vm), "guest_metrics")
    if guest != NULL_REF:
        call.set("VM", vm, "guest_metrics", NULL_REF)
        call.database.delete("VM_guest_metrics", guest)


def write_bios(call: Call, vm: str) -> None:
    """Write the BIOS strings, which a VM keeps from its first start on."""
    if not call.vm(vm)["bios_strings"]:
        call.set("VM", vm, "bios_strings", _BIOS)


def appear(call: Call, vm: str, host: str, power_state: str) -> None:
    """Write everything that shows a new domain on a host, the guest agent included (later)."""
    now = datetime_of(call.database.now_s())
    settle(call, vm, host)
    call.set("VM", vm, "power_state", power_state)
    call.toolstack.update_allowed(vm)
    guest = call.database.create("VM_guest_metrics", {"last_updated": now, "live": True})
    call.set("VM", vm, "guest_metrics", guest)
    domid = next_domid(call.toolstack, host)
    call.set("VM", vm, "domid", domid)
    record = call.vm(vm)
    call.set("VM", vm, "memory_target", record["memory_dynamic_max"])
    metrics = text_of(record, "metrics")
    call.set("VM_metrics", metrics, "start_time", now)
    call.set("VM_metrics", metrics, "VCPUs_number", record["VCPUs_at_startup"])
    call.set("VM", vm, "last_boot_CPU_flags", _CPU)
    attach_devices(call, vm, attached=True)
    _open_console(call, vm, host)
    with call.subtask("VM.update_allowed_operations"):
        call.toolstack.update_allowed(vm)
    schedule_agent(call.toolstack, vm, domid)


def vanish(call: Call, vm: str, power_state: str) -> None:
    """Write everything that shows that a VM has no domain any more."""
    call.set("VM", vm, "power_state", power_state)
    call.set("VM", vm, "resident_on", NULL_REF)
    call.set("VM", vm, "domid", -1)
    metrics = text_of(call.vm(vm), "metrics")
    call.set("VM_metrics", metrics, "VCPUs_number", 0)
    if power_state == "Halted":
        attach_devices(call, vm, attached=False)
    for console in texts_of(call.vm(vm), "consoles"):
        call.database.delete("console", console)
    with call.subtask("VM.update_allowed_operations"):
        call.toolstack.update_allowed(vm)
    read_memory_later(call.toolstack)


def attach_devices(call: Call, vm: str, *, attached: bool) -> None:
    """Write that disks and network interfaces are plugged, or are not."""
    record = call.vm(vm)
    offers: list[Value] = ["unplug" if attached else "attach"]
    for cls, field in (("VBD", "VBDs"), ("VIF", "VIFs")):
        for device in texts_of(record, field):
            call.set(cls, device, "currently_attached", attached)
            call.set(cls, device, "allowed_operations", offers)


def next_domid(toolstack: Toolstack, host: str) -> int:
    """Return the next domain id of a host: hosts count on, they never use one twice."""
    database = toolstack.database
    residents = database.find("VM", "resident_on", host)
    living = [int_of(database.record("VM", vm), "domid") for vm in residents]
    toolstack.domids[host] = max(toolstack.domids.get(host, 0), *living) + 1
    return toolstack.domids[host]


def _open_console(call: Call, vm: str, host: str) -> None:
    if texts_of(call.vm(vm), "consoles"):
        return
    address = text_of(call.database.record("host", host), "address")
    ref = f"OpaqueRef:{call.database.new_uuid()}"
    location = f"https://{address}/console?ref={ref}"
    call.database.create("console", {"protocol": "rfb", "location": location, "VM": vm}, ref)
