"""What a recorder has to do, and not a line more: `... duties PORT COUNT FILE`.

The bare loop, which also looks for secrets with the recorder's own decoders, and for the reference
of its session, and writes frames as FORMAT.md has them: with checksum, chain and tree. It replaces
no secret, knows no gap, and serves nobody else.
"""

import os
import sys
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import msgpack
import msgspec

from recorder.journal.merkle import MerkleTree
from recorder.redaction.masks import Masks
from recorder.redaction.policy import Policy
from recorder.redaction.usual import Usual
from tests.bench.ingest.bare import Told, take
from tests.bench.ingest.replies import SESSION

TOKEN = SESSION.encode()


class Duties:
    """A file to which events go, looked through, in frames."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pack = msgpack.Packer().pack
        self._policy = Policy.of(fields={})
        self._masks = Masks(self._policy, bytes(32))
        self._usual: dict[str, Usual] = {}
        self._tree = MerkleTree()
        self._chain = bytes(32)
        self._seq = 0

    def keep(self, events: list[Told]) -> None:
        """Make them durable."""
        items, leaves = [], []
        for event in events:
            snapshot = bytes(event.snapshot)
            self._look_for_secrets(event.cls, snapshot)
            self._seq += 1
            item = self._pack(
                (self._seq, 0, event.cls, event.operation, event.ref, event.id, snapshot)
            )
            items.append(item)
            leaves.append(sha256(b"\x00" + item).digest())
        payload = b"".join(items)
        self._tree.add(leaves)
        self._chain = sha256(b"".join([self._chain, *leaves])).digest()
        os.write(self._fd, b"".join([crc32(payload).to_bytes(4), payload, self._chain]))
        os.fdatasync(self._fd)

    def _look_for_secrets(self, cls: str, snapshot: bytes) -> None:
        usual = self._usual.get(cls)
        if usual is None:
            usual = self._usual[cls] = Usual(self._policy.rules_of(cls))
        try:
            usual.decode(snapshot)
        except msgspec.DecodeError:
            usual.learn(snapshot, self._masks)
        if snapshot.rfind(TOKEN) >= 0:  # as the recorder looks for it
            raise RuntimeError("the server tells the reference of a session")


def main() -> None:
    """Take so many events."""
    port, count, path = sys.argv[1:]
    take(int(port), int(count), Duties(Path(path)).keep)


if __name__ == "__main__":
    main()
