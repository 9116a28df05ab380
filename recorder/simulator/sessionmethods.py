"""The methods of the class `session` that do more than read a field, and how logins are asked for.

Logins are called without a session; the dispatcher knows them.
"""

from collections.abc import Callable, Iterator, Mapping

from .calls import Result
from .door import Door
from .errand import Errand, dummy
from .sessions import Sessions
from .toolstack import Toolstack
from .values import Fault, Value

Login = Callable[[Sessions, Door, str, list[Value]], str]
"""Opens a session: takes the door, how refusals describe the caller, and the arguments."""
OnSession = Callable[[Sessions, Errand, list[Value]], Result]

_SYNC = "host.request_config_file_sync"
_POOL_SECRET_REFUSED = "Pool credentials invalid"  # noqa: S105 - what the server answers


def login_with_password(sessions: Sessions, door: Door, origin: str, args: list[Value]) -> str:
    """`session.login_with_password(uname, pwd, version, originator)`. Faults of `Logins.grant`."""
    user, password, _version, originator = map(str, args)
    return sessions.login(user, password, originator=originator, trusted=door.local, origin=origin)


def slave_local_login_with_password(
    sessions: Sessions, door: Door, _origin: str, args: list[Value]
) -> str:
    """`session.slave_local_login_with_password(uname, pwd)`: root only, on this host only."""
    user, password = map(str, args)
    return sessions.login_local(user, password, address=door.address, trusted=door.local)


def slave_login(_sessions: Sessions, _door: Door, _origin: str, args: list[Value]) -> str:
    """`session.slave_login(host, psecret)`: nobody outside knows the secret of the pool."""
    raise Fault("SESSION_AUTHENTICATION_FAILED", str(args[0]), _POOL_SECRET_REFUSED)


def slave_local_login(_sessions: Sessions, _door: Door, _origin: str, _args: list[Value]) -> str:
    """`session.slave_local_login(psecret)`: the same for one host."""
    raise Fault("SESSION_AUTHENTICATION_FAILED", "localhost", _POOL_SECRET_REFUSED)


LOGINS: Mapping[str, Login] = {
    "session.login_with_password": login_with_password,
    "session.slave_local_login_with_password": slave_local_login_with_password,
    "session.slave_login": slave_login,
    "session.slave_local_login": slave_local_login,
}
"""Every method that is called without a session, but for those of `system`."""


def session_methods() -> Iterator[tuple[str, OnSession]]:
    """Yield the methods of open sessions by their names."""
    for verb in ("logout", "local_logout"):
        yield f"session.{verb}", _logout
    yield "session.get_all_subject_identifiers", _get_all_subject_identifiers
    yield "session.logout_subject_identifier", _logout_subject_identifier


def _logout(sessions: Sessions, errand: Errand, _args: list[Value]) -> Result:
    sessions.expire(errand.session, errand.stamp)
    return ""


def change_password(
    toolstack: Toolstack, sessions: Sessions, _errand: Errand, args: list[Value]
) -> Result:
    """`session.change_password(old_pwd, new_pwd)`: the other hosts are told to fetch the new one.

    Only root gets here, the permission is in no role; so nobody looks at the old password.
    """
    sessions.logins.change_password(str(args[1]))
    database = toolstack.database
    master = database.field("pool", toolstack.pool_ref, "master")
    for host in database.refs("host"):
        if host != master:
            task = dummy(database.new_uuid(), _SYNC)
            toolstack.tell(task, _SYNC, {"host": host}, None)
    return ""


def _get_all_subject_identifiers(sessions: Sessions, _errand: Errand, _args: list[Value]) -> Result:
    return [*sessions.subject_identifiers()]


def _logout_subject_identifier(sessions: Sessions, errand: Errand, args: list[Value]) -> Result:
    sessions.expire_subject(str(args[0]), errand.stamp, but=errand.session)
    return ""
