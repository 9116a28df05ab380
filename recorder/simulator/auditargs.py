"""What an audit line tells of the arguments of a call: names and references, no other value.

That keeps passwords and settings out of the trail. The rules are xapi's: arguments of some names
are told for any call, some others for single calls, and references with the name they stand for.
"""

from collections.abc import Iterator, Mapping

from .calls import Sent
from .coerce import shown
from .database import Database
from .dump_values import quoted
from .roles import role_name
from .values import text_of

_DESCRIPTIVE = frozenset(
    {"name", "label", "description", "name_label", "name_description", "new_name"}
)
_LISTED: Mapping[str, frozenset[str]] = {
    call: frozenset(names.split())
    for call, names in {
        "host.create": "hostname address external_auth_type external_auth_service_name edition",
        "VM.create": "is_a_template memory_target memory_static_max memory_dynamic_max"
        " memory_dynamic_min memory_static_min ha_always_run ha_restart_priority",
        "host.set_address": "value",
        "VM.migrate": "dest live",
        "VM.start_on": "start_paused force",
        "VM.start": "start_paused force",
        "pool.create_VLAN": "device vLAN",
        "pool.join_force": "master_address",
        "pool.join": "master_address",
        "pool.enable_external_auth": "service_name auth_type",
        "host.enable_external_auth": "service_name auth_type",
        "subject.create": "subject_identifier other_config",
        "subject.create.other_config": "subject-name",
        "message.create": "name body",
    }.items()
}
_OF_SUBJECTS = frozenset({"subject.destroy", "subject.add_to_roles", "subject.remove_from_roles"})
_NOT_ROWS = frozenset({"message", "role"})
"""Classes that have rows here and none in xapi, so that it cannot name them."""
_REF = "OpaqueRef:"


def arguments(database: Database, call: str, given: Mapping[str, Sent]) -> str:
    """Return the last part of an audit line: `(('vm' 'web1' '<uuid>' '<ref>') ...)`.

    `given` holds the arguments by name, those of a constructor field by field.
    """
    return f"({' '.join(_told(database, call, {**given, **_more(database, call, given)}))})"


def _told(database: Database, call: str, given: Mapping[str, Sent]) -> Iterator[str]:
    listed = _LISTED.get(call, frozenset()) | _DESCRIPTIVE
    for name, value in given.items():
        if name == "session_id":
            continue
        if name not in listed:
            yield from _reference(database, call, name, value)
        elif isinstance(value, dict):
            inner = " ".join(_told(database, f"{call}.{name}", value))
            yield f"({quoted(name)} ({inner}) '' '')"
        else:
            yield _atoms(name, value if isinstance(value, str) else shown(value))


def _reference(database: Database, call: str, name: str, value: Sent) -> Iterator[str]:
    """Tell of a reference; anything else stays untold."""
    if not isinstance(value, str) or not value.startswith(_REF):
        return
    cls = _class_of(database, value)
    if cls is None:
        yield _atoms(name, _special(database, call, name, value), "", value)
        return
    record = database.row(cls, value).record
    label = text_of(record, "name_label") if "name_label" in record else ""
    label = label or _special(database, call, name, value)
    yield _atoms(name, label, text_of(record, "uuid"), value)


def _special(database: Database, call: str, name: str, ref: str) -> str:
    """Return the name of what has none as a row: a subject or a role."""
    if call not in _OF_SUBJECTS:
        return ""
    if name == "role":
        return role_name(ref) or ""
    if name != "self" or not database.exists("subject", ref):
        return ""
    information = database.row("subject", ref).record["other_config"]
    assert isinstance(information, dict)
    return str(information.get("subject-name", ""))


def _more(database: Database, call: str, given: Mapping[str, Sent]) -> Mapping[str, Sent]:
    """Return what the line of a call tells beyond its arguments."""
    vbd = given.get("self")
    if call == "VBD.destroy" and isinstance(vbd, str) and database.exists("VBD", vbd):
        return {"VDI": text_of(database.row("VBD", vbd).record, "VDI")}
    return {}


def _class_of(database: Database, ref: str) -> str | None:
    for cls, table in database.hub.rows.tables.items():
        if ref in table.rows and cls not in _NOT_ROWS:
            return cls
    return None


def _atoms(name: str, label: str, uuid: str = "", ref: str = "") -> str:
    return f"({quoted(name)} {quoted(label)} {quoted(uuid)} {quoted(ref)})"
