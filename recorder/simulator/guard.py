"""Who may do what, and the line in the audit trail that says what became of it."""

from collections.abc import Awaitable, Callable, Mapping

import trio

from .audit import AuditTrail, Caller, Finding, is_audited, trackid
from .auditargs import arguments
from .calls import Result, Sent
from .database import Database
from .dump_values import quoted
from .errand import Errand
from .roles import guarded_keys, roles_with
from .sessions import Sessions
from .values import Fault

LOOK_UP_S = 0.37
"""How long xapi looks for the roles that may do what it has refused: it lists them."""
ANY_TASK = "task.destroy/any"
"""The permission to end tasks that somebody else has made."""
_ON_OWN_TASKS = frozenset(
    {
        "task.cancel",
        "task.destroy",
        "task.set_status",
        "task.set_progress",
        "task.set_result",
        "task.set_error_info",
    }
)


class Guard:
    """Attends the calls of one pool: refuses those that their session may not make."""

    def __init__(
        self, database: Database, sessions: Sessions, trail: AuditTrail, *, speed: float
    ) -> None:
        """`speed` scales how long a refusal takes."""
        self._database = database
        self._sessions = sessions
        self._trail = trail
        self._look_up_s = LOOK_UP_S * speed

    async def attend(self, errand: Errand, do: Callable[[], Awaitable[Result]]) -> Result:
        """Let a call be done if its session may make it, and write down how it went.

        Raises Fault RBAC_PERMISSION_DENIED [permission, roles that have it], or what `do` raises.
        """
        await self._admit(errand)
        before = self._told(errand) if ".destroy" in errand.call else None
        try:
            if errand.call in _ON_OWN_TASKS:
                await self._admit_to_task(errand)
            result = await do()
        except Fault as fault:
            self.write(errand, "ALLOWED", error_text(fault), before)
            raise
        self.write(errand, "ALLOWED", "OK", before)
        return result

    def refusal(self, errand: Errand) -> Fault | None:
        """Return why a session may not do something, None if it may."""
        permission = permission_of(errand.call, errand.given)
        return None if self._sessions.may(errand.session, permission) else denied(permission)

    async def _admit(self, errand: Errand) -> None:
        """Write a line and raise Fault RBAC_PERMISSION_DENIED if the session may not do this."""
        fault = self.refusal(errand)
        if fault is None:
            return
        late = self._trail.habits.refuses_late
        if not late:
            self.write(errand, "DENIED", "")
        await trio.sleep(self._look_up_s)
        if late:
            self.write(errand, "DENIED", "")
        raise fault

    def write(self, errand: Errand, verdict: str, result: str, told: str | None = None) -> None:
        """Write the line of a call if it is one that gets a line."""
        if is_audited(errand.call):
            told = self._told(errand) if told is None else told
            finding = Finding(errand.call, verdict, result, told)
            self._trail.write(errand.stamp, self._sessions.caller(errand.session), finding)

    def write_inner(self, errand: Errand, host: str, fault: Fault | None) -> None:
        """Write the line of a call that a host (a reference) makes with a session of its own."""
        result = error_text(fault) if fault else "OK"
        seed = f"{errand.task} at {errand.stamp.address}"
        caller = Caller(trackid(seed), "LOCAL_SUPERUSER", host)
        finding = Finding(errand.call, "ALLOWED", result, self._told(errand))
        self._trail.write(errand.stamp, caller, finding)

    def write_atoms(self, errand: Errand) -> None:
        """Write the line of a session's beginning or end: all that is given is told as it is."""
        told = " ".join(
            f"({quoted(name)} {quoted(str(value))} '' '')" for name, value in errand.given.items()
        )
        self.write(errand, "ALLOWED", "OK", f"({told})")

    async def _admit_to_task(self, errand: Errand) -> None:
        """Let a session meddle with a task of its own user, with others' only by permission."""
        task = errand.given.get("self", errand.given.get("task"))
        if isinstance(task, str) and self._sessions.owns(errand.session, task):
            return
        meddling = Errand(errand.session, ANY_TASK, {}, errand.task, errand.stamp)
        await self._admit(meddling)
        self.write(meddling, "ALLOWED", "OK")

    def _told(self, errand: Errand) -> str:
        return arguments(self._database, errand.call, errand.given)


def permission_of(call: str, given: Mapping[str, Sent]) -> str:
    """Return the permission that a call takes: its name, or that of one key of a map."""
    permission = call.lower()
    key = given.get("key")
    if not isinstance(key, str):
        return permission
    for guarded in guarded_keys().get(call, ()):
        stem = guarded.removesuffix("*")
        if key == guarded or (stem != guarded and key.startswith(stem)):
            return f"{permission}/key:{guarded.lower()}"
    return permission


def error_text(fault: Fault) -> str:
    """Return how a line says that a call failed."""
    return f"ERROR:{fault.code}: [ {'; '.join(fault.params)} ]"


def denied(permission: str) -> Fault:
    """Return the refusal of somebody without a permission."""
    roles = ", ".join(roles_with(permission))
    why = f"No permission in user session. (Roles with this permission: {roles})"
    return Fault("RBAC_PERMISSION_DENIED", permission, why)
