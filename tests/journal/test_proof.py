"""Whether a proof is good: nothing but a whole one passes, and nobody's word is taken for a key."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from recorder.journal.chain import leaf_hash
from recorder.journal.files import Disk
from recorder.journal.keys import PUBLIC_NAME, SigningKey, read_verifiers, sign_note
from recorder.journal.note import Checkpoint
from recorder.journal.proof import (
    BadProof,
    NewerProof,
    NoProof,
    Proof,
    SealedSpan,
    check,
    read_proof,
)
from recorder.journal.prove import prove
from tests.journal.varied import varied

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"
OTHER = SigningKey("somebody-else", bytes(range(32)))


def plain_of(proof: Proof) -> dict[str, object]:
    """The JSON of a proof, to change."""
    plain = json.loads(proof.text())
    assert isinstance(plain, dict)
    return plain


def is_refused(plain: object) -> bool:
    """Say whether a changed proof is found to be none, or not good."""
    return is_refused_as(json.dumps(plain).encode())


def is_refused_as(data: bytes) -> bool:
    try:
        check(read_proof(data))
    except (BadProof, NoProof, NewerProof):
        return True
    return False


def sealed(folder: Path) -> Proof:
    """The first proof by the checkpoint of a seal, but not of the last entry before it."""
    proofs = (prove(folder, seq, Disk()) for seq in range(2, 100))
    return next(proof for proof in proofs if proof.seal and proof.seq < proof.seal.last_seq)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with everything in it that can be proven; nobody changes it."""
    folder = tmp_path_factory.mktemp("journal")
    varied(folder)
    return folder


