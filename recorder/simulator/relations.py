"""Which reference field of a class is mirrored by which set of another, as the server keeps them.

A relation is `CLASS.field CLASS.set`: the field is written, the set follows by itself. `many` marks
the relations whose field is a set, too. What the server itself never shows is left out.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from .datamodel import fields

_TABLE = """
VM.snapshot_of VM.snapshots
VDI.snapshot_of VDI.snapshots
VM.parent VM.children
task.subtask_of task.subtasks
PIF.bond_slave_of Bond.slaves
Bond.master PIF.bond_master_of
VLAN.tagged_PIF PIF.VLAN_slave_of
tunnel.access_PIF PIF.tunnel_access_PIF_of
tunnel.transport_PIF PIF.tunnel_transport_PIF_of
network_sriov.physical_PIF PIF.sriov_physical_PIF_of
network_sriov.logical_PIF PIF.sriov_logical_PIF_of
PBD.host host.PBDs
PBD.SR SR.PBDs
VBD.VDI VDI.VBDs
crashdump.VDI VDI.crash_dumps
VBD.VM VM.VBDs
crashdump.VM VM.crash_dumps
VIF.VM VM.VIFs
VIF.network network.VIFs
Cluster_host.cluster Cluster.cluster_hosts
PIF.host host.PIFs
PIF.network network.PIFs
VDI.SR SR.VDIs
VTPM.VM VM.VTPMs
console.VM VM.consoles
VM.resident_on host.resident_VMs
host_cpu.host host.host_CPUs
host_crashdump.host host.crashdumps
host_patch.host host.patches
host_patch.pool_patch pool_patch.host_patches
host.updates pool_update.hosts many
VM.protection_policy VMPP.VMs
VM.snapshot_schedule VMSS.VMs
VM.appliance VM_appliance.VMs
VM.groups VM_group.VMs many
PGPU.GPU_group GPU_group.PGPUs
VGPU.GPU_group GPU_group.VGPUs
VGPU.type VGPU_type.VGPUs
VGPU.VM VM.VGPUs
VGPU.resident_on PGPU.resident_VGPUs
PGPU.supported_VGPU_types VGPU_type.supported_on_PGPUs many
PGPU.enabled_VGPU_types VGPU_type.enabled_on_PGPUs many
GPU_group.supported_VGPU_types VGPU_type.supported_on_GPU_groups many
GPU_group.enabled_VGPU_types VGPU_type.enabled_on_GPU_groups many
PCI.host host.PCIs
PGPU.host host.PGPUs
VDI.metadata_of_pool pool.metadata_VDIs
SR.introduced_by DR_task.introduced_SRs
PVS_server.site PVS_site.servers
PVS_proxy.site PVS_site.proxies
PVS_cache_storage.site PVS_site.cache_storage
PUSB.host host.PUSBs
PUSB.USB_group USB_group.PUSBs
VUSB.USB_group USB_group.VUSBs
VUSB.VM VM.VUSBs
Feature.host host.features
Certificate.host host.certificates
Driver_variant.driver Host_driver.variants
"""


class Relation(NamedTuple):
    """A field that refers to others, and the set on the other side that mirrors it."""

    cls: str
    field: str
    other_cls: str
    other_field: str
    many: bool


@cache
def relations() -> tuple[Relation, ...]:
    """Return every relation."""
    return tuple(_relation(line) for line in _TABLE.split("\n") if line)


@cache
def relations_of(cls: str) -> Mapping[str, Relation]:
    """Return the relations of a class by the field that is written, in the order of the record.

    That is the order in which the server tells of the other sides of a new object.
    """
    found = {relation.field: relation for relation in relations() if relation.cls == cls}
    return {name: found[name] for name in fields(cls) if name in found}


def _relation(line: str) -> Relation:
    written, mirror, *many = line.split(" ")
    cls, field = written.split(".")
    other_cls, other_field = mirror.split(".")
    return Relation(cls, field, other_cls, other_field, bool(many))
