"""FORMAT.md, the frozen journals and the independent reader: three witnesses of the same bytes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import recorder.journal
from recorder.journal.codec import Packer
from recorder.journal.files import Disk
from recorder.journal.keys import SigningKey, VerifierKey, endorses, open_note
from recorder.journal.merkle import MerkleTree, root_from_path
from recorder.journal.names import is_packed
from recorder.journal.packed import open_segment
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.proof import check, read_proof
from recorder.journal.prove import prove
from recorder.journal.scan import head, scan
from recorder.journal.segment import Cursor
from recorder.journal.verify import verify
from recorder.model import RECORDER, Draft, Entry, Event, Heartbeat, Operation
from tests.golden import independent_reader
from tests.golden.independent_reader import WRONG, Journal, check_proof
from tests.journal.disks import FaultyDisk
from tests.journal.frozen import PROOFS, write_frozen
from tests.journal.samples import (
    EPOCH_NS,
    drafts,
    event,
    files,
    open_journal,
    segments,
    write,
)

GOLDEN = Path(__file__).parents[1] / "golden"
FROZEN_1, FROZEN = GOLDEN / "journal", GOLDEN / "journal-2"
FOLDERS = [FROZEN_1, *(FROZEN / name for name in ("raw", "packed", "redacted", "dropped"))]
FORMAT = Path(recorder.journal.__file__).with_name("FORMAT.md").read_text("utf-8")


def example() -> bytes:
    """The file of the worked example."""
    found = re.search(r"```hex\n(.*?)```", FORMAT, re.DOTALL)
    assert found is not None
    return bytes.fromhex(" ".join(line.split("  ")[1] for line in found[1].splitlines()))


def test_format_example_is_what_the_code_writes(tmp_path: Path) -> None:
    """The worked example is the file that the described journal has, and so is its proof."""
    snapshot = b'{"power_state":"Running"}'
    body = Event(7, 1.5, "vm", Operation.MOD, "OpaqueRef:1", snapshot)
    with open_journal(tmp_path, disk=FaultyDisk()) as journal:
        journal.append([Draft(EPOCH_NS, "lab", body), Draft(EPOCH_NS + 1, RECORDER, Heartbeat())])
    assert example() == segments(tmp_path)[0].read_bytes()
    proof = prove(tmp_path, 1, Disk())
    assert f"```json\n{proof.text()}```" in FORMAT
    for line in proof.checkpoint.splitlines()[:3]:
        assert re.search(f"^{re.escape(line)}  ", FORMAT, re.MULTILINE), "the checkpoint is drawn"


def test_format_explains_the_bytes_at_the_places_it_names() -> None:
    """Each row of the table under the example quotes bytes that are at its offset."""
    rows = re.findall(r"^\| 0x([0-9a-f]+) \| `((?:[0-9a-f]{2} ?)+)", FORMAT, re.MULTILINE)
    assert len(rows) == 20
    for place, quoted in rows:
        assert example()[int(place, 16) :].startswith(bytes.fromhex(quoted)), place


def test_format_shows_the_tombstone_that_is_frozen() -> None:
    """Its text, as it is signed."""
    text, _, _ = (FROZEN / "dropped" / "TOMBSTONE").read_text("utf-8").partition("\n\n")
    assert f"```\n{text}\n```" in FORMAT


def files_in(folder: Path) -> set[Path]:
    """The paths of all files, from the folder on."""
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked: zstd may pack better tomorrow."""
    if not is_packed(path):
        return path.read_bytes()
    with open_segment(path, Disk()) as file:
        return file.read()


def test_frozen_files_are_what_the_code_writes(tmp_path: Path) -> None:
    """The same entries and keys give the same bytes for ever, in this version of the format."""
    write_frozen(tmp_path / "now")
    frozen = files_in(FROZEN)
    assert files_in(tmp_path / "now") == frozen
    assert len(frozen) == 22
    for name in frozen:
        assert content(tmp_path / "now" / name) == content(FROZEN / name), name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_frozen_journal_is_sound(folder: Path) -> None:
    """Also those of an older version, raw or packed, redacted, and without their beginning."""
    report = verify(folder)
    assert report.findings == ()
    assert (report.packed > 0) == (folder.name in {"packed", "redacted"})
    assert report.redacted == (2 if folder.name == "redacted" else 0)
    assert (report.dropped is not None) == (folder.name == "dropped")
    assert (report.checkpoints > 0) == (folder != FROZEN_1)


