"""The methods of subjects, of the directory they come from, and of roles and their permissions."""

from collections.abc import Callable, Mapping

from .accessors import get_all_records
from .calls import Result, TableReply
from .database import Database
from .logins import subject_permissions
from .roles import permissions, role_database, role_name, role_names, role_ref, roles_with
from .users import Directory, add_subject
from .values import Fault, Value, texts_of

OnSubjects = Callable[[Database, Directory, list[Value]], Result]
"""Takes the rows of the pool, its directory and the arguments."""


def create(database: Database, directory: Directory, args: list[Value]) -> Result:
    """subject.create: what the directory knows of the user counts, not what the record says.

    Faults SUBJECT_ALREADY_EXISTS, AUTH_IS_DISABLED, SUBJECT_CANNOT_BE_RESOLVED.
    """
    record = args[0]
    assert isinstance(record, dict)
    sid = str(record.get("subject_identifier", ""))
    if database.find("subject", "subject_identifier", sid):
        raise Fault("SUBJECT_ALREADY_EXISTS")
    return add_subject(database, directory.identified(sid), [])


def destroy(database: Database, _directory: Directory, args: list[Value]) -> Result:
    """subject.destroy: sessions of the user last until they are next looked at."""
    database.delete("subject", str(args[0]))
    return ""


def add_to_roles(database: Database, _directory: Directory, args: list[Value]) -> Result:
    """subject.add_to_roles. Faults ROLE_NOT_FOUND, ROLE_ALREADY_EXISTS; at the next login."""
    subject, role = map(str, args)
    if role_name(role) is None:
        raise Fault("ROLE_NOT_FOUND")
    roles = texts_of(database.record("subject", subject), "roles")
    if role in roles:
        raise Fault("ROLE_ALREADY_EXISTS")
    database.write("subject", subject, "roles", [*roles, role])
    return ""


def remove_from_roles(database: Database, _directory: Directory, args: list[Value]) -> Result:
    """subject.remove_from_roles. Fault ROLE_NOT_FOUND; what is open keeps its permissions."""
    subject, role = map(str, args)
    roles = texts_of(database.record("subject", subject), "roles")
    if role not in roles:
        raise Fault("ROLE_NOT_FOUND")
    database.write("subject", subject, "roles", [item for item in roles if item != role])
    return ""


def get_permissions_name_label(
    database: Database, _directory: Directory, args: list[Value]
) -> Result:
    """subject.get_permissions_name_label."""
    return [*subject_permissions(database, str(args[0]))]


def get_subject_identifier(_database: Database, directory: Directory, args: list[Value]) -> Result:
    """auth.get_subject_identifier. Faults AUTH_IS_DISABLED, SUBJECT_CANNOT_BE_RESOLVED."""
    return directory.named(str(args[0])).sid


def get_subject_information(_database: Database, directory: Directory, args: list[Value]) -> Result:
    """auth.get_subject_information_from_identifier. The same Faults."""
    return directory.identified(str(args[0])).information


def get_group_membership(_database: Database, directory: Directory, args: list[Value]) -> Result:
    """auth.get_group_membership: this directory has no groups. The same Faults."""
    directory.identified(str(args[0]))
    return []


SUBJECT_METHODS: Mapping[str, OnSubjects] = {
    "subject.create": create,
    "subject.destroy": destroy,
    "subject.add_to_roles": add_to_roles,
    "subject.remove_from_roles": remove_from_roles,
    "subject.get_permissions_name_label": get_permissions_name_label,
    "auth.get_subject_identifier": get_subject_identifier,
    "auth.get_subject_information_from_identifier": get_subject_information,
    "auth.get_group_membership": get_group_membership,
}


def _role_records_where(args: list[Value]) -> Result:
    """role.get_all_records_where: xapi knows two conditions by heart and takes others for True."""
    if args[0] not in ("subroles<>[]", "subroles=[]"):
        return get_all_records(role_database(), "role", args)
    wanted = args[0] == "subroles<>[]"
    roles = {role_ref(name) for name in role_names()}
    refs = [ref for ref in role_database().refs("role") if (ref in roles) == wanted]
    return TableReply(role_database(), "role", refs)


def _get_permissions(args: list[Value]) -> Result:
    return [role_ref(name) for name in _permissions_of(args)]


def _get_permissions_name_label(args: list[Value]) -> Result:
    return [*_permissions_of(args)]


def _get_by_permission(args: list[Value]) -> Result:
    name = role_name(str(args[0]))
    return [role_ref(role) for role in roles_with(name)] if name else []


def _get_by_permission_name_label(args: list[Value]) -> Result:
    return [role_ref(role) for role in roles_with(str(args[0]))]


def _permissions_of(args: list[Value]) -> tuple[str, ...]:
    """Return what a role may do, the last permission first. Fault HANDLE_INVALID [role, ref]."""
    ref = str(args[0])
    name = role_name(ref)
    if name is None:
        raise Fault("HANDLE_INVALID", "role", ref)
    return permissions(name)[::-1]


ROLE_METHODS: Mapping[str, Callable[[list[Value]], Result]] = {
    "role.get_all_records_where": _role_records_where,
    "role.get_permissions": _get_permissions,
    "role.get_permissions_name_label": _get_permissions_name_label,
    "role.get_by_permission": _get_by_permission,
    "role.get_by_permission_name_label": _get_by_permission_name_label,
}
