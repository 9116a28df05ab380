"""The recordings of a real xapi: requests and replies by folder, from an archive or from a folder.

The archive beside the tests has all of them; $XENTRAIL_WIRE names a folder to take instead.
"""

import json
import os
import re
import tarfile
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import cast

ARCHIVE = Path(__file__).parents[2] / "golden" / "simulator" / "recorded" / "recordings.tar.xz"
WIRE = os.environ.get("XENTRAIL_WIRE", "")
"""A folder with recordings in folders of their own, or nothing."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the reply to it; the reply is empty where none came within ten seconds."""

    name: str
    request: bytes
    reply: bytes

    @property
    def number(self) -> str:
        """Its place in the order in which requests were answered."""
        return self.name.partition("-")[0]

    @property
    def method(self) -> str:
        """What it calls; nothing for garbage."""
        return _call(self.request)[0]

    @property
    def session(self) -> str:
        """The session that calls, or the user who logs in."""
        params = _call(self.request)[1]
        return str(params[0]) if params else ""

    @property
    def subject(self) -> str:
        """The object that is asked about; nothing if there is none."""
        params = _call(self.request)[1]
        return str(params[1]) if len(params) > 1 else ""


@cache
def read(folder: str) -> tuple[Exchange, ...]:
    """Return the exchanges of a folder such as `v25.32.0` in their order."""
    files = _files()
    names = sorted(name for name in files if name.startswith(f"{folder}/"))
    return tuple(
        Exchange(PurePosixPath(name).stem, files[name], files[name.removesuffix("req") + "resp"])
        for name in names
        if name.endswith(".req")
    )


def exchange(folder: str, end_of_name: str) -> Exchange:
    """Return the one exchange whose name ends like this."""
    (found,) = (item for item in read(folder) if item.name.endswith(end_of_name))
    return found


def archived() -> Mapping[str, bytes]:
    """Return all files of the archive by name."""
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name: _content(archive, member) for member in members}


def in_folder() -> Mapping[str, bytes]:
    """Return those of the same folders in $XENTRAIL_WIRE."""
    return {
        str(path.relative_to(WIRE)): path.read_bytes()
        for path in Path(WIRE).glob("*/*")
        if re.fullmatch(r"v[\d.]+(-http|-lifecycle)?", path.parent.name)
    }


@cache
def _files() -> Mapping[str, bytes]:
    return in_folder() if WIRE else archived()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


@cache
def _call(request: bytes) -> tuple[str, tuple[object, ...]]:
    body = request.partition(b"\r\n\r\n")[2]
    try:
        if body.startswith(b"{"):
            said = json.loads(body)
            return str(said["method"]), tuple(said["params"])
        params, method = xmlrpc.client.loads(body)
    except Exception:  # noqa: BLE001 - garbage comes in all kinds, and each has its own exception
        return "", ()
    return str(method), cast("tuple[object, ...]", params)
