"""Pools by name: how much of everything they have."""

from collections.abc import Mapping

import msgspec


class Counts(msgspec.Struct, frozen=True):
    """How much a new pool has of everything.

    `storage` counts shared SRs (every host has a local one, too), `networks` those of the pool;
    `disks`, `interfaces` and `snapshots` are those of each VM.
    """

    hosts: int = 3
    vms: int = 10
    storage: int = 1
    networks: int = 1
    disks: int = 1
    interfaces: int = 1
    snapshots: int = 0


PRESETS: Mapping[str, Counts] = {
    "default": Counts(),
    "edge": Counts(hosts=1, vms=4, storage=0),
    "office": Counts(hosts=3, vms=30, storage=2, networks=3, snapshots=1),
    "datacenter": Counts(hosts=16, vms=600, storage=8, networks=12, disks=2, interfaces=2),
    "large": Counts(hosts=64, vms=5000, storage=24, networks=8),
}
"""Counts by name; `large` has about 40,000 objects."""
