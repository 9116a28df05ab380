"""Small objects that are little more than a row: secrets, blobs, groups of VMs, virtual TPMs."""

from collections.abc import Mapping

from .catalogue import Handler
from .constructors import given, subset
from .toolstack import Call
from .values import NULL_REF, Fault, Value, map_of, text_of, texts_of

BINARY = "application/octet-stream"


async def secret_create(call: Call, args: Value) -> Value:
    """secret.create: returns its reference. Fault FIELD_TYPE_ERROR."""
    fields = subset(given("secret", args, ("value",)), ("value", "other_config"))
    return call.database.create("secret", fields)


async def secret_introduce(call: Call, uuid: str, value: str, other_config: Value) -> Value:
    """secret.introduce: with a uuid of its own; returns its reference."""
    fields = {"uuid": uuid, "value": value, "other_config": other_config}
    return call.database.create("secret", fields)


async def secret_destroy(call: Call, secret: str) -> Value:
    """secret.destroy."""
    call.database.delete("secret", secret)
    return ""


async def blob_create(call: Call, mime_type: str, public: bool) -> Value:
    """blob.create: empty; returns its reference."""
    return _add_blob(call, mime_type, public=public)


async def blob_destroy(call: Call, blob: str) -> Value:
    """blob.destroy."""
    call.database.delete("blob", blob)
    return ""


async def console_create(_call: Call, _args: Value) -> Value:
    """console.create: consoles come with domains. Fault NOT_IMPLEMENTED ["Console.create"]."""
    raise Fault("NOT_IMPLEMENTED", "Console.create")


async def console_destroy(call: Call, console: str) -> Value:
    """console.destroy: consoles go with domains. Fault NOT_IMPLEMENTED ["Console.destroy"]."""
    call.database.record("console", console)
    raise Fault("NOT_IMPLEMENTED", "Console.destroy")


async def group_create(call: Call, args: Value) -> Value:
    """VM_group.create: returns its reference."""
    wanted = ("name_label", "name_description", "placement")
    return call.database.create("VM_group", subset(given("VM_group", args, ()), wanted))


async def group_destroy(call: Call, group: str) -> Value:
    """VM_group.destroy: its VMs stay, in no group."""
    for vm in texts_of(call.database.record("VM_group", group), "VMs"):
        groups = texts_of(call.vm(vm), "groups")
        call.set("VM", vm, "groups", [other for other in groups if other != group])
    call.database.delete("VM_group", group)
    return ""


async def vtpm_create(call: Call, vm: str, is_unique: bool) -> Value:
    """VTPM.create: returns its reference. Faults VM_BAD_POWER_STATE, VTPM_MAX_AMOUNT_REACHED."""
    async with call.operation_on(vm, "create_vtpm"):
        if texts_of(call.vm(vm), "VTPMs"):
            raise Fault("VTPM_MAX_AMOUNT_REACHED", "1")
        return call.database.create(
            "VTPM",
            {
                "VM": vm,
                "backend": NULL_REF,
                "persistence_backend": "xapi",
                "is_unique": is_unique,
                "is_protected": False,
                "allowed_operations": ["destroy"],
            },
        )


async def vtpm_destroy(call: Call, vtpm: str) -> Value:
    """VTPM.destroy. Fault VM_BAD_POWER_STATE [vm, halted, actual]."""
    vm = text_of(call.database.record("VTPM", vtpm), "VM")
    state = text_of(call.vm(vm), "power_state")
    if state != "Halted":
        raise Fault("VM_BAD_POWER_STATE", vm, "halted", state.lower())
    call.database.delete("VTPM", vtpm)
    call.toolstack.update_allowed(vm)
    return ""


def _blob_adder(cls: str) -> Handler:
    """Return who does `create_new_blob` of a class: a blob under a name in the object."""

    async def create(call: Call, ref: str, name: str, mime_type: str, public: bool) -> Value:
        blobs = map_of(call.database.record(cls, ref), "blobs")
        if name in blobs:
            raise Fault("MAP_DUPLICATE_KEY", cls, "blobs", ref, name)
        blob = _add_blob(call, mime_type, public=public)
        call.set(cls, ref, "blobs", blobs | {name: blob})
        return blob

    return create


def _add_blob(call: Call, mime_type: str, *, public: bool) -> str:
    return call.database.create("blob", {"mime_type": mime_type or BINARY, "public": public})


HANDLERS: Mapping[str, Handler] = {
    "secret.create": secret_create,
    "secret.introduce": secret_introduce,
    "secret.destroy": secret_destroy,
    "blob.create": blob_create,
    "blob.destroy": blob_destroy,
    "console.create": console_create,
    "console.destroy": console_destroy,
    "VM_group.create": group_create,
    "VM_group.destroy": group_destroy,
    "VTPM.create": vtpm_create,
    "VTPM.destroy": vtpm_destroy,
    **{f"{cls}.create_new_blob": _blob_adder(cls) for cls in ("network", "SR")},
}
