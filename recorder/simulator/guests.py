"""Guest agents: what a guest tells of itself some seconds after its domain has started."""

from .toolstack import Toolstack, manner_now
from .values import Value, datetime_of, int_of, text_of, texts_of
from .vmstate import announces

AGENT_S = 5.0
"""Between the start of a domain and the first report of the agent in it."""

_FEATURES = ("feature-suspend", "feature-poweroff", "feature-reboot", "feature-vcpu-hotplug")


def schedule_agent(toolstack: Toolstack, vm: str, domid: int) -> None:
    """Let the agent of this domain report after a while, if the domain is still there then."""
    manner = manner_now()
    if not manner.agent:
        return

    def report_if_alive() -> None:
        if toolstack.database.exists("VM", vm):
            record = toolstack.database.record("VM", vm)
            if int_of(record, "domid") == domid and record["power_state"] == "Running":
                _report_in_tasks(toolstack, vm)

    after_s = AGENT_S if manner.agent_s is None else manner.agent_s
    toolstack.later(after_s, report_if_alive)


def report(toolstack: Toolstack, vm: str) -> None:
    """Write the first report of an agent at once; suspend and clean_* become possible by it."""
    guest = _guest_metrics(toolstack, vm)
    if guest is not None:
        for field, value in agent_fields(toolstack, vm).items():
            toolstack.database.write("VM_guest_metrics", guest, field, value)
        toolstack.update_allowed(vm)
        _report_memory(toolstack, vm)


def _report_in_tasks(toolstack: Toolstack, vm: str) -> None:
    """Report as xapi hears it: with a task for what new features allow, and one in the end.

    An agent that says what it has said before is not heard, so `last_updated` stays, too.
    """
    guest = _guest_metrics(toolstack, vm)
    if guest is None:
        return
    known, fields = (
        toolstack.database.record("VM_guest_metrics", guest),
        agent_fields(toolstack, vm),
    )
    if all(known[field] == value for field, value in fields.items() if field != "last_updated"):
        return
    for field, value in fields.items():
        toolstack.database.write("VM_guest_metrics", guest, field, value)
        if field == "other":
            _update_in_task(toolstack, vm)
    _update_in_task(toolstack, vm)
    _report_memory(toolstack, vm)


def _guest_metrics(toolstack: Toolstack, vm: str) -> str | None:
    guest = text_of(toolstack.database.record("VM", vm), "guest_metrics")
    return guest if toolstack.database.exists("VM_guest_metrics", guest) else None


def _update_in_task(toolstack: Toolstack, vm: str) -> None:
    task = toolstack.tasks.begin("VM.update_allowed_operations")
    toolstack.update_allowed(vm)
    toolstack.tell(task, "VM.update_allowed_operations", {"self": vm}, None)
    toolstack.tasks.succeed(task, "")
    toolstack.tasks.remove(task)


def _report_memory(toolstack: Toolstack, vm: str) -> None:
    database = toolstack.database
    record = database.record("VM", vm)
    metrics = text_of(record, "metrics")
    if database.exists("VM_metrics", metrics):
        database.write("VM_metrics", metrics, "memory_actual", record["memory_target"])


def agent_fields(toolstack: Toolstack, vm: str) -> dict[str, Value]:
    """Return what the agent of a VM reports, field by field in the order in which xapi writes."""
    database = toolstack.database
    record = database.record("VM", vm)
    networks: dict[str, Value] = {}
    for vif in texts_of(record, "VIFs"):
        device = text_of(database.record("VIF", vif), "device")
        networks[f"{device}/ip"] = networks[f"{device}/ipv4/0"] = _address(vif)
    features: dict[str, Value] = dict.fromkeys(_FEATURES, "1")
    return {
        "PV_drivers_version": {"major": "8", "minor": "4", "micro": "0", "build": "1"},
        "os_version": {
            "name": "Debian GNU/Linux 12 (bookworm)",
            "uname": "6.1.0-28-amd64",
            "distro": "debian",
            "major": "12",
            "minor": "8",
        },
        "networks": networks,
        "other": {"platform-feature-multiprocessor-suspend": "1", **features},
        "can_use_hotplug_vbd": "yes",
        "can_use_hotplug_vif": "yes",
        "last_updated": datetime_of(database.now_s()),
        "PV_drivers_detected": True,
        "PV_drivers_up_to_date": True,
    }


def is_listening(toolstack: Toolstack, vm: str, operation: str) -> bool:
    """Say whether the agent of a VM will answer when xapi asks for this operation."""
    return announces(toolstack.guest_of(toolstack.database.record("VM", vm)), operation)


def _address(vif: str) -> str:
    # The reference is random already: it serves as the lease that a guest got.
    digits = vif.removeprefix("OpaqueRef:").replace("-", "")
    return f"192.168.{int(digits[:2], 16) % 4}.{int(digits[2:4], 16) % 253 + 1}"
