"""Addresses as xapi checks them: MAC, IP, and IP with the length of its prefix."""

import hashlib
import re
from ipaddress import IPv4Address, IPv6Address

from .values import Fault

_MAC = re.compile("[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}")
_PREFIX_MAX = {4: 32, 6: 128}


def check_mac(mac: str) -> None:
    """Fault MAC_INVALID [mac]."""
    if _MAC.fullmatch(mac) is None:
        raise Fault("MAC_INVALID", mac)


def generated_mac(device: int, seed: str) -> str:
    """Return the MAC address that xapi makes for a device of a VM from the VM's `mac_seed`."""
    digest = seed.encode()
    for _ in range(device * 2 + 1):
        digest = hashlib.md5(digest, usedforsecurity=False).digest()
    again = hashlib.md5(digest, usedforsecurity=False).digest()
    first = (digest[0] | 0x02) & 0xFE
    return ":".join(f"{byte:02x}" for byte in (first, *digest[1:4], *again[1:3]))


def is_ip(text: str, version: int) -> bool:
    """Say whether a text is an IP address of this version (4 or 6)."""
    try:
        (IPv4Address if version == 4 else IPv6Address)(text)
    except ValueError:
        return False
    return True


def check_ip(field: str, text: str, version: int) -> None:
    """Fault INVALID_IP_ADDRESS_SPECIFIED [field]."""
    if not is_ip(text, version):
        raise Fault("INVALID_IP_ADDRESS_SPECIFIED", field)


def check_cidr(field: str, text: str, version: int) -> None:
    """Fault INVALID_CIDR_ADDRESS_SPECIFIED [field] unless it is `address/length`."""
    address, slash, length = text.partition("/")
    known = is_ip(address, version) and bool(slash) and length.isdecimal()
    if not known or int(length) > _PREFIX_MAX[version]:
        raise Fault("INVALID_CIDR_ADDRESS_SPECIFIED", field)
