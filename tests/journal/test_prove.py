"""Making proofs: every entry that a checkpoint vouches for has one, the others have a reason."""

import shutil
from base64 import b64encode
from pathlib import Path

import pytest
from msgspec.structs import replace

from recorder.errors import JournalDamaged
from recorder.journal.chain import leaf_hash
from recorder.journal.files import Disk
from recorder.journal.keys import PUBLIC_NAME, SigningKey, read_verifiers, sign_note
from recorder.journal.names import find_segment, is_packed, segment_path
from recorder.journal.note import Checkpoint
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.proof import (
    check,
    read_proof,
)
from recorder.journal.prove import CannotProve, prove
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.scan import scan
from recorder.journal.verify import verify
from recorder.model import Redacted
from tests.journal.samples import abandon, drafts, event, files, open_journal, write
from tests.journal.varied import varied

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"
OTHER = SigningKey("somebody-else", bytes(range(32)))


def pack(folder: Path) -> None:
    """Pack every segment but the last."""
    for number in to_pack(folder, Disk()):
        assert pack_segment(folder, number, Disk())


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with everything in it that can be proven; nobody changes it."""
    folder = tmp_path_factory.mktemp("journal")
    varied(folder)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_every_entry_is_proven_by_itself(tmp_path: Path, journal: Path, packed: bool) -> None:
    """Its proof needs no journal, holds the entry as it is, and a key and a checkpoint fit it."""
    shutil.copytree(journal, tmp_path, dirs_exist_ok=True)
    if packed:
        pack(tmp_path)
    assert is_packed(find_segment(tmp_path, 2, Disk())) == packed
    report = verify(tmp_path)
    assert report.findings == ()
    entries = list(scan(tmp_path))
    assert len(files(journal)) > 4
    sealed, signers = set(), set()
    for entry in entries:
        proof = prove(tmp_path, entry.seq, Disk())
        read = read_proof(proof.text().encode())
        assert read == proof
        keys = read_verifiers(tmp_path / "keys" / PUBLIC_NAME, Disk())
        proven = check(read, trusted=keys, noted=[proof.checkpoint])
        assert proven.entry == entry
        assert proven.leaf_index == entry.seq - 1
        assert proven.redacted == isinstance(entry.body, Redacted)
        if not proven.redacted:
            assert proven.leaf == leaf_hash(proof.item)
        sealed.add(proof.seal is None)
        signers.add(proven.signed_by.text)
    assert sealed == {True, False}, "checkpoints inside segments and those of seals"
    assert signers == set(report.keys)


def test_first_checkpoint_behind_an_entry_vouches_for_it(tmp_path: Path) -> None:
    """A proof is as small as it can be, and stays what it is when the journal goes on."""
    with open_journal(tmp_path) as journal:
        journal.append(drafts())
        journal.sign()
        before = prove(tmp_path, 10, Disk())
        journal.append(drafts())
    assert before.tree_size == 10
    assert before.seal is None
    assert prove(tmp_path, 10, Disk()) == before
    after = prove(tmp_path, 11, Disk())
    assert after.seal is not None
    assert (after.tree_size, after.seal.first_seq, after.seal.last_seq) == (20, 1, 20)


def test_redacted_entry_is_proven_to_have_been_there(tmp_path: Path) -> None:
    """Its leaf hash is that of the entry as it was, with the place and the root that it had."""
    with open_journal(tmp_path) as journal:
        journal.append(drafts())
    before = prove(tmp_path, 6, Disk())
    with open_journal(tmp_path) as journal:
        redact(journal, 6, "a password", by="somebody")
    after = prove(tmp_path, 6, Disk())
    assert replace(before, item=after.item) == after
    proven = check(after)
    assert proven.redacted
    assert isinstance(proven.entry.body, Redacted)
    assert proven.leaf == proven.entry.body.leaf == leaf_hash(before.item)
    assert proven.shown["snapshot"] == {"redacted": b64encode(proven.leaf).decode()}


def test_entry_without_a_checkpoint_says_when_one_comes(tmp_path: Path) -> None:
    """While it is written, and after it was killed."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    text = (
        "entry 1 is in no signed checkpoint yet: one comes within a minute of traffic, or when the"
        " recorder stops"
    )
    with pytest.raises(CannotProve) as caught:
        prove(tmp_path, 1, Disk())
    assert str(caught.value) == text
    abandon(journal)
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes() + b"torn")
    with pytest.raises(CannotProve) as caught:
        prove(tmp_path, 1, Disk())
    assert str(caught.value) == text
    open_journal(tmp_path).close()
    assert check(prove(tmp_path, 1, Disk())).entry.seq == 1