def test_journal_of_version_1_is_read(tmp_path: Path) -> None:
    """Its entries are those that were written then."""
    journal = open_journal(tmp_path)
    journal.append([*drafts(), *drafts(pool="other pool")])
    journal.append([event(1, 300), event(2, 300), event(3, 0)])
    journal.append([Draft(EPOCH_NS, RECORDER, Heartbeat())])
    journal.close()
    assert list(scan(FROZEN_1)) == list(scan(tmp_path))
    assert head(FROZEN_1).last_seq == 24


def test_journal_of_version_1_goes_on_in_version_2(tmp_path: Path) -> None:
    """No byte of it is changed; its tree is counted, and signed for, from its first entry on."""
    for path in files(FROZEN_1):
        shutil.copy(path, tmp_path)
    with open_journal(tmp_path) as journal:
        assert journal.append(drafts()).start == 25
    for path in files(FROZEN_1):
        assert (tmp_path / path.name).read_bytes().startswith(path.read_bytes())
    assert list(scan(tmp_path))[:24] == list(scan(FROZEN_1))
    report = verify(tmp_path)
    assert report.findings == ()
    assert (report.entries, report.signed_seq, report.tree_size) == (34, 34, 34)
    formats = []
    for number in range(1, report.segments + 1):
        with Cursor.of(tmp_path, number, Disk()) as cursor:
            formats.append(cursor.header.format)
    assert formats == [1, 1, 1, 1, 2, 2]
    agrees(tmp_path)
    for number in to_pack(tmp_path, Disk()):
        assert pack_segment(tmp_path, number, Disk())
    assert verify(tmp_path).packed == 5
    agrees(tmp_path)


def agrees(folder: Path) -> None:
    """Assert that the independent reader sees the entries and the end that we see."""
    journal, packer = Journal(folder), Packer()
    items = [packer.plain(item) for item in journal.entries()]
    report = verify(folder)
    first = report.dropped.last_seq if report.dropped else 0

    def plain(entry: Entry) -> bytes:
        return packer.entry(entry.seq, Draft(entry.received_at_ns, entry.pool, entry.body))

    assert items == [plain(entry) for entry in scan(folder, after_seq=first)]
    assert journal.chain.hex() == head(folder).chain == report.chain
    if report.keys:
        assert (journal.tree.size, journal.tree.root().hex()) == (report.tree_size, report.root)
        assert journal.keys == list(report.keys)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_independent_reader_agrees(folder: Path) -> None:
    """A reader written from FORMAT.md alone sees the same entries, chain, tree and keys."""
    agrees(folder)


