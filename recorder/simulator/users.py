"""Who may log in besides root: users of a directory, some of them known to the pool as subjects.

Without users there is no directory, as in a pool without external authentication.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .catalogue import Role
from .database import Database
from .roles import role_names, role_ref
from .values import Fault, Value

DOMAIN_SID = "S-1-5-21-3623811015-3361044348-30300820"
FIRST_USER = 1105
"""Where the numbers of users begin in a domain that has only just been made."""


class UserSpec(msgspec.Struct, frozen=True):
    """A user: name, password and role (`read-only` ... `pool-admin`).

    Without a role the directory knows the user and the pool does not.
    """

    name: str
    password: str
    role: str = ""

    @classmethod
    def parse(cls, text: str) -> "UserSpec":
        """Read `NAME:PASSWORD:ROLE`; the password may hold colons. ValueError says what is wrong.

        The role may be left empty.
        """
        name, _, rest = text.partition(":")
        password, colon, role = rest.rpartition(":")
        if not name or not colon:
            raise ValueError("a user is given as NAME:PASSWORD:ROLE")
        if role and role not in role_names():
            known = ", ".join(least.label for least in Role)
            raise ValueError(f"there is no role {role}: choose one of {known}")
        return cls(name, password, role)


class Person(msgspec.Struct, frozen=True):
    """An entry of the directory; `sid` is what subjects call their identifier."""

    name: str
    password: str
    sid: str

    @property
    def information(self) -> dict[str, Value]:
        """What the directory tells about somebody, the `other_config` of a subject."""
        told = {"name": self.name, "upn": self.name, "sid": self.sid, "gecos": ""}
        told |= {"displayname": self.name, "uid": self.sid.rpartition("-")[2], "gid": "513"}
        states = ("is-group", "account-disabled", "account-expired", "account-locked")
        told |= dict.fromkeys((*states, "password-expired"), "false")
        return {f"subject-{key}": value for key, value in told.items()}


class Directory:
    """The users of one pool, by name and by identifier."""

    def __init__(self, users: Sequence[UserSpec]) -> None:
        people = [
            Person(user.name, user.password, f"{DOMAIN_SID}-{FIRST_USER + number}")
            for number, user in enumerate(users)
        ]
        self._by_name: Mapping[str, Person] = {person.name: person for person in people}
        self._by_sid: Mapping[str, Person] = {person.sid: person for person in people}

    def __bool__(self) -> bool:
        """Say whether there is external authentication at all."""
        return bool(self._by_name)

    def named(self, name: str) -> Person:
        """Return a user. Faults AUTH_IS_DISABLED, SUBJECT_CANNOT_BE_RESOLVED."""
        return self._found(self._by_name.get(name))

    def identified(self, sid: str) -> Person:
        """Return a user by identifier. Faults AUTH_IS_DISABLED, SUBJECT_CANNOT_BE_RESOLVED."""
        return self._found(self._by_sid.get(sid))

    def _found(self, person: Person | None) -> Person:
        if not self:
            raise Fault("AUTH_IS_DISABLED")
        if person is None:
            raise Fault("SUBJECT_CANNOT_BE_RESOLVED")
        return person


def add_subjects(database: Database, users: Sequence[UserSpec], hosts: Iterable[str]) -> None:
    """Let the users with a role into a new pool, and its hosts (references) join the directory."""
    directory = Directory(users)
    for user in users:
        if user.role:
            person = directory.named(user.name)
            add_subject(database, person, [role_ref(user.role)])
    for host in hosts if users else ():
        database.write("host", host, "external_auth_type", "AD")
        database.write("host", host, "external_auth_service_name", "EXAMPLE.COM")


def add_subject(database: Database, person: Person, roles: Sequence[str]) -> str:
    """Add a subject with these roles (references) and return it."""
    fields: dict[str, Value] = {"subject_identifier": person.sid, "roles": [*roles]}
    return database.create("subject", fields | {"other_config": person.information})
