"""What a pool consists of, as far as workloads look at it: its VMs and hosts. No I/O."""

from collections.abc import Mapping

import msgspec

from ..errors import ProtocolError

NEVER = "xentrail:never"
"""VMs with this tag are never touched."""
NULL_REF = "OpaqueRef:NULL"


class VmRecord(msgspec.Struct, frozen=True):
    """The fields of a VM record that matter here; a release that lacks one has its default."""

    uuid: str = ""
    name_label: str = ""
    power_state: str = ""
    resident_on: str = NULL_REF
    is_a_template: bool = False
    is_a_snapshot: bool = False
    is_control_domain: bool = False
    tags: list[str] = []
    allowed_operations: list[str] = []
    current_operations: dict[str, str] = {}

    @property
    def forbidden(self) -> str | None:
        """Why no workload touches this VM; None for one that may be touched."""
        if self.is_control_domain:
            return "it is a control domain"
        if self.is_a_snapshot:
            return "it is a snapshot"
        if self.is_a_template:
            return "it is a template"
        return f"it has the tag {NEVER}" if NEVER in self.tags else None


class HostRecord(msgspec.Struct, frozen=True):
    """The fields of a host record that matter here."""

    uuid: str = ""
    name_label: str = ""
    enabled: bool = True
    resident_VMs: list[str] = []  # noqa: N815 - a name of XAPI


class Inventory(msgspec.Struct, frozen=True):
    """The VMs and hosts of one pool by reference."""

    pool: str
    vms: Mapping[str, VmRecord] = msgspec.field(default_factory=dict)
    hosts: Mapping[str, HostRecord] = msgspec.field(default_factory=dict)


_VM = msgspec.json.Decoder(VmRecord)
_HOST = msgspec.json.Decoder(HostRecord)


def vm_in(snapshot: bytes) -> VmRecord:
    """Read a VM record from JSON text. Raises ProtocolError."""
    try:
        return _VM.decode(snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a VM record cannot be read: {error}") from error


def host_in(snapshot: bytes) -> HostRecord:
    """Read a host record from JSON text. Raises ProtocolError."""
    try:
        return _HOST.decode(snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a host record cannot be read: {error}") from error


def inventory_in(pool: str, vms: Mapping[str, bytes], hosts: Mapping[str, bytes]) -> Inventory:
    """Read records by reference, as `get_all_records` gives them. Raises ProtocolError."""
    return Inventory(
        pool,
        {ref: vm_in(text) for ref, text in vms.items()},
        {ref: host_in(text) for ref, text in hosts.items()},
    )
