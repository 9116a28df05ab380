"""The roles of xapi and the permissions they consist of: fixed, served as rows that emit no events.

A permission is the name of a method, in lower case; some guard a single key of a map or a page. The
table beside this file (roles.txt) holds the roles in wire order, the permissions that are no
method, and what a client certificate may do beyond reading.
"""

import random
from collections.abc import Mapping
from functools import cache
from hashlib import md5
from importlib.resources import files
from uuid import UUID

import msgspec

from .catalogue import Role, key_roles, signatures
from .database import Database
from .events import EventHub
from .values import Value

_LETTERS = dict(zip("ROAPLX", Role, strict=True))
_KEYS = {
    key.lower(): key
    for key in (
        "XenCenterUUID",
        "XenCenterMeddlingActionTitle",
        "XenCenter.CustomFields.*",
        "XenCenterCreateInProgress",
        "EMPTY_FOLDERS",
    )
}
"""Keys as the data model spells them; permissions have them in lower case, uuids do not."""


class _NoDice(random.Random):
    """Roles are the same everywhere: nothing of them may be drawn."""

    def getrandbits(self, k: int) -> int:
        """Raise AssertionError."""
        raise AssertionError(f"a role asks for {k} random bits")


class _Permission(msgspec.Struct, frozen=True):
    """One permission, under the name that its uuid is made of, and the least role that has it."""

    spelling: str
    least: Role

    @property
    def name(self) -> str:
        """What sessions hold and refusals show."""
        return self.spelling.lower()


class _Tables(msgspec.Struct, frozen=True):
    """What roles.txt says, section by section."""

    roles: tuple[tuple[str, bool, str], ...]
    others: tuple[_Permission, ...]
    certificate: frozenset[str]


def role_names() -> tuple[str, ...]:
    """Return the names of all roles (`pool-admin`), in the order of the wire."""
    return tuple(name for name, _internal, _description in _tables().roles)


def role_ref(name: str) -> str:
    """Return the reference of a role or permission by its name; KeyError if there is none."""
    return _refs()[name]


def role_name(ref: str) -> str | None:
    """Return the name of a role or permission by its reference, None if there is none."""
    return _names().get(ref)


@cache
def permissions(role: str) -> tuple[str, ...]:
    """Return what a role may do, in the order of its `subroles`; a permission is its own."""
    least = {label.label: label for label in Role}.get(role)
    if least is not None:
        return tuple(item.name for item in _permissions() if item.least <= least)
    if role not in role_names():
        return (role,)
    more = _tables().certificate
    readable = Role.READ_ONLY
    return tuple(
        item.name for item in _permissions() if item.least == readable or item.name in more
    )


@cache
def roles_with(permission: str) -> tuple[str, ...]:
    """Return the names of the roles with a permission, in the order in which xapi lists them."""
    return tuple(role for role in role_names() if permission in permissions(role))


@cache
def guarded_keys() -> Mapping[str, tuple[str, ...]]:
    """Return by method (`VM.add_to_other_config`) the keys that have a permission of their own.

    They are spelled as clients must send them; one may end in `*`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in key_roles():
        method, _, key = text.partition("/key:")
        found[method] = (*found.get(method, ()), _KEYS.get(key.lower(), key))
    return found


@cache
def role_database() -> Database:
    """Return the rows of class `role`: no pool's own, for no pool counts them or tells of them."""
    database = Database(now_s=lambda: 0.0, rng=_NoDice(), hub=EventHub(now_s=lambda: 0.0))
    with database.building():
        for permission in _permissions():
            _add(database, permission.name, "A basic permission", internal=True)
        for name, internal, description in _tables().roles:
            subroles = [_refs()[item] for item in permissions(name)]
            _add(database, name, description, internal=internal, subroles=subroles)
    return database


def _add(
    database: Database,
    name: str,
    description: str,
    *,
    internal: bool,
    subroles: list[str] | None = None,
) -> None:
    ref = _refs()[name]
    fields: dict[str, Value] = {
        "uuid": ref.removeprefix("OpaqueRef:"),
        "name_label": name,
        "name_description": description,
        "subroles": [*(subroles or [])],
        "is_internal": internal,
    }
    database.create("role", fields, ref)


@cache
def _refs() -> Mapping[str, str]:
    spelled = {item.name: item.spelling for item in _permissions()}
    spelled |= {name: name for name in role_names()}
    return {name: _ref(spelling) for name, spelling in spelled.items()}


@cache
def _names() -> Mapping[str, str]:
    return {ref: name for name, ref in _refs().items()}


def _ref(spelling: str) -> str:
    digest = md5(spelling.encode(), usedforsecurity=False).hexdigest()
    return f"OpaqueRef:{UUID(digest)}"


@cache
def _permissions() -> tuple[_Permission, ...]:
    """Return every permission: those of methods, each with its keys, then the others."""
    keys = guarded_keys()
    roles = {text.lower(): role for text, role in key_roles().items()}
    found: list[_Permission] = []
    for name, signature in signatures().items():
        if signature.role is not None:
            found.append(_Permission(name, signature.role))
        for key in keys.get(name, ()):
            spelling = f"{name}/key:{key}"
            found.append(_Permission(spelling, roles[spelling.lower()]))
    return (*found, *_tables().others)


@cache
def _tables() -> _Tables:
    text = files(__package__).joinpath("roles.txt").read_text(encoding="utf-8")
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            lines = sections[line[1:-1]] = []
        elif line:
            lines.append(line)
    roles = (line.split(" ", 2) for line in sections["roles"])
    others = (line.split(" ") for line in sections["permissions"])
    return _Tables(
        tuple((name, kind == "internal", description) for name, kind, description in roles),
        tuple(_Permission(name, _LETTERS[letter]) for name, letter in others),
        frozenset(line.lower() for line in sections["client-cert"]),
    )
