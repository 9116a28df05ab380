"""What a host replays: written to a file before anything is measured, and read by its process."""

from pathlib import Path

import msgspec


class Script(msgspec.Struct):
    """Answers as they go out, HTTP heads included.

    `answers` is by method, `other` is for those that it lacks, `events` for calls of `event_method`
    one after the other. `no_page` is for what is asked elsewhere than at `paths`. The certificate
    is PEM.
    """

    certificate: str
    key: str
    fingerprint: str
    paths: list[str]
    answers: dict[str, bytes]
    other: bytes
    no_page: bytes
    event_method: str
    events: list[bytes]

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, path: Path) -> "Script":
        """Read it from a file."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)
