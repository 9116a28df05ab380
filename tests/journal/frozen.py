"""Writes what is frozen in tests/golden/journal-2, byte for byte the same each time.

    python -m tests.journal.frozen FOLDER

is for a new version of the format only: then into a folder of its own.
"""

import json
import shutil
import sys
from hashlib import sha256
from itertools import count
from pathlib import Path

from recorder.journal.chain import leaf_hash
from recorder.journal.files import Disk
from recorder.journal.keys import (
    PUBLIC_NAME,
    SigningKey,
    read_endorsement,
    read_verifiers,
    replace_key,
    sign_note,
)
from recorder.journal.merkle import MerkleTree, inclusion_path
from recorder.journal.note import Checkpoint
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.prove import prove
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.model import RECORDER, Draft, Heartbeat
from tests.journal.disks import FaultyDisk
from tests.journal.samples import EPOCH_NS, abandon, drafts, event, open_journal

PROOFS = {
    "checkpoint-inside": ("raw", 4),
    "seal": ("raw", 15),
    "new-key": ("raw", 27),
    "packed": ("packed", 9),
    "redacted": ("redacted", 16),
    "behind-tombstone": ("dropped", 36),
}
"""By name: the journal and the entry."""


class FixedDisk(FaultyDisk):
    """Gives every key another seed, but always the same ones."""

    def __init__(self) -> None:
        super().__init__()
        self._seeds = count(1)

    def fresh_seed(self) -> bytes:
        return seed(next(self._seeds))


def seed(number: int) -> bytes:
    """The 32 bytes that the key of this number is made of."""
    return sha256(f"key {number} of a frozen journal".encode()).digest()


def write_frozen(folder: Path) -> None:
    """Write journals, proofs of their entries, and test vectors."""
    write_raw(folder / "raw")
    for name in ("packed", "redacted", "dropped"):
        shutil.copytree(folder / "raw", folder / name)
        for number in to_pack(folder / name, Disk()):
            assert pack_segment(folder / name, number, Disk())
    with open_journal(folder / "redacted") as journal:
        redact(journal, 16, "it held a password", by="somebody")
        redact(journal, 29, "it held another", by="somebody")
    with open_journal(folder / "dropped", segment_bytes_max=1000) as journal:
        drop(journal, 1)
        journal.append(drafts())
        drop(journal, 2)
    (folder / "proofs").mkdir()
    for name, (where, seq) in PROOFS.items():
        proof = prove(folder / where, seq, Disk())
        (folder / "proofs" / f"{name}.json").write_text(proof.text(), "utf-8")
    vectors = json.dumps(make_vectors(folder / "raw"), indent=2, ensure_ascii=False)
    (folder / "vectors.json").write_text(f"{vectors}\n", "utf-8")
    for path in (*folder.glob("*/LOCK"), *folder.glob("*/keys")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_raw(folder: Path) -> None:
    """Write checkpoints inside segments, a change of keys, and an end that nobody signed for."""
    disk = FixedDisk()
    with open_journal(folder, disk=disk) as journal:
        journal.append(drafts())
        journal.sign()
        journal.append(drafts(pool="other pool"))
        journal.append([event(number, 300) for number in range(3)])
    name = read_verifiers(folder / "keys" / PUBLIC_NAME, disk)[-1].name
    replace_key(folder / "keys", name, disk)
    with open_journal(folder, disk=disk) as journal:
        journal.append([event(7, 0)])
        journal.append(drafts())
    journal = open_journal(folder, disk=disk)
    journal.append([event(8, 0), Draft(EPOCH_NS, RECORDER, Heartbeat())])
    abandon(journal)


def make_vectors(folder: Path) -> dict[str, object]:
    """Return keys, trees, paths, checkpoints and an endorsement, each from given values."""
    name = "xentrail/6a6f75726e616c2d666f722d74657374"
    keys = [SigningKey(name, seed(number)) for number in (1, 2)]
    leaves = [leaf_hash(bytes([number])) for number in range(9)]
    trees = [MerkleTree() for _ in range(len(leaves) + 1)]
    for size, tree in enumerate(trees):
        tree.add(leaves[:size])
    return {
        "keys": [
            {
                "seed": seed(number).hex(),
                "private_key": key.text,
                "verifier_key": key.verifier.text,
                "key_id": key.verifier.key_id.hex(),
            }
            for number, key in enumerate(keys, 1)
        ],
        "leaves": [leaf.hex() for leaf in leaves],
        "trees": [
            {
                "size": tree.size,
                "peaks": [peak.hex() for peak in tree.peaks],
                "root": tree.root().hex(),
                "checkpoint": sign_note(Checkpoint(name, tree.size, tree.root()).text(), keys[0]),
            }
            for tree in trees
        ],
        "paths": [
            {
                "index": index,
                "size": size,
                "path": [
                    step.hex()
                    for step in inclusion_path(index, before=MerkleTree(), leaves=leaves[:size])
                ],
            }
            for size in range(1, len(leaves) + 1)
            for index in range(size)
        ],
        "endorsement": read_endorsement(folder / "keys", Disk()),
    }


if __name__ == "__main__":
    write_frozen(Path(sys.argv[1]))
