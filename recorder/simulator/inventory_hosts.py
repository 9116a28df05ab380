"""Hosts of a new pool with their network interfaces, and networks."""

from collections.abc import Sequence

import msgspec

from .copies import new_mac
from .database import Database
from .values import EPOCH, Value, datetime_of

GIB = 1024**3

_SOFTWARE: dict[str, Value] = {
    "product_version": "8.4.0",
    "product_version_text": "8",
    "product_brand": "XenServer",
    "build_number": "xenserver",
    "xapi": "25.32",
    "xapi_build": "25.32.0",
    "xen": "4.17.5",
    "linux": "4.19.0+1",
    "network_backend": "openvswitch",
    "dbv": "",
}
_CPU: dict[str, Value] = {
    "cpu_count": "32",
    "socket_count": "2",
    "vendor": "GenuineIntel",
    "speed": "2100.000",
    "modelname": "Intel(R) Xeon(R) Silver 4314 CPU",
    "family": "6",
    "model": "106",
    "stepping": "6",
}
_OFFERS: list[Value] = ["vm_migrate", "provision", "vm_resume", "enable", "evacuate", "vm_start"]


class Hardware(msgspec.Struct, frozen=True):
    """What all hosts of a pool have in common."""

    network: str
    memory_bytes: int


def add_host(database: Database, name: str, address: str, hardware: Hardware) -> str:
    """Add a running host with its metrics and management interface; returns its reference."""
    now = datetime_of(database.now_s())
    metrics = database.create(
        "host_metrics",
        {
            "memory_total": hardware.memory_bytes,
            "memory_free": hardware.memory_bytes - GIB,
            "live": True,
            "last_updated": now,
        },
    )
    host = database.create(
        "host",
        {
            "name_label": name,
            "name_description": "Default install",
            "memory_overhead": GIB,
            "allowed_operations": _OFFERS,
            "API_version_major": 2,
            "API_version_minor": 21,
            "API_version_vendor": "XenSource",
            "enabled": True,
            "software_version": _SOFTWARE,
            "other_config": {"agent_start_time": f"{int(database.now_s())}.", "iscsi_iqn": ""},
            "capabilities": ["xen-3.0-x86_64", "hvm-3.0-x86_32", "hvm-3.0-x86_64"],
            "sched_policy": "credit",
            "supported_bootloaders": ["pygrub", "eliloader"],
            "cpu_info": _CPU,
            "hostname": name,
            "address": address,
            "metrics": metrics,
            "edition": "premium",
            "virtual_hardware_platform_versions": [0, 1, 2],
            "https_only": True,
            "ssl_legacy": False,
            "last_software_update": EPOCH,
        },
    )
    _add_interface(database, host, address, hardware.network)
    return host


def add_network(database: Database, name: str, *, bridge: str) -> str:
    """Add a network; returns its reference."""
    return database.create("network", {"name_label": name, "bridge": bridge})


def add_vlans(database: Database, hosts: Sequence[str], count: int) -> list[str]:
    """Add networks that are VLANs on the first interface of every host; returns the networks."""
    physical = {str(database.field("PIF", pif, "host")): pif for pif in database.refs("PIF")}
    below = [physical[host] for host in hosts]
    return [_add_vlan(database, below, number) for number in range(2, 2 + count)]


def _add_vlan(database: Database, physical: Sequence[str], number: int) -> str:
    network = add_network(database, f"network-{number}", bridge=f"xapi{number - 2}")
    for below in physical:
        lower = database.record("PIF", below)
        fields = {name: lower[name] for name in ("device", "MAC", "MTU", "host", "properties")}
        tagged: dict[str, Value] = {"network": network, "VLAN": 100 + number}
        metrics = database.create("PIF_metrics", {"carrier": True, "speed": 10000, "duplex": True})
        above = database.create(
            "PIF", {**fields, **tagged, "metrics": metrics, "currently_attached": True}
        )
        ends: dict[str, Value] = {"tagged_PIF": below, "untagged_PIF": above, "tag": 100 + number}
        vlan = database.create("VLAN", ends)
        database.write("PIF", above, "VLAN_master_of", vlan)
    return network


def _add_interface(database: Database, host: str, address: str, network: str) -> None:
    metrics = database.create(
        "PIF_metrics",
        {
            "carrier": True,
            "vendor_name": "Intel Corporation",
            "device_name": "Ethernet Controller X710 for 10GbE SFP+",
            "speed": 10000,
            "duplex": True,
            "pci_bus_path": "0000:18:00.0",
            "last_updated": datetime_of(database.now_s()),
        },
    )
    database.create(
        "PIF",
        {
            "device": "eth0",
            "network": network,
            "host": host,
            "MAC": new_mac(database.new_uuid()),
            "MTU": 1500,
            "VLAN": -1,
            "metrics": metrics,
            "physical": True,
            "ip_configuration_mode": "Static",
            "IP": address.rpartition(":")[0] or address,
            "netmask": "255.255.255.0",
            "management": True,
            "properties": {"gro": "on"},
        },
    )
