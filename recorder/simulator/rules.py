"""Which operations exclude each other, class by class: what is refused now, and what is offered.

A class without rules here lets one operation at a time have an object, and offers nothing by
itself.
"""

from collections.abc import Callable, Mapping

import msgspec

from . import appliancestate, hoststate, poolstate, srstate, vbdstate, vdistate, vifstate, vmstate
from .database import Database
from .values import NULL_REF, Fault, Record, map_of, text_of

Refusal = Callable[[Database, str, str], Fault | None]
"""Takes rows, reference and operation; says why it is not possible now."""
Offer = Callable[[Database, str], list[str]]
"""Takes rows and reference; returns what `allowed_operations` must show now."""


class Rules(msgspec.Struct, frozen=True):
    """The rules of one class; `offer` is None if its `allowed_operations` are not computed."""

    refusal: Refusal
    offer: Offer | None = None


def rules_of(cls: str) -> Rules:
    """Return the rules of a class, by its name in the data model."""
    return _RULES.get(cls) or Rules(lambda database, ref, _op: one_at_a_time(database, cls, ref))


def one_at_a_time(database: Database, cls: str, ref: str) -> Fault | None:
    """Return OTHER_OPERATION_IN_PROGRESS [cls, ref, operation, task] if there is one, or None."""
    for task, name in map_of(database.record(cls, ref), "current_operations").items():
        return Fault("OTHER_OPERATION_IN_PROGRESS", cls, ref, str(name), task)
    return None


def _vm_refusal(database: Database, vm: str, operation: str) -> Fault | None:
    return vmstate.refusal(vm, database.record("VM", vm), operation)


def _vm_offer(database: Database, vm: str) -> list[str]:
    record = database.record("VM", vm)
    ref = text_of(record, "guest_metrics")
    known = ref != NULL_REF and database.exists("VM_guest_metrics", ref)
    guest = database.record("VM_guest_metrics", ref) if known else None
    return vmstate.allowed_operations(vm, record, guest)


def _host_refusal(database: Database, host: str, operation: str) -> Fault | None:
    record = database.record("host", host)
    return hoststate.refusal(host, record, operation, live=_lives(database, record))


def _host_offer(database: Database, host: str) -> list[str]:
    record = database.record("host", host)
    return hoststate.allowed_operations(host, record, live=_lives(database, record))


def _lives(database: Database, host: Record) -> bool:
    metrics = text_of(host, "metrics")
    known = database.exists("host_metrics", metrics)
    return known and database.field("host_metrics", metrics, "live") is True


_RULES: Mapping[str, Rules] = {
    "VM": Rules(_vm_refusal, _vm_offer),
    "host": Rules(_host_refusal, _host_offer),
    "pool": Rules(poolstate.refusal, poolstate.offer),
    "SR": Rules(srstate.refusal, srstate.offer),
    "VDI": Rules(vdistate.refusal, vdistate.offer),
    "VBD": Rules(vbdstate.refusal, vbdstate.offer),
    "VIF": Rules(vifstate.refusal, vifstate.offer),
    "VM_appliance": Rules(appliancestate.refusal, appliancestate.offer),
}
CLASSES = tuple(_RULES)
"""The classes whose `allowed_operations` are computed."""
