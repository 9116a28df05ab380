"""Room in SRs: how many bytes a disk takes, whether it fits, and what the SR says of itself."""

from .plugins import THICK, VHD
from .srstate import plugged_pbds
from .toolstack import Call
from .values import Fault, Record, int_of, text_of

MIB = 1024**2
DISK_MIB_MAX = 2_088_960
"""The largest VHD, a little under 2 TiB."""
_BLOCK = 2 * MIB
"""VHD files grow by blocks of this size: a disk is rounded up to it."""
_THICK_EXTRA = 12 * MIB
_THIN_EMPTY = 37_376
"""Headers and tables of a VHD without data."""
SIZES_BYTES = {"iso": 10 * 1024**3, "udev": 0, "ext": 400 * 1024**3, "lvm": 400 * 1024**3}
SIZE_BYTES = 4096 * 1024**3
"""What an SR turns out to have when nobody said: by type, else this."""


def master(call: Call) -> str:
    """Return the host that is the master of the pool."""
    return str(call.database.field("pool", call.toolstack.pool_ref, "master"))


def check_attached(call: Call, sr: str) -> None:
    """Fault SR_HAS_NO_PBDS [sr] unless a host can work on the SR: for shared ones, the master."""
    pbds = plugged_pbds(call.database, sr)
    if call.database.field("SR", sr, "shared") is True:
        pbds = [pbd for pbd in pbds if call.database.field("PBD", pbd, "host") == master(call)]
    if not pbds:
        raise Fault("SR_HAS_NO_PBDS", sr)


def rounded_bytes(call: Call, sr: str, size_bytes: int) -> int:
    """Return the size that a disk really gets. Fault SR_BACKEND_FAILURE_79 ["", reason, ""]."""
    if call.database.field("SR", sr, "type") not in VHD:
        return size_bytes
    if not MIB <= size_bytes <= DISK_MIB_MAX * MIB:
        limits = f"VDI size must be between 1 MB and {DISK_MIB_MAX} MB"
        raise Fault("SR_BACKEND_FAILURE_79", "", f"VDI Invalid size [opterr={limits}]", "")
    return -(-size_bytes // _BLOCK) * _BLOCK


def taken_bytes(call: Call, sr: str, size_bytes: int, *, data_bytes: int = 0) -> int:
    """Return what a disk of this size with this much data in it takes of its SR."""
    if call.database.field("SR", sr, "type") in THICK:
        return size_bytes + _THICK_EXTRA
    return max(data_bytes, _THIN_EMPTY)


def check_room(call: Call, sr: str, more_bytes: int) -> None:
    """Fault SR_BACKEND_FAILURE_44 ["", reason, ""] if an SR cannot take so many bytes more.

    The API also knows SR_FULL, but no server raises it: it is the plugins that find no space.
    """
    record = call.database.row("SR", sr).record
    free = int_of(record, "physical_size") - int_of(record, "physical_utilisation")
    if int_of(record, "physical_size") > 0 and more_bytes > free:
        raise Fault("SR_BACKEND_FAILURE_44", "", "There is insufficient space", "")


def charge(call: Call, sr: str, *, virtual_bytes: int, physical_bytes: int) -> None:
    """Write into an SR that so much more of it is promised and taken (less, if negative)."""
    changes = {"virtual_allocation": virtual_bytes, "physical_utilisation": physical_bytes}
    for field, change in changes.items():
        before = int_of(call.database.row("SR", sr).record, field)
        call.set("SR", sr, field, max(before, 0) + change if before + change > 0 else 0)


def charge_for(call: Call, disk: Record, *, sign: int = 1) -> None:
    """Write into the SR of a disk that it came (or, with -1, that it went)."""
    charge(
        call,
        text_of(disk, "SR"),
        virtual_bytes=sign * int_of(disk, "virtual_size"),
        physical_bytes=sign * int_of(disk, "physical_utilisation"),
    )


def measure(call: Call, sr: str) -> None:
    """Write what an SR finds of its own size, as `SR.update` does."""
    record = call.database.row("SR", sr).record
    if int_of(record, "physical_size") < 0:
        call.set("SR", sr, "physical_size", SIZES_BYTES.get(text_of(record, "type"), SIZE_BYTES))
    if int_of(record, "physical_utilisation") < 0:
        call.set("SR", sr, "physical_utilisation", 0)
