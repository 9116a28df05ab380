"""Signing keys and the notes that they sign, against the published ones."""

import subprocess
import sys

import pytest

from recorder.journal.files import Disk
from recorder.journal.keys import (
    SigningKey,
    VerifierKey,
    open_note,
    sign_note,
)
from recorder.journal.note import BadNote, Checkpoint, parse_checkpoint
from tests.journal.published import BOTH, ENOCH_PUBLIC, NOTE, PETER, PETER_PUBLIC, TEXT, VECTORS


def refused(note: str, *verifiers: VerifierKey) -> str:
    with pytest.raises(BadNote) as caught:
        open_note(note, verifiers)
    return str(caught.value)


def test_signed_note_is_the_published_one() -> None:
    """Go's key makes of Go's text the very note that Go's documentation shows."""
    assert sign_note(TEXT, SigningKey.parse(PETER)) == NOTE


@pytest.mark.parametrize("vector", VECTORS["notes"])
def test_published_note_opens_with_the_published_keys(vector: dict[str, str]) -> None:
    """Notes of Go and C2SP are opened with each of their keys, and with all of them."""
    keys = [VerifierKey.parse(text) for text in vector["keys"]]
    assert open_note(vector["note"], keys) == vector["text"]
    for key in keys:
        assert open_note(vector["note"], [key]) == vector["text"]


def test_key_text_comes_back() -> None:
    """A key is written as it was read, private and public half."""
    key = SigningKey.parse(PETER)
    assert key.text == PETER
    assert key.verifier == PETER_PUBLIC
    assert [key.verifier.text, ENOCH_PUBLIC.text] == VECTORS["public_keys"][:2]
    assert (key.name, key.verifier.key_id.hex()) == ("PeterNeumann", "c74f20a3")


@pytest.mark.parametrize(
    ("text", "parse"),
    [(VECTORS["public_keys"][0], VerifierKey.parse), (PETER, SigningKey.parse)],
    ids=["public", "private"],
)
def test_no_part_or_change_of_a_key_is_a_key(text: str, parse: type) -> None:
    """As in Go's own test: no substring of a key is one, nor is it with one character changed."""
    parts = [text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)]
    changed = [text[:i] + chr(ord(text[i]) + 1) + text[i + 1 :] for i in range(len(text))]
    parts.remove(text)
    for mangled in parts + changed:
        with pytest.raises(BadNote):
            parse(mangled)


def test_complaint_about_a_private_key_does_not_hold_it() -> None:
    """An error may end up in a log: it names the key, and shows nothing of its secret."""
    secret = PETER.rpartition("+")[2]
    for text in (PETER.replace("c74f20a3", "c74f20a4"), PETER[:-2], PETER[8:], PETER + "AAAA"):
        with pytest.raises(BadNote) as caught:
            SigningKey.parse(text)
        assert secret[4:20] not in str(caught.value) + repr(caught.value.__cause__)
    assert secret[4:20] not in repr(SigningKey.parse(PETER))


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\n"])
def test_key_needs_a_name_that_a_note_can_hold(name: str) -> None:
    """A name has no spaces and no plus sign."""
    with pytest.raises(BadNote, match=r"cannot name a key|control character"):
        SigningKey.generate(name, Disk())


def test_public_key_has_32_bytes() -> None:
    """Anything else is no Ed25519 key."""
    with pytest.raises(BadNote, match="the key of a is not 32 bytes long"):
        VerifierKey("a", b"short")


def test_signature_is_of_one_message_by_one_key() -> None:
    """A change of message, signature or key is found, whatever the length of the signature."""
    key, other = SigningKey.generate("a", Disk()), SigningKey.generate("a", Disk())
    signature = key.sign(b"message")
    assert key.verifier.verify(b"message", signature)
    assert not key.verifier.verify(b"massage", signature)
    assert not other.verifier.verify(b"message", signature)
    for wrong in (
        b"",
        signature[:-1],
        signature + b"\0",
        bytes([signature[0] ^ 1]) + signature[1:],
    ):
        assert not key.verifier.verify(b"message", wrong)


def test_every_change_of_a_note_is_found() -> None:
    """No bit of a signed checkpoint can be flipped without it being refused."""
    key = SigningKey("log", bytes(32))
    note = sign_note(Checkpoint("log", 7, bytes(32)).text(), key)
    data = note.encode()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        text = changed.decode(errors="surrogateescape")
        assert refused(text, key.verifier)
    assert parse_checkpoint(open_note(note, [key.verifier])).size == 7


def test_note_of_unknown_keys_is_refused() -> None:
    """At least one signature must be of a known key; a name or an id alone does not make it so."""
    message = "the note is signed by no known key, but by PeterNeumann+c74f20a3"
    assert refused(NOTE) == message
    assert refused(NOTE, ENOCH_PUBLIC) == message
    assert refused(NOTE, VerifierKey("PeterNeumann", bytes(32))) == message
    assert refused(BOTH) == f"{message}, EnochRoot+af0cfe78"


def test_wrong_signature_of_a_known_key_is_refused_beside_a_right_one() -> None:
    """A known key that signed something else spoils the note; an unknown one does not."""
    spoilt = BOTH.replace("/5n2t", "/5n2u")
    assert open_note(spoilt, [PETER_PUBLIC]) == TEXT
    message = "the signature of EnochRoot+af0cfe78 is not that of the text of the note"
    assert refused(spoilt, PETER_PUBLIC, ENOCH_PUBLIC) == message
    assert refused(spoilt, ENOCH_PUBLIC) == message
    twice = NOTE + NOTE.removeprefix(f"{TEXT}\n").replace("ZJkuB", "ZJkuC")
    assert "of PeterNeumann+c74f20a3 is not that" in refused(twice, PETER_PUBLIC)


def test_keys_that_share_name_and_id_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id has four bytes only: a second key that has the same does not hide the first."""
    monkeypatch.setattr("recorder.journal.keys.key_id", lambda *_: bytes.fromhex("c74f20a3"))
    other = VerifierKey("PeterNeumann", bytes(32))
    assert open_note(NOTE, [other, PETER_PUBLIC, PETER_PUBLIC]) == TEXT
    assert "is not that of the text" in refused(NOTE, other)


@pytest.mark.parametrize("text", ["", "no newline", "control\x07\n", "\udcff\n"])
def test_text_that_can_be_no_note_is_not_signed(text: str) -> None:
    """What nobody could open is not signed."""
    with pytest.raises(BadNote):
        sign_note(text, SigningKey.parse(PETER))


def test_reading_a_journal_does_not_load_cryptography() -> None:
    """Commands that neither sign nor verify stay quick."""
    modules = "recorder.journal.scan, recorder.journal.keys, recorder.journal.store, sys"
    check = "sys.exit(any(name.startswith('cryptography') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", f"import {modules}; {check}"], check=True)