def test_entry_that_is_not_there_says_why(tmp_path: Path) -> None:
    """Never written, or dropped by rule, or its segment lost."""
    entries = write(tmp_path, batches=5)
    end = entries[-1].seq
    for seq, text in [
        (0, "there is no entry 0: they are numbered from 1"),
        (-4, "there is no entry -4: they are numbered from 1"),
        (end + 1, f"there is no entry {end + 1}: the journal ends at {end}"),
    ]:
        with pytest.raises(CannotProve) as caught:
            prove(tmp_path, seq, Disk())
        assert str(caught.value) == text
    with open_journal(tmp_path) as journal:
        drop(journal, 2)
    with pytest.raises(CannotProve, match="entry 4 was dropped by the rules of retention"):
        prove(tmp_path, 4, Disk())
    assert check(prove(tmp_path, end, Disk())).entry == entries[-1]
    (tmp_path / "TOMBSTONE").unlink()
    with pytest.raises(CannotProve, match="entry 4 cannot be read: its segment is missing"):
        prove(tmp_path, 4, Disk())
    segment_path(tmp_path, 4).unlink()
    with pytest.raises(CannotProve, match="entry 35 cannot be read: it lies in damage"):
        prove(tmp_path, 35, Disk())


def test_entry_of_format_1_is_not_proven(tmp_path: Path) -> None:
    """Nothing was signed then; what came later vouches for it only together with all between."""
    for path in GOLDEN.glob("*.journal"):
        shutil.copy(path, tmp_path)
    with open_journal(tmp_path) as journal:
        seqs = journal.append(drafts())
    with pytest.raises(CannotProve, match="entry 5 is in segment 1, which has format 1, in which"):
        prove(tmp_path, 5, Disk())
    proof = prove(tmp_path, seqs.start, Disk())
    assert (proof.leaf_index, proof.tree_size) == (24, 34)
    assert check(proof).entry.seq == 25


def test_damage_in_front_of_the_checkpoint_is_told(tmp_path: Path) -> None:
    """What cannot be read to the checkpoint has no proof; entries before an earlier one have."""
    journal = open_journal(tmp_path)
    journal.append(drafts())
    journal.sign()
    journal.append(drafts())
    journal.append(drafts())
    journal.close()
    path = segment_path(tmp_path, 1)
    data = bytearray(path.read_bytes())
    data[data.index(b'"web"', data.index(b"\xe2\x80\x94")) + 1] ^= 1  # behind the signature
    path.write_bytes(data)
    assert check(prove(tmp_path, 10, Disk())).entry.seq == 10
    for seq in (11, 30):
        with pytest.raises(JournalDamaged) as caught:
            prove(tmp_path, seq, Disk())
        assert str(caught.value) == (
            f"entry {seq} cannot be proven: segment 1 is damaged before the next checkpoint: the"
            " checksum of a frame does not match; see `xentrail verify`"
        )


def test_segment_left_because_of_damage_proves_what_was_signed_in_it(tmp_path: Path) -> None:
    """Entries before the damage and behind the last checkpoint are in no proof by themselves."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    journal.sign()
    journal.append([event(2)])
    abandon(journal)
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    journal = open_journal(tmp_path)
    journal.append([event(3)])
    journal.append([event(4)])
    abandon(journal)
    data = bytearray(path.read_bytes())
    data[len(whole) + 60] ^= 1
    path.write_bytes(data)
    with open_journal(tmp_path) as journal:
        seqs = journal.append([event(5)])
    assert check(prove(tmp_path, 1, Disk())).entry.seq == 1
    assert check(prove(tmp_path, seqs.start, Disk())).leaf_index == 3
    with pytest.raises(JournalDamaged, match="entry 2 cannot be proven: segment 1 is damaged"):
        prove(tmp_path, 2, Disk())


def test_proof_of_a_journal_that_signed_a_lie_is_not_given_out(tmp_path: Path) -> None:
    """What is written is checked first."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    assert journal._writer is not None
    lie = sign_note(Checkpoint("xentrail/00", 1, bytes(32)).text(), journal.notary._key)
    journal._writer.checkpoint(journal._packer.plain, lie)
    abandon(journal)
    with pytest.raises(JournalDamaged, match="entry 1 cannot be proven: the path does not lead"):
        prove(tmp_path, 1, Disk())