def test_independent_reader_takes_a_torn_tail_for_the_end(tmp_path: Path) -> None:
    """As every reader must, who may have come while a frame is being written."""
    write(tmp_path / "sealed")
    agrees(tmp_path / "sealed")
    write(tmp_path / "open", sealed=False)
    last = segments(tmp_path / "open")[-1]
    last.write_bytes(last.read_bytes()[:-5])
    agrees(tmp_path / "open")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        (FROZEN_1, "0000000002.journal"),
        (FROZEN / "raw", "0000000001.journal"),
        (FROZEN / "redacted", "0000000003.journal"),
        (FROZEN / "dropped", "TOMBSTONE"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.name,
)
def test_independent_reader_finds_a_change(tmp_path: Path, folder: Path, name: str) -> None:
    """What FORMAT.md promises of digests and signatures can be checked without our code."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    data = bytearray((tmp_path / name).read_bytes())
    for place in range(0, len(data), 7):
        data[place] ^= 4
        (tmp_path / name).write_bytes(data)
        data[place] ^= 4
        with pytest.raises(WRONG):
            list(Journal(tmp_path).entries())


@pytest.mark.parametrize("name", PROOFS)
def test_frozen_proof_is_good(name: str) -> None:
    """To us and to the independent reader, each of whose fields it looks at."""
    data = (FROZEN / "proofs" / f"{name}.json").read_bytes()
    proof, seq = read_proof(data), PROOFS[name][1]
    proven = check(proof)
    assert (proven.entry.seq, proven.redacted) == (seq, name == "redacted")
    assert Packer().plain(check_proof(json.loads(data))) == proof.item


@pytest.mark.parametrize("name", PROOFS)
def test_independent_reader_finds_a_changed_proof(name: str) -> None:
    """Each field by which a proof could lie is looked at."""
    plain = json.loads((FROZEN / "proofs" / f"{name}.json").read_text("utf-8"))
    stranger = SigningKey("xentrail/00", bytes(32)).verifier.text
    changes = {
        "seq": plain["seq"] + 1,
        "entry": plain["entry"] | {"pool": "another"},
        "item": plain["item"].replace("A", "B", 1),
        "leaf_index": plain["leaf_index"] ^ 1,
        "tree_size": plain["tree_size"] + 1,
        "path": plain["path"][:-1],
        "checkpoint": plain["checkpoint"].replace("\n", "\n1", 1),
        "key": stranger,
    }
    if plain["seal"]:
        changes["seal"] = plain["seal"] | {"entries": plain["seal"]["entries"] + 1}
    for field, value in changes.items():
        if (name, field) != ("redacted", "item"):  # of which the leaf only is proven
            with pytest.raises(WRONG):
                check_proof(plain | {field: value})


def test_vectors_are_what_the_code_computes() -> None:
    """Keys, trees, paths, checkpoints and an endorsement, for whoever writes a reader."""
    vectors = json.loads((FROZEN / "vectors.json").read_text("utf-8"))
    first, second = (SigningKey.parse(key["private_key"]) for key in vectors["keys"])
    for key, made in zip(vectors["keys"], (first, second), strict=True):
        assert SigningKey(made.name, bytes.fromhex(key["seed"])).text == made.text
        assert VerifierKey.parse(key["verifier_key"]) == made.verifier
        assert made.verifier.key_id.hex() == key["key_id"]
    leaves = [bytes.fromhex(leaf) for leaf in vectors["leaves"]]
    for size, plain in enumerate(vectors["trees"]):
        ours, theirs = MerkleTree(), independent_reader.Tree()
        ours.add(leaves[:size])
        for leaf in leaves[:size]:
            theirs.add(leaf)
        assert ours.root().hex() == theirs.root().hex() == plain["root"]
        assert [peak.hex() for peak in theirs.peaks] == plain["peaks"]
        lines = open_note(plain["checkpoint"], [first.verifier]).splitlines()
        assert lines == independent_reader.signed(plain["checkpoint"], [first.verifier.text])
        assert lines == independent_reader.checkpoint(first.name, theirs)
    for plain in vectors["paths"]:
        path = [bytes.fromhex(step) for step in plain["path"]]
        root = root_from_path(leaves[plain["index"]], plain["index"], plain["size"], path)
        assert root.hex() == vectors["trees"][plain["size"]]["root"]
    assert endorses(vectors["endorsement"], old=first.verifier.text, new=second.verifier.text)


def test_independent_reader_prints_json() -> None:
    """The reader is a program as well: a line an entry and the end, or what a proof proves."""
    lines = printed(FROZEN / "redacted")
    report = verify(FROZEN / "redacted")
    assert [line[0] for line in lines[:-1]] == list(range(1, 40))
    assert lines[-1] == {"chain": report.chain, "size": report.tree_size, "root": report.root}
    assert printed(FROZEN / "proofs" / "seal.json") == [lines[14]]


def printed(path: Path) -> list[Any]:
    """What the independent reader prints."""
    done = subprocess.run(
        [sys.executable, GOLDEN / "independent_reader.py", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
