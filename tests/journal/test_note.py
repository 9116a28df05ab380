"""Signed notes and checkpoints as text, against the published ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.journal.note import (
    BadNote,
    Checkpoint,
    Signature,
    SignedNote,
    format_key,
    key_id,
    parse_checkpoint,
    parse_key,
    parse_note,
    split_notes,
)
from tests.journal.published import NOTE, TEXT, VECTORS

NOTES: list[str] = [
    *(vector["note"] for vector in VECTORS["notes"]),
    *VECTORS["unverified_notes"],
    VECTORS["checkpoint"],
]
LINE = NOTE.removeprefix(f"{TEXT}\n")
ROOT = bytes(range(32))


@pytest.mark.parametrize("note", NOTES)
def test_published_note_is_parsed_and_formatted_alike(note: str) -> None:
    """Text and signatures of a note make the same note again, byte for byte."""
    assert parse_note(note).format() == note


def test_note_is_split_at_its_last_blank_line() -> None:
    """The text may hold blank lines; it ends in its newline, and the last blank line is no part."""
    note = parse_note(VECTORS["unverified_notes"][0])
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [signature.name for signature in note.signatures] == ["quasimodo.example/salvatore"]


def test_signature_is_taken_apart() -> None:
    """A signature line holds the key's name, its id of 4 bytes, and the signature."""
    (signature,) = parse_note(NOTE).signatures
    assert (signature.name, signature.key_id.hex()) == ("PeterNeumann", "c74f20a3")
    assert len(signature.signature) == 64
    assert signature.line() == LINE


BAD_NOTES = {
    "no signatures": (TEXT, "the note has no signatures after a blank line"),
    "no lines": (f"{TEXT}\n", "the note has no signatures after a blank line"),
    "empty": ("", "the note has no signatures after a blank line"),
    "no last newline": (NOTE[:-1], "the note does not end in a newline"),
    "control": (f"\x01{NOTE}", "there is a control character, '\\x01'"),
    "tab": (f"\t{NOTE}", "there is a control character, '\\t'"),
    "windows": (NOTE.replace("\n", "\r\n"), "there is a control character, '\\r'"),
    "surrogate": (
        f"\udcff{NOTE}",
        "there is half a surrogate pair, which UTF-8 has no bytes for",
    ),
    "another line": (f"{NOTE}Unexpected line.\n", "'Unexpected line.' is not a signature line"),
    "hyphen": (NOTE.replace("\u2014", "-"), f"{'-' + LINE[1:40]!r} is not a signature line"),
    "no space": (f"{TEXT}\n\u2014 Peter\n", "'\u2014 Peter' is not a signature line"),
    "space in name": (
        NOTE.replace("\u2014 Peter", "\u2014 Bad Peter"),
        "the signature of Bad is not base64",
    ),
    "odd space in name": (
        NOTE.replace("PeterN", "Peter\u00a0N"),
        "'Peter\\xa0Neumann' cannot name a key: spaces and plus signs are not allowed",
    ),
    "plus in name": (
        NOTE.replace("PeterN", "Peter+N"),
        "'Peter+Neumann' cannot name a key: spaces and plus signs are not allowed",
    ),
    "no name": (
        NOTE.replace("PeterNeumann", ""),
        "'' cannot name a key: spaces and plus signs are not allowed",
    ),
    "padding": (
        NOTE.replace("=", ""),
        "the signature of PeterNeumann is not base64",
    ),
    "bits that mean nothing": (
        NOTE.replace("AM=", "AN="),
        "the signature of PeterNeumann is not the base64 of its bytes",
    ),
    "url alphabet": (
        NOTE.replace("/", "_"),
        "the signature of PeterNeumann is not base64",
    ),
    "no signature": (f"{TEXT}\n\u2014 Peter x08gow==\n", "the signature of Peter is too short"),
    "half an id": (f"{TEXT}\n\u2014 Peter x08=\n", "the signature of Peter is too short"),
    "too many": (f"{TEXT}\n{LINE * 101}", "the note has over 100 signatures"),
}


@pytest.mark.parametrize(("note", "message"), BAD_NOTES.values(), ids=BAD_NOTES)
def test_note_that_breaks_the_rules_is_refused(note: str, message: str) -> None:
    """What is no signed note is refused, in words that say what is wrong."""
    with pytest.raises(BadNote) as caught:
        parse_note(note)
    assert str(caught.value) == message


def test_note_may_have_a_hundred_signatures() -> None:
    """C2SP asks for 16 at least; the limit is that of Go."""
    assert len(parse_note(f"{TEXT}\n{LINE * 100}").signatures) == 100


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        ("no newline", 1, "the text of the note does not end in a newline"),
        ("", 1, "the text of the note does not end in a newline"),
        ("a\x1fb\n", 1, "there is a control character, '\\x1f'"),
        ("fine\n", 0, "the note has no signatures"),
    ],
)
def test_note_that_could_not_be_read_cannot_be_made(text: str, count: int, message: str) -> None:
    """A note is only ever made of what can be parsed again."""
    with pytest.raises(BadNote) as caught:
        SignedNote(text, parse_note(NOTE).signatures * count)
    assert str(caught.value) == message


def characters(*, without: str = "") -> st.SearchStrategy[str]:
    return st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters=without)


LINES = st.text(characters(), max_size=20)
TEXTS = st.lists(LINES, min_size=1).map(lambda lines: "".join(f"{line}\n" for line in lines))
NAMES = st.text(characters(without="+"), min_size=1, max_size=9).filter(
    lambda name: not any(character.isspace() for character in name)
)
SIGNATURES = st.builds(
    Signature,
    NAMES,
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=1, max_size=80),
)
SIGNED = st.builds(SignedNote, TEXTS, st.lists(SIGNATURES, min_size=1, max_size=5).map(tuple))


