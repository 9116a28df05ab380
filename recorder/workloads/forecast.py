"""What is known of the VMs of a pool before a step: as found, and as the steps before it leave it.

Pure. A VM that a step starts is then on a host that nobody knows before: its host is "".
"""

from collections.abc import Sequence

import msgspec

from .inventory import NULL_REF, Inventory

UNKNOWN_HOST = ""


class Forecast(msgspec.Struct, frozen=True):
    """The pool as it is meant to be at some point of a run."""

    inventory: Inventory

    def power_state(self, vm: str) -> str:
        """Return the power state of a VM."""
        return self.inventory.vms[vm].power_state

    def host(self, vm: str) -> str:
        """Return where a VM runs; "" if that is not known yet, or it does not run."""
        host = self.inventory.vms[vm].resident_on
        return UNKNOWN_HOST if host == NULL_REF else host

    def after(
        self, refs: Sequence[str], *, power_state: str | None = None, hosts: Sequence[str] = ()
    ) -> "Forecast":
        """Return what is known once these VMs have a power state, and hosts if they are given.

        Without either only their hosts are unknown from then on.
        """
        vms = dict(self.inventory.vms)
        for index, ref in enumerate(refs):
            host = hosts[index] if hosts else UNKNOWN_HOST
            state = vms[ref].power_state if power_state is None else power_state
            vms[ref] = msgspec.structs.replace(vms[ref], power_state=state, resident_on=host)
        return Forecast(Inventory(self.inventory.pool, vms, self.inventory.hosts))
