"""What the generated methods of a class do: read rows, and write single fields."""

from .calls import Result, RowReply, TableReply
from .conditions import matching
from .database import Database
from .plaintext import plain, plain_text
from .rows import MESSAGE
from .values import Fault, Value


def get_record(database: Database, cls: str, args: list[Value]) -> Result:
    """`CLASS.get_record(self)`. Raises Fault HANDLE_INVALID."""
    ref = _text(args[0])
    database.record(cls, ref)
    return RowReply(database, cls, ref)


def get_by_uuid(database: Database, cls: str, args: list[Value]) -> Result:
    """`CLASS.get_by_uuid(uuid)`. Raises Fault UUID_INVALID [class, uuid]."""
    found = database.find(cls, "uuid", args[0])
    if not found:
        raise Fault("UUID_INVALID", cls, _text(args[0]))
    return found[0]


def get_by_name_label(database: Database, cls: str, args: list[Value]) -> Result:
    """`CLASS.get_by_name_label(label)`: all objects with this name, maybe none."""
    return list(database.find(cls, "name_label", args[0]))


def get_all(database: Database, cls: str, _args: list[Value]) -> Result:
    """`CLASS.get_all()`."""
    return list(database.refs(cls))


def get_all_records(database: Database, cls: str, _args: list[Value]) -> Result:
    """`CLASS.get_all_records()`: messages come newest first."""
    return TableReply(database, cls, _listed(database, cls))


def get_all_where(database: Database, cls: str, args: list[Value]) -> Result:
    """`CLASS.get_all_where(expr)`: references of the objects that the condition holds for."""
    return [*matching(database, cls, _text(args[0]))]


def get_all_records_where(database: Database, cls: str, args: list[Value]) -> Result:
    """`CLASS.get_all_records_where(expr)`: their records. Messages are listed unconditionally."""
    if cls == MESSAGE:
        return get_all_records(database, cls, args)
    return TableReply(database, cls, matching(database, cls, _text(args[0])))


def get_field(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.get_FIELD(self)`. Raises Fault HANDLE_INVALID."""
    return database.record(cls, _text(args[0]))[field]


def set_field(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.set_FIELD(self, value)`. Raises Fault HANDLE_INVALID."""
    database.write(cls, _text(args[0]), field, args[1])
    return ""


def add_to_map(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.add_to_FIELD(self, key, value)`: the newcomer comes first.

    Raises Fault HANDLE_INVALID, or MAP_DUPLICATE_KEY [class, field, ref, key].
    """
    ref, key, value = _text(args[0]), plain_text(_text(args[1])), plain(args[2])
    before = get_field(database, cls, field, args)
    assert isinstance(before, dict)
    if key in before:
        raise Fault("MAP_DUPLICATE_KEY", cls, field, ref, key)
    database.write(cls, ref, field, {key: value, **before})
    return ""


def remove_from_map(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.remove_from_FIELD(self, key)`: nothing happens if the key is absent."""
    before = get_field(database, cls, field, args)
    assert isinstance(before, dict)
    gone = plain_text(_text(args[1]))
    after = {key: value for key, value in before.items() if key != gone}
    database.write(cls, _text(args[0]), field, after)
    return ""


def add_to_set(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.add_FIELD(self, value)`: it comes first; nothing happens if it is there already."""
    before = get_field(database, cls, field, args)
    assert isinstance(before, list)
    newcomer = plain(args[1])
    if newcomer not in before:
        database.write(cls, _text(args[0]), field, [newcomer, *before])
    return ""


def remove_from_set(database: Database, cls: str, field: str, args: list[Value]) -> Value:
    """`CLASS.remove_FIELD(self, value)`: nothing happens if it is not there."""
    before = get_field(database, cls, field, args)
    assert isinstance(before, list)
    gone = plain(args[1])
    database.write(cls, _text(args[0]), field, [item for item in before if item != gone])
    return ""


def _listed(database: Database, cls: str) -> list[str]:
    refs = database.refs(cls)
    if cls == MESSAGE:
        refs.sort(key=lambda ref: _age(database, ref), reverse=True)
    return refs


def _age(database: Database, message: str) -> tuple[int, str]:
    row = database.row(MESSAGE, message)
    return row.created, str(row.record["timestamp"])


def _text(value: Value) -> str:
    assert isinstance(value, str)
    return value