@given(SIGNED)
def test_every_note_comes_back(note: SignedNote) -> None:
    """Whatever can be made a note is parsed again as the same one."""
    assert parse_note(note.format()) == note


@given(st.lists(SIGNED.filter(lambda note: "\n\u2014 " not in f"\n{note.text}")))
def test_notes_in_one_file_are_told_apart(notes: list[SignedNote]) -> None:
    """Notes that are simply written one after the other come back one by one."""
    formatted = [note.format() for note in notes]
    assert split_notes("".join(formatted).encode()) == formatted


def test_dash_in_a_text_does_not_end_a_note() -> None:
    """Only lines after a blank line are signatures: a text may have a dash at the start of one."""
    note = f"Said by\n\u2014 me\n\n{LINE}"
    assert split_notes((note + NOTE).encode()) == [note, NOTE]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "the file of notes is not UTF-8 at byte 0"),
        (NOTE[:-1].encode(), "the file of notes does not end in a newline"),
        ((NOTE + TEXT).encode(), "note 2 of the file has no signatures at its end"),
        (b"\n", "note 1 of the file has no signatures at its end"),
    ],
)
def test_file_that_holds_something_else_is_refused(data: bytes, message: str) -> None:
    """A file of notes is whole: what is left over at its end is an error."""
    with pytest.raises(BadNote) as caught:
        split_notes(data)
    assert str(caught.value) == message


def test_published_checkpoint_is_read_and_written_alike() -> None:
    """The example of tlog-checkpoint gives its origin, size and root, and the same text again."""
    text = parse_note(VECTORS["checkpoint"]).text
    checkpoint = parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e1d90c8")
    assert checkpoint.text() == text


def test_checkpoint_of_an_empty_log_has_size_0() -> None:
    """An empty tree is written as 0."""
    checkpoint = Checkpoint("xentrail/00", 0, ROOT)
    assert checkpoint.text().startswith("xentrail/00\n0\n")
    assert parse_checkpoint(checkpoint.text()) == checkpoint


def test_extension_lines_are_kept() -> None:
    """Whatever another log adds is signed too, so that it is not lost."""
    text = Checkpoint("a log with spaces", 7, ROOT, ("one", "two")).text()
    assert text.endswith("=\none\ntwo\n")
    assert parse_checkpoint(text).extensions == ("one", "two")


HASH = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NOT_LINES = "the checkpoint is not three lines or more that end in a newline"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", NOT_LINES),
        ("log\n7\n", NOT_LINES),
        (f"log\n7\n{HASH}", NOT_LINES),
        (f"\n7\n{HASH}\n", "the origin or an extension of the checkpoint is not one line"),
        (f"log\n7\n{HASH}\n\n", "the origin or an extension of the checkpoint is not one line"),
        (f"log\n07\n{HASH}\n", "the tree size '07' of the checkpoint is not a plain number"),
        (f"log\n-7\n{HASH}\n", "the tree size '-7' of the checkpoint is not a plain number"),
        (f"log\n+7\n{HASH}\n", "the tree size '+7' of the checkpoint is not a plain number"),
        (f"log\n1_0\n{HASH}\n", "the tree size '1_0' of the checkpoint is not a plain number"),
        (
            f"log\n\u0667\n{HASH}\n",
            "the tree size '\u0667' of the checkpoint is not a plain number",
        ),
        (f"log\n\n{HASH}\n", "the tree size '' of the checkpoint is not a plain number"),
        (
            f"log\n9999999999999999999\n{HASH}\n",
            "the tree size 9999999999999999999 of the checkpoint is out of range",
        ),
        ("log\n7\nAAEC\n", "the root hash of the checkpoint is not 32 bytes long"),
        ("log\n7\nroot\u00e9\n", "the root hash is not base64"),
    ],
)
def test_checkpoint_that_breaks_the_rules_is_refused(text: str, message: str) -> None:
    """The three lines are exactly those of tlog-checkpoint, the size without leading zeros."""
    with pytest.raises(BadNote) as caught:
        parse_checkpoint(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", VECTORS["public_keys"])
def test_published_key_has_the_id_that_it_says(text: str) -> None:
    """The id is made from name and key as others make it, and the text is the same again."""
    name, identity, key = parse_key(text)
    assert identity == key_id(name, key)
    assert format_key(name, identity, key) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' cannot name a key: spaces and plus signs are not allowed"),
        ("Peter", "the key of Peter has no id of 8 lower-case hex digits after its name"),
        ("Peter+C74F20A3+AR", "the key of Peter has no id of 8 lower-case hex digits"),
        ("Peter+c74f20a+AR", "the key of Peter has no id of 8 lower-case hex digits"),
        ("Peter+c74f20a3+ARp", "the key of Peter is not base64"),
        ("Peter+c74f20a3+", "the key of Peter is not for Ed25519, the only kind"),
        (
            "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "the key of PeterNeumann is not for Ed25519, the only kind that is known here",
        ),
        (
            "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
            "the key of PeterNeumann is not the base64 of its bytes",
        ),
        ("Peter+c74f20a3+ARpc2Qc=", "the key of Peter is not 32 bytes long"),
    ],
)
def test_key_that_breaks_the_rules_is_refused(text: str, message: str) -> None:
    """A key is NAME+ID+KEY, with eight hex digits and 33 bytes of base64 that begin with 01."""
    with pytest.raises(BadNote) as caught:
        parse_key(text)
    assert str(caught.value).startswith(message)
