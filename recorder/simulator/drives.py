"""The names of block devices: which are valid, which a VM uses, which it has left."""

import re

from .database import Database
from .values import Fault, Record, text_of, texts_of

AUTODETECT = "autodetect"
DEVICES_MAX = 255
"""Numbers of disks in a VM go up to this less one; the control domain has one more."""
FLOPPIES = ("fda", "fdb")

_NAME = re.compile(r"(?:xvd|hd|sd)([a-z]+)[0-9]*")
_VALID = re.compile(r"(?:(?:xvd|hd|sd)[a-p]|fd[ab])[0-9]*", re.ASCII)


def number_of(device: str) -> int | None:
    """Return the number of a disk by any of its names (`1`, `xvdb`, `hdb`), None if it is none."""
    if device.isascii() and device.isdecimal():
        return int(device)
    found = _NAME.fullmatch(device)
    if found is None:
        return None
    number = 0
    for letter in found[1]:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1


def linux_name(number: int) -> str:
    """Return the name that a guest has for a disk: `xvda` for 0, `xvdaa` for 26."""
    letters = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return f"xvd{letters}"


def free_numbers(database: Database, vm: str) -> list[str]:
    """Return the numbers that VBDs of a VM may still take, `VM.get_allowed_VBD_devices`."""
    record = database.record("VM", vm)
    last = DEVICES_MAX + 1 if record["is_control_domain"] is True else DEVICES_MAX
    used = {number_of(device) for device in _used(database, record)}
    return [str(number) for number in range(last) if number not in used]


def chosen(database: Database, vm: str, userdevice: str, kind: str) -> str:
    """Return the `userdevice` of a new VBD: the one wanted, or the first that is free.

    Raises Fault INVALID_DEVICE [device], DEVICE_ALREADY_EXISTS [device].
    """
    used = _used(database, database.record("VM", vm))
    free = free_numbers(database, vm)
    if kind == "Floppy":
        free = [name for name in FLOPPIES if name not in used]
    if not _is_valid(userdevice, kind) or (userdevice == AUTODETECT and not free):
        raise Fault("INVALID_DEVICE", userdevice)
    if userdevice == AUTODETECT:
        return free[0]
    number = number_of(userdevice)
    taken = number is not None and number in {number_of(device) for device in used}
    if taken or userdevice in used:
        raise Fault("DEVICE_ALREADY_EXISTS", userdevice)
    return userdevice


def _is_valid(device: str, kind: str) -> bool:
    if device == AUTODETECT or _VALID.fullmatch(device):
        return True
    return kind != "Floppy" and device.isascii() and device.isdecimal()


def _used(database: Database, vm: Record) -> set[str]:
    records = [database.row("VBD", vbd).record for vbd in texts_of(vm, "VBDs")]
    names = {text_of(record, field) for record in records for field in ("device", "userdevice")}
    return names - {""}
