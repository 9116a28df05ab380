"""Which host carries a call out: the master passes on what is about a VM or a host elsewhere.

The host that gets it has a line of its own, with the mark of the master's task. What a call says
about its own failure does not tell how far it got: one that fails is taken to have done so on the
master, as most do.
"""

from collections.abc import Mapping

from .calls import Sent
from .database import Database
from .values import NULL_REF, text_of

_WHERE_IT_RUNS = frozenset(
    {
        "VM.pause",
        "VM.unpause",
        "VM.clean_shutdown",
        "VM.hard_shutdown",
        "VM.shutdown",
        "VM.clean_reboot",
        "VM.hard_reboot",
        "VM.suspend",
        "VM.pool_migrate",
    }
)
"""Calls that go to the host on which the VM is when they begin."""
_WHERE_IT_COMES = frozenset({"VM.start", "VM.start_on", "VM.resume", "VM.resume_on"})
"""Calls that go to the host on which the VM is when they are done."""
_TO_THE_HOST = frozenset(
    {"host.disable", "host.enable", "host.reboot", "host.shutdown", "host.restart_agent"}
)
"""Calls that go to the host that they name."""


def host_before(database: Database, call: str, given: Mapping[str, Sent]) -> str:
    """Return the host that is to carry a call out, "" if that is not known before it is done."""
    if call in _WHERE_IT_RUNS:
        return _host_of(database, given)
    host = given.get("host")
    return host if call in _TO_THE_HOST and isinstance(host, str) else ""


def host_after(database: Database, call: str, given: Mapping[str, Sent]) -> str:
    """Return the host that has carried a call out, "" if nothing tells."""
    return _host_of(database, given) if call in _WHERE_IT_COMES else ""


def _host_of(database: Database, given: Mapping[str, Sent]) -> str:
    vm = given.get("vm")
    if not isinstance(vm, str) or not database.exists("VM", vm):
        return ""
    host = text_of(database.row("VM", vm).record, "resident_on")
    return "" if host == NULL_REF else host
