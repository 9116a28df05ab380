"""Who gets a session: root by its password, and users of the directory that the pool knows."""

import hmac
from collections.abc import Sequence

import msgspec

from .database import Database
from .roles import permissions, role_name
from .users import Directory, Person
from .values import NULL_REF, Fault, texts_of

_REFUSED = "Authentication failure"
"""What PAM says to a wrong password."""


class Grant(msgspec.Struct, frozen=True):
    """What a login gives: root's session may do anything, others have `permissions`."""

    user: str
    superuser: bool = True
    sid: str = ""
    subject: str = NULL_REF
    permissions: Sequence[str] = ()


class Logins:
    """The passwords of one pool."""

    def __init__(self, root: str, password: str, database: Database, directory: Directory) -> None:
        self.directory = directory
        self._root = root
        self._password = password
        self._database = database

    def change_password(self, password: str) -> None:
        """Give root another password; sessions that are open stay so."""
        self._password = password

    def check_root(self, user: str, password: str, *, trusted: bool) -> None:
        """Raise Fault SESSION_AUTHENTICATION_FAILED [user, why] for anybody but root."""
        if not (trusted or (user == self._root and _same(password, self._password))):
            raise Fault("SESSION_AUTHENTICATION_FAILED", user, _REFUSED)

    def grant(self, user: str, password: str, *, trusted: bool, origin: str) -> Grant:
        """Return what a login gives.

        A trusted peer is root under any name. Faults SESSION_AUTHENTICATION_FAILED [user, why],
        SESSION_AUTHORIZATION_FAILED [user, why] for a user who is no subject of the pool,
        RBAC_PERMISSION_DENIED for a subject without a role.
        """
        try:
            self.check_root(user, password, trusted=trusted)
        except Fault:
            if not self.directory or user == self._root:
                raise
            return self._grant_subject(user, password, origin)
        return Grant(user)

    def _grant_subject(self, user: str, password: str, origin: str) -> Grant:
        person = self._authenticated(user, password)
        found = self._database.find("subject", "subject_identifier", person.sid)
        if not found:
            who = f"Subject {user} (identifier {person.sid}, from {origin})"
            why = f"{who} has no access rights in this pool"
            raise Fault("SESSION_AUTHORIZATION_FAILED", user, why)
        allowed = subject_permissions(self._database, found[0])
        if not allowed:
            why = f"Subject {user} (identifier {person.sid}) has no roles in this pool"
            raise Fault("RBAC_PERMISSION_DENIED", "session.login_with_password", why)
        # xapi turns the list round each time it collects it, here for the third time.
        return Grant(person.name, False, person.sid, found[0], allowed[::-1])

    def _authenticated(self, user: str, password: str) -> Person:
        try:
            person = self.directory.named(user)
        except Fault as unknown:
            raise Fault("SESSION_AUTHENTICATION_FAILED", user, _REFUSED) from unknown
        if not _same(password, person.password):
            raise Fault("SESSION_AUTHENTICATION_FAILED", user, _REFUSED)
        return person


def subject_permissions(database: Database, subject: str) -> list[str]:
    """Return what a subject may do by its roles, each permission once. Fault HANDLE_INVALID."""
    found: dict[str, None] = {}
    for ref in texts_of(database.record("subject", subject), "roles"):
        role = role_name(ref)
        if role is not None:
            found |= dict.fromkeys(permissions(role))
    return list(found)


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), known.encode("utf-8", "surrogatepass")
    )