def changed(value: object) -> Iterator[object]:
    """Yield what a flipped bit makes of a value, wherever it is; and other types, and nothing."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value ^ 1 << bit for bit in (0, 1, 5, 40))
            yield from (-value - 1, str(value), float(value) + 0.5)
        case float():
            yield value + 1
        case str():
            for place, char in enumerate(value):
                yield value[:place] + chr(ord(char) ^ 1) + value[place + 1 :]
            yield from (value + "A", value[:-1])
        case None:
            yield from (0, "", False, {})
        case list():
            yield from (value[:-1], [*value, *value[-1:]], value[::-1])
            for place, inner in enumerate(value):
                yield from (
                    [*value[:place], other, *value[place + 1 :]] for other in changed(inner)
                )
        case dict():
            yield {**value, "more": 1}
            for name, inner in value.items():
                yield {key: kept for key, kept in value.items() if key != name}
                yield from ({**value, name: other} for other in changed(inner))


@pytest.mark.parametrize("seq", [1, 6, 31, 106])
def test_every_change_of_a_proof_is_found(journal: Path, seq: int) -> None:
    """Any bit of any field, a field too many or too few, another order: nothing passes."""
    proof = prove(journal, seq, Disk())
    plain = plain_of(proof)
    assert not is_refused(plain)
    count = 0
    for other in changed(plain):
        if other == plain:
            continue  # a list of one, turned round
        assert is_refused(other), other
        count += 1
    assert count > 700


def test_every_flipped_bit_of_the_file_is_found(journal: Path) -> None:
    """Or it is in the white space between the fields, and the proof is the same."""
    proof = prove(journal, 7, Disk())
    data = proof.text().encode()
    for place in range(len(data)):
        for bit in (1, 32):
            flipped = data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]
            try:
                read = read_proof(flipped)
            except (BadProof, NoProof, NewerProof):
                continue
            assert read == proof or is_refused_as(flipped)


def test_parts_of_two_good_proofs_make_no_good_one(journal: Path) -> None:
    """Entry, path, checkpoint and seal belong together."""
    one, two = prove(journal, 3, Disk()), sealed(journal)
    parts = {name: getattr(two, name) for name in Proof.__struct_fields__}
    parts.pop("key")
    for name, value in parts.items():
        assert value != getattr(one, name), name
        with pytest.raises(BadProof):
            check(replace(one, **{name: value}))
    with pytest.raises(BadProof, match="the path does not lead from the entry to the root"):
        check(replace(one, seq=two.seq, item=two.item))


def test_key_that_is_trusted_must_have_signed(journal: Path) -> None:
    """Anyone can sign a journal of their own: without a trusted key a proof is their word only."""
    proof = prove(journal, 3, Disk())
    first, last = read_verifiers(journal / "keys" / PUBLIC_NAME, Disk())
    assert check(proof, trusted=[first]).signed_by == first
    assert check(proof, trusted=[last, first]).signed_by == first
    with pytest.raises(BadProof) as caught:
        check(proof, trusted=[last])
    assert (
        str(caught.value) == f"it is signed by {first.text}, which is not the key that is trusted"
    )
    leaf = leaf_hash(proof.item)
    note = sign_note(Checkpoint("xentrail/00", 1, leaf).text(), OTHER)
    forged = Proof(3, proof.item, 0, 1, (), None, note, OTHER.verifier.text)
    assert check(forged).signed_by == OTHER.verifier
    with pytest.raises(BadProof, match="which is not the key that is trusted"):
        check(forged, trusted=[first, last])


def test_checkpoint_noted_elsewhere_must_be_that_of_the_proof(journal: Path) -> None:
    """Of the same journal, size and root; one that contradicts is told apart."""
    proof, other = prove(journal, 3, Disk()), prove(journal, 60, Disk())
    proven = check(proof, noted=[other.checkpoint, proof.checkpoint])
    origin, size = proven.checkpoint.origin, proven.checkpoint.size
    elsewhere = sign_note(Checkpoint("xentrail/00", size, bytes(32)).text(), OTHER)
    contrary = sign_note(Checkpoint(origin, size, bytes(32)).text(), OTHER)
    for notes, text in [
        ([], f"no checkpoint noted elsewhere is of {origin}"),
        ([elsewhere], f"no checkpoint noted elsewhere is of {origin}"),
        ([other.checkpoint], f"no checkpoint noted elsewhere is of {size} entries"),
        ([contrary], "is not the one that was noted elsewhere: they contradict"),
        ([proof.checkpoint, contrary], "they contradict"),
        ([proof.checkpoint[1:]], "no checkpoint noted elsewhere is of"),
        ([proof.checkpoint.replace("\n\n", "\n")], "what was noted elsewhere is no checkpoint: "),
    ]:
        with pytest.raises(BadProof) as caught:
            check(proof, noted=notes)
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff", "it is not JSON: "),
        (b"{", "it is not JSON: "),
        (b"[" * 100_000, "it is not JSON: "),
        (b"[]", "it has no xentrail_proof with the number of a version"),
        (b'{"xentrail_proof": true}', "it has no xentrail_proof with the number of a version"),
        (b'{"xentrail_proof": "1"}', "it has no xentrail_proof with the number of a version"),
        (b'{"xentrail_proof": 1, "seq": 1, "seq": 2}', "a name is there twice"),
    ],
)
def test_what_is_no_proof_is_said_to_be_none(data: bytes, text: str) -> None:
    """A file of something else is not a bad proof."""
    with pytest.raises(NoProof, match=text):
        read_proof(data)


def test_newer_proof_is_refused_by_its_version(journal: Path) -> None:
    """It is not called bad: nothing is known about it."""
    plain = plain_of(prove(journal, 1, Disk())) | {"xentrail_proof": 2}
    with pytest.raises(NewerProof) as caught:
        read_proof(json.dumps(plain).encode())
    assert str(caught.value) == "the proof has version 2, this xentrail knows 1: upgrade"


def test_seal_says_what_the_signed_tree_says(journal: Path) -> None:
    """Its numbers fit the entry's place in the tree."""
    proof = sealed(journal)
    seal = proof.seal
    assert seal is not None
    for other in (
        replace(seal, last_seq=seal.last_seq + 1, entries=seal.entries + 1),
        replace(seal, first_seq=proof.seq + 1, entries=seal.last_seq - proof.seq),
        SealedSpan(seal.last_seq - proof.tree_size, seal.last_seq, proof.tree_size + 1, seal.root),
        replace(seal, root=bytes(32)),
    ):
        with pytest.raises(BadProof, match="the seal is not that of a segment that ends with"):
            check(replace(proof, seal=other))
