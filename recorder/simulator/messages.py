"""Messages for people: made, read and thrown away."""

from collections.abc import Callable, Mapping

from .catalogue import Handler
from .database import Database
from .rows import MESSAGE
from .toolstack import Call
from .values import Fault, Record, Value, datetime_of

MESSAGES_MAX = 10_000
"""What xapi keeps (`message_limit`); its collection deletes the oldest."""

_CLASSES: Mapping[str, str] = {
    "VM": "VM",
    "Host": "host",
    "SR": "SR",
    "Pool": "pool",
    "VMPP": "VMPP",
    "VMSS": "VMSS",
    "PVS_proxy": "PVS_proxy",
    "VDI": "VDI",
    "Certificate": "Certificate",
}
"""What a message may be about, as messages say it, and the class of the data model."""


async def create(
    call: Call, name: str, priority: Value, cls: str, obj_uuid: str, body: str
) -> Value:
    """message.create: Fault UUID_INVALID [class, uuid] if there is no such object."""
    table = _CLASSES.get(cls)
    if table is None or not call.database.find(table, "uuid", obj_uuid):
        raise Fault("UUID_INVALID", cls, obj_uuid)
    now = datetime_of(call.database.now_s())
    fields = {"name": name, "priority": priority, "cls": cls, "obj_uuid": obj_uuid}
    return call.database.create(MESSAGE, {**fields, "timestamp": now, "body": body})


async def destroy(call: Call, message: str) -> Value:
    """message.destroy: Fault HANDLE_INVALID."""
    call.database.delete(MESSAGE, message)
    return ""


async def destroy_many(call: Call, messages: list[str]) -> Value:
    """message.destroy_many: Fault HANDLE_INVALID of the first that is not there."""
    for message in messages:
        call.database.delete(MESSAGE, message)
    return ""


async def get(call: Call, cls: str, obj_uuid: str, since: str) -> Value:
    """message.get: records of the messages about an object after a time, by reference."""
    return _found(
        call,
        lambda record: (
            record["cls"] == cls
            and record["obj_uuid"] == obj_uuid
            and str(record["timestamp"]) > since
        ),
    )


async def get_since(call: Call, since: str) -> Value:
    """message.get_since: records of all messages after a time, by reference."""
    return _found(call, lambda record: str(record["timestamp"]) > since)


def trim(database: Database) -> None:
    """Delete the oldest messages where there are too many."""
    refs = database.refs(MESSAGE)
    for message in refs[: max(0, len(refs) - MESSAGES_MAX)]:
        database.delete(MESSAGE, message)


def _found(call: Call, wanted: Callable[[Record], bool]) -> Value:
    database = call.database
    records = ((ref, database.record(MESSAGE, ref)) for ref in database.refs(MESSAGE))
    return {ref: record for ref, record in records if wanted(record)}


HANDLERS: Mapping[str, Handler] = {
    "message.create": create,
    "message.destroy": destroy,
    "message.destroy_many": destroy_many,
    "message.get": get,
    "message.get_since": get_since,
}
