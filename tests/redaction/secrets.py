"""Every field in which a pool can show a secret, with a record that has one there."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from recorder.redaction.policy import Policy
from recorder.redaction.redact import Redactor

KEY = bytes(range(32))
SECRET = "S3cr3t-hunter2"
UUID = "0a1b2c3d-0000-4000-8000-00000000000f"
SESSION = "OpaqueRef:5e551011-0000-4000-8000-00000000000a"

Value = str | int | bool | None | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Place:
    """A field that holds `value`, in which SECRET stands; `open` are texts in it that stay."""

    cls: str
    field: str
    value: Value
    open: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.cls}.{self.field}"

    def record(self) -> dict[str, Value]:
        return {"uuid": UUID, self.field: self.value, "name_label": "web1"}


def keyed(key: str = "password") -> dict[str, Value]:
    return {"user": "bob", key: SECRET, "empty_password": "", "x_password_secret": UUID}


MAP_STAYS = ("bob", UUID, "empty_password")

WHOLE = [
    Place("Cluster", "cluster_token", SECRET),
    Place("VM", "NVRAM", {"EFI-variables": SECRET}, ("EFI-variables",)),
    Place("VM", "last_booted_record", f"<value>{SECRET}</value>"),
    Place("VM", "snapshot_metadata", f"(struct (x '{SECRET}'))"),
    Place("VM", "xenstore_data", {"vm-data/user": SECRET, "vm-data": ""}, ("vm-data/user",)),
    Place("VTPM", "contents", SECRET),
    Place("pool", "wlb_password", SECRET),
    Place("secret", "value", SECRET),
]
KEYED = [
    Place(cls, field, keyed(), MAP_STAYS)
    for cls, fields in {
        "Cluster": "cluster_config other_config",
        "Observer": "attributes",
        "PBD": "device_config other_config",
        "SM": "other_config",
        "SR": "sm_config other_config",
        "VBD": "other_config",
        "VDI": "sm_config xenstore_data other_config",
        "VIF": "other_config",
        "VM": "platform other_config",
        "VMPP": "alarm_config archive_target_config",
        "VM_guest_metrics": "networks other other_config services",
        "host": "external_auth_configuration license_params license_server power_on_config"
        " other_config",
        "host_metrics": "other_config",
        "network": "other_config",
        "pool": "guest_agent_config gui_config health_check_config license_server other_config",
        "subject": "other_config",
        "task": "other_config",
        "a_class_of_tomorrow": "other_config",
    }.items()
    for field in fields.split()
]
TEXTS: list[tuple[str, str, Value, tuple[str, ...]]] = [
    ("Observer", "endpoints", [f"https://u:{SECRET}@zipkin/x"], ("@zipkin/x",)),
    ("Repository", "binary_url", f"https://u:{SECRET}@repo/x", ("@repo/x",)),
    ("Repository", "source_url", f"https://u:{SECRET}@repo/x", ("@repo/x",)),
    ("VGPU", "extra_args", f"license_token={SECRET},b=1", (",b=1",)),
    ("VM", "PV_args", f"quiet root_password={SECRET} ro", ("quiet ", " ro")),
    ("VM", "PV_bootloader_args", f"--token={SECRET} -v", (" -v",)),
    ("VM", "PV_legacy_args", f"rd.luks.key: '{SECRET}' ro", ("' ro",)),
    ("message", "body", f"<v><password>{SECRET}</password></v>", ("</password></v>",)),
    ("pool", "repository_proxy_url", f"http://u:{SECRET}@proxy:8080", ("@proxy:8080",)),
    ("pool", "wlb_url", f"https://u:{SECRET}@wlb:8012/", ("@wlb:8012/",)),
    ("task", "name_description", f"copies session_id={SECRET}&x=1", ("&x=1",)),
]
IN_TEXT = [Place(cls, field, value, stays) for cls, field, value, stays in TEXTS]
OF_TASKS = [
    Place("task", "result", f"<value><string>{SECRET}</string></value>"),
    Place("task", "result", f"<value><struct><member>{SECRET}</member></struct></value>"),
    Place(
        "task",
        "error_info",
        ["SR_BACKEND_FAILURE_47", "", SECRET, f"mount -o {SECRET}"],
        ("SR_BACKEND_FAILURE_47",),
    ),
    Place("task", "error_info", ["XENAPI_PLUGIN_FAILURE", "1", SECRET], ("XENAPI_PLUGIN_FAILURE",)),
    Place("task", "error_info", ["SESSION_INVALID", SECRET], ("SESSION_INVALID",)),
    Place(
        "task", "error_info", ["HANDLE_INVALID", "session", SECRET], ("HANDLE_INVALID", "session")
    ),
    Place(
        "task",
        "error_info",
        ["INTERNAL_ERROR", f"Failure(password={SECRET})"],
        ("INTERNAL_ERROR", "Failure(password="),
    ),
]
PLACES = [*WHOLE, *KEYED, *IN_TEXT, *OF_TASKS]

Spell = Callable[[object], bytes]


def compact(value: object) -> bytes:
    """As xapi writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def spaced(value: object) -> bytes:
    """As Python writes it unless told otherwise."""
    return json.dumps(value, indent=1).encode()


def escaped(value: object) -> bytes:
    """With every letter of every text as an escape."""
    match value:
        case str():
            units = value.encode("utf-16-be").hex()
            letters = [f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)]
            return f'"{"".join(letters)}"'.encode()
        case list():
            return b"[" + b",".join(escaped(one) for one in value) + b"]"
        case dict():
            members = [escaped(key) + b":" + escaped(one) for key, one in value.items()]
            return b"{" + b",".join(members) + b"}"
        case _:
            return json.dumps(value).encode()


SPELLINGS = [compact, spaced, escaped]


def redactor(
    fields: dict[str, str] | None = None, *, words: tuple[str, ...] = (), key: bytes = KEY
) -> Redactor:
    return Redactor(Policy.of(fields=fields or {}, words=words), key)
