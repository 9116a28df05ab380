"""Which classes a baseline reads, and what it needs to know of the pool record."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from ..errors import ProtocolError

SILENT_CLASSES = frozenset({"auth", "data_source", "event", "role", "secret", "session", "user"})
"""Classes that emit no events: a baseline of them would grow stale unnoticed. `secret` also holds
passwords in clear, which a journal must never see; `role` some 2,000 permissions that are the same
in every pool of a release, more than a small pool has objects."""

CLASSES_MAX = 500
"""XAPI has 66; each is read by three calls."""

UUID_CHARS_MAX = 64

_SUFFIX = ".get_all_records"


def classes_with_records(methods: Iterable[str]) -> list[str]:
    """Return the classes whose records can be read and whose changes are told, sorted.

    `methods` is the answer of `system.listMethods`, such as `VM.get_all_records`. Raises
    ProtocolError for more classes than any server has.
    """
    classes = {method.removesuffix(_SUFFIX) for method in methods if method.endswith(_SUFFIX)}
    if len(classes) > CLASSES_MAX:
        raise ProtocolError(f"the server lists {len(classes)} classes, more than {CLASSES_MAX}")
    return sorted(cls for cls in classes if "." not in cls and cls not in SILENT_CLASSES)


class _PoolRecord(msgspec.Struct):
    uuid: Annotated[str, msgspec.Meta(max_length=UUID_CHARS_MAX)]


def uuid_of_pool(records: Mapping[str, bytes]) -> str:
    """Return the uuid of the only pool in the answer of `pool.get_all_records`.

    Raises ProtocolError if there is not exactly one.
    """
    if len(records) != 1:
        raise ProtocolError(f"pool.get_all_records answered {len(records)} pools, expected one")
    raw = next(iter(records.values()))
    try:
        return msgspec.json.decode(raw, type=_PoolRecord).uuid
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"the pool record has no uuid: {error}") from error
