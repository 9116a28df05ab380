"""The folder in which signing keys are kept: modes, damage, and whatever interrupts a change."""

from pathlib import Path

import pytest

from recorder.errors import JournalError, JournalWriteFailed
from recorder.journal.files import Disk
from recorder.journal.keys import (
    FILE_BYTES_MAX,
    KeyMissing,
    SigningKey,
    VerifierKey,
    create_key,
    endorses,
    load_key,
    open_note,
    read_endorsement,
    read_verifiers,
    replace_key,
    sign_note,
)
from recorder.journal.note import key_id
from tests.journal.disks import FaultyDisk, QuickDisk
from tests.journal.powercut import PowerCut, PowerCutDisk
from tests.journal.published import ENOCH_PUBLIC, NOTE, PETER, PETER_PUBLIC, TEXT

NAME = "xentrail/0123456789abcdef0123456789abcdef"
QUICK = QuickDisk()
REMEDY = "put it back from a backup, or replace the key with `xentrail rotate-key`"
REPLACED = ["journal.endorsement", "journal.key", "journal.pub"]
"""What is in the folder once a key took the place of another."""


def test_created_key_is_loaded_again(tmp_path: Path) -> None:
    """A key is in its folder with the modes of a secret, and its public half is beside it."""
    folder = tmp_path / "new" / "keys"
    key = create_key(folder, NAME, FaultyDisk())
    assert load_key(folder, Disk()).text == load_key(folder, Disk(), name=NAME).text == key.text
    assert (folder / "journal.key").read_text() == f"{key.text}\n"
    assert (folder / "journal.pub").read_text() == f"{key.verifier.text}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["journal.key", "journal.pub"]
    assert Disk().mode(folder) == 0o700
    assert Disk().mode(folder / "journal.key") == 0o600
    assert key.verifier.key_id == key_id(NAME, key.verifier.public)


def test_keys_are_made_by_chance(tmp_path: Path) -> None:
    """Two journals never have the same key."""
    first, second = (create_key(tmp_path / name, NAME, Disk()) for name in "ab")
    assert first.text != second.text


def test_existing_key_is_never_created_over(tmp_path: Path) -> None:
    """Where a key is, or was, creating one is refused, and nothing changes."""
    key = create_key(tmp_path / "keys", NAME, Disk())
    with pytest.raises(JournalError) as caught:
        create_key(tmp_path / "keys", NAME, Disk())
    place = tmp_path / "keys" / "journal.key"
    assert str(caught.value) == f"{place} is there already: load or replace that key"
    assert load_key(tmp_path / "keys", Disk()).text == key.text
    place.unlink()
    with pytest.raises(JournalError, match=r"journal\.pub is there already"):
        create_key(tmp_path / "keys", NAME, Disk())


def test_replaced_key_stays_known_and_its_secret_goes(tmp_path: Path) -> None:
    """After each replacement the newest key signs, and the notes of all others can be opened."""
    folder = tmp_path / "keys"
    keys = [create_key(folder, NAME, Disk())]
    for _ in range(3):
        keys.append(replace_key(folder, NAME, Disk()))
        assert load_key(folder, Disk(), name=NAME).text == keys[-1].text
    known = read_verifiers(folder / "journal.pub", Disk())
    assert known == tuple(key.verifier for key in keys)
    assert [open_note(sign_note(TEXT, key), known) for key in keys] == [TEXT] * 4
    assert sorted(path.name for path in folder.iterdir()) == REPLACED
    assert Disk().mode(folder / "journal.key") == 0o600
    written = "".join(path.read_text() for path in folder.iterdir())
    assert not any(key.text in written for key in keys[:-1])


def test_damaged_or_lost_key_can_be_replaced(tmp_path: Path) -> None:
    """Replacing is the way out when the private key is gone: the public ones are kept."""
    old = create_key(tmp_path / "keys", NAME, Disk())
    for damage in (Path.unlink, lambda path: path.write_bytes(b"\xff\xfe")):
        damage(tmp_path / "keys" / "journal.key")
        new = replace_key(tmp_path / "keys", NAME, Disk())
        assert load_key(tmp_path / "keys", Disk()).text == new.text
    known = read_verifiers(tmp_path / "keys" / "journal.pub", Disk())
    assert (known[0], known[-1], len(known)) == (old.verifier, new.verifier, 3)


def test_key_of_another_journal_is_not_replaced(tmp_path: Path) -> None:
    """A replacement goes into the folder of the journal that it is for."""
    create_key(tmp_path / "keys", NAME, Disk())
    with pytest.raises(JournalError, match=r"journal\.pub holds a key of xentrail/0.*not of other"):
        replace_key(tmp_path / "keys", "other", Disk())
    with pytest.raises(JournalError, match=r"journal\.pub is missing: put it back from a backup"):
        replace_key(tmp_path / "nothing", NAME, Disk())


def load_error(folder: Path, *, name: str | None = None) -> str:
    with pytest.raises(JournalError) as caught:
        load_key(folder, Disk(), name=name)
    assert caught.value.exit_code == 40
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with Peter's key."""
    path = tmp_path / "keys"
    path.mkdir(mode=0o700)
    (path / "journal.key").touch(mode=0o600)
    (path / "journal.key").write_text(f"{PETER}\n")
    (path / "journal.pub").write_text(f"{PETER_PUBLIC.text}\n")
    return path


def test_key_written_by_go_is_loaded(folder: Path) -> None:
    """The files hold what Go's tools write, so that a key can be made elsewhere."""
    assert sign_note(TEXT, load_key(folder, Disk(), name="PeterNeumann")) == NOTE


def test_missing_key_is_told_from_a_lost_one(folder: Path) -> None:
    """Only where there is no trace of a key may one be created."""
    (folder / "journal.key").unlink()
    assert load_error(folder) == f"{folder}/journal.key is missing: {REMEDY}"
    (folder / "journal.pub").unlink()
    with pytest.raises(KeyMissing, match=f"there is no key in {folder} yet: create one"):
        load_key(folder, Disk())
    with pytest.raises(KeyMissing):
        load_key(folder / "nowhere", Disk())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_key_that_others_can_read_is_refused(folder: Path, mode: int) -> None:
    """A secret that others could read is none: the error says how to close it."""
    path = folder / "journal.key"
    path.chmod(mode)
    assert load_error(folder) == (
        f"{path} can be read by others (its mode is {mode:04o}): run chmod 600 {path}, and replace "
        "the key if anyone may have copied it"
    )
    path.chmod(0o400)
    assert load_key(folder, Disk()).text == PETER


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_folder_that_others_can_change_is_refused(folder: Path, mode: int) -> None:
    """Who can rename files can put a key in the place of another; none is made or loaded."""
    folder.chmod(mode)
    message = f"{folder} can be changed by others (its mode is {mode:04o}), who could put a key of "
    assert load_error(folder).startswith(message)
    with pytest.raises(JournalError, match="can be changed by others"):
        replace_key(folder, "PeterNeumann", Disk())
    (folder / "journal.key").unlink()
    (folder / "journal.pub").unlink()
    with pytest.raises(JournalError, match="can be changed by others"):
        create_key(folder, NAME, Disk())
    assert list(folder.iterdir()) == []


BAD_FILES = {
    "empty": (b"", "journal.key is empty: "),
    "blank": (b"\n", "journal.key is empty: "),
    "no text": (b"\xff\xfe", "journal.key is damaged: it is no text: "),
    "zeros": (bytes(100), "journal.key is damaged: it does not begin with PRIVATE+KEY+: "),
    "public": (
        PETER_PUBLIC.text.encode(),
        "journal.key is damaged: it does not begin with PRIVATE+KEY+: ",
    ),
    "cut": (PETER[:-9].encode(), "journal.key is damaged: the key of PeterNeumann is not "),
    "changed": (
        PETER.replace("AYEK", "AYEL").encode(),
        "journal.key is damaged: the id c74f20a3 of the key of PeterNeumann does not fit the key: ",
    ),
    "twice": (f"{PETER}\n{PETER}\n".encode(), "journal.key is damaged: the key of PeterNeumann is"),
    "huge": (b"x" * (FILE_BYTES_MAX + 1), f"journal.key is no key file: it is over {1 << 20} byt"),
}


@pytest.mark.parametrize(("data", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_damaged_key_file_is_refused(folder: Path, data: bytes, message: str) -> None:
    """The error names the file, says what is wrong with it, and what to do."""
    (folder / "journal.key").write_bytes(data)
    error = load_error(folder)
    assert error.startswith(f"{folder}/{message}")
    assert error.endswith(REMEDY) or len(data) > FILE_BYTES_MAX
    assert "ALVFGyNhPJEMzD1QIDr" not in error


def test_key_of_another_name_is_refused(folder: Path) -> None:
    """A journal is not signed with the key of another."""
    assert load_error(folder, name=NAME) == (
        f"{folder}/journal.key holds a key of PeterNeumann, not of {NAME}: use the folder that "
        "belongs to this journal"
    )


def test_private_key_must_be_the_last_of_the_public_ones(folder: Path) -> None:
    """A key that was replaced, or was never ours, does not sign."""
    public = folder / "journal.pub"
    message = (
        f"{folder}/journal.key holds {PETER_PUBLIC.text}, which is not the last key in {public}: "
        f"{REMEDY}"
    )
    public.write_text(f"{ENOCH_PUBLIC.text}\n")
    assert load_error(folder) == message
    public.write_text(f"{PETER_PUBLIC.text}\n{ENOCH_PUBLIC.text}\n")
    assert load_error(folder) == message
    public.write_text(f"{ENOCH_PUBLIC.text}\n{PETER_PUBLIC.text}\n")
    assert load_key(folder, Disk()).text == PETER


def test_lost_or_damaged_public_keys_are_asked_for(folder: Path) -> None:
    """Without its public keys a journal cannot be verified: they are not made up again."""
    public = folder / "journal.pub"
    public.write_text(f"{PETER_PUBLIC.text}\nPeterNeumann+c74f20a4+AA==\n")
    assert load_error(folder) == (
        f"{public} is damaged in line 2: the key of PeterNeumann is not for Ed25519, the only kind "
        "that is known here: put it back from a backup"
    )
    public.write_text("")
    assert load_error(folder) == f"{public} is empty: put it back from a backup"
    public.unlink()
    assert load_error(folder) == (
        f"{public} is missing: put it back from a backup, or if the journal never had another key, "
        f"write this line into it: {PETER_PUBLIC.text}"
    )


def test_folder_that_cannot_be_read_is_an_error_of_the_journal(tmp_path: Path) -> None:
    """What the system refuses comes out with the folder's name, too."""
    (tmp_path / "keys").write_text("a file")
    assert load_error(tmp_path / "keys").startswith(f"the key in {tmp_path}/keys cannot be read: ")
    with pytest.raises(JournalWriteFailed, match=f"no key could be created in {tmp_path}/keys: "):
        create_key(tmp_path / "keys", NAME, Disk())


def change(folder: Path, disk: Disk) -> SigningKey:
    """Create the key, or if there is one replace it."""
    known = (folder / "journal.pub").exists()
    return replace_key(folder, NAME, disk) if known else create_key(folder, NAME, disk)


def cut(folder: Path, nth: int, survivors: int) -> bool | None:
    """Change the key until the power goes before the nth thing, and cut it as PowerCutDisk says.

    Return whether `survivors` stands for a case of its own; None if the change came to its end.
    """
    disk = PowerCutDisk(nth, folder)
    try:
        change(folder, disk)
    except PowerCut:
        disk.cut_power(survivors)
        return survivors < 1 << len(disk.pending)
    disk.cut_power(survivors)
    return None


def usable(folder: Path, old: list[VerifierKey]) -> None:
    """Assert that a key can sign, is the last of the known ones, and that no `old` one is lost."""
    try:
        key = load_key(folder, Disk(), name=NAME)
    except KeyMissing:
        assert old == []
        key = create_key(folder, NAME, QUICK)
    known = list(read_verifiers(folder / "journal.pub", QUICK))
    assert known == (old if key.verifier in old else [*old, key.verifier])
    again = replace_key(folder, NAME, QUICK)
    assert read_verifiers(folder / "journal.pub", QUICK) == (*known, again.verifier)
    assert load_key(folder, Disk(), name=NAME).text == again.text


def fresh(tmp_path: Path, *parts: int, replaced: bool) -> tuple[Path, list[VerifierKey]]:
    """Return a new folder with a key if it is to be replaced, and the verifiers in it."""
    folder = tmp_path.joinpath("-".join(map(str, parts)))
    folder.mkdir(mode=0o700)
    return folder, [create_key(folder, NAME, QUICK).verifier] if replaced else []


@pytest.mark.parametrize("replaced", [False, True], ids=["create", "replace"])
def test_power_cut_leaves_the_old_key_or_the_new(tmp_path: Path, *, replaced: bool) -> None:
    """Whenever the power goes, and whatever of the unsynced names survives, a key can sign.

    The last line of the public keys is the key that is loaded, and no earlier line ever goes.
    """
    cases = 0
    for nth in range(1, 100):
        for survivors in range(8):
            folder, old = fresh(tmp_path, nth, survivors, replaced=replaced)
            alone = cut(folder, nth, survivors)
            usable(folder, old)
            cases += 1
            if not alone:
                break
        if alone is None:
            break
    assert nth < 99
    assert cases > 20


def test_second_power_cut_does_no_more_harm_than_the_first(tmp_path: Path) -> None:
    """A replacement that is tried again at once, and interrupted as well, leaves a usable key."""
    for first in range(1, 16):
        for second in range(1, 18):
            folder, old = fresh(tmp_path, first, second, replaced=True)
            cut(folder, first, 7)
            known = list(read_verifiers(folder / "journal.pub", QUICK))
            cut(folder, second, 0)
            assert known[:1] == old
            usable(folder, known)


@pytest.mark.parametrize("replaced", [False, True], ids=["create", "replace"])
def test_change_is_durable_when_it_returns(tmp_path: Path, *, replaced: bool) -> None:
    """A power cut right afterwards leaves the new key, and nothing of the old secret."""
    folder, old = fresh(tmp_path, 0, replaced=replaced)
    secret = load_key(folder, QUICK).text if replaced else "PRIVATE+KEY+none"
    disk = PowerCutDisk(100, folder)
    key = change(folder, disk)
    disk.cut_power(0)
    assert (folder / "journal.key").read_text() == f"{key.text}\n"
    assert list(read_verifiers(folder / "journal.pub", QUICK)) == [*old, key.verifier]
    assert not any(secret in path.read_text() for path in folder.iterdir())


def refusals(folder: Path, nth: int) -> bool:
    """Change the key on a disk that refuses the nth thing; say whether it came to that."""
    try:
        change(folder, PowerCutDisk(nth, folder, refuse=True))
    except JournalWriteFailed:
        return True
    return False


@pytest.mark.parametrize("replaced", [False, True], ids=["create", "replace"])
def test_disk_that_refuses_leaves_the_old_key_or_the_new(tmp_path: Path, *, replaced: bool) -> None:
    """Each refusal of the disk is reported as such, and leaves nothing that stands in the way."""
    for nth in range(1, 100):
        folder, old = fresh(tmp_path, nth, replaced=replaced)
        if not refusals(folder, nth):
            break
        known = (folder / "journal.pub").exists()
        key = load_key(folder, QUICK) if known else create_key(folder, NAME, QUICK)
        assert load_key(folder, Disk(), name=NAME).text == key.text
        both = [*old, key.verifier] if key.verifier not in old else old
        assert list(read_verifiers(folder / "journal.pub", QUICK)) == both
    assert 10 < nth < 99


def test_refusal_of_the_disk_names_the_folder(tmp_path: Path) -> None:
    """The error says where the key was to be, and what the system said."""
    with pytest.raises(JournalWriteFailed) as caught:
        create_key(tmp_path / "keys", NAME, FaultyDisk(room_bytes=20))
    assert str(caught.value) == (
        f"no key could be created in {tmp_path}/keys:"
        " No space left on device: make room on its file system"
    )


@pytest.mark.parametrize(
    "left",
    [b"", bytes(90), b"\xff", PETER[:-9].encode(), SigningKey("a", bytes(32)).text.encode()],
    ids=["empty", "zeros", "garbage", "cut", "whole"],
)
def test_next_key_that_was_never_named_is_as_good_as_none(folder: Path, left: bytes) -> None:
    """What a crash left of a key before it became the key is passed over, then written over."""
    (folder / "journal.pub").write_text(f"{ENOCH_PUBLIC.text}\n{PETER_PUBLIC.text}\n")
    (folder / "journal.key.new").write_bytes(left)
    assert load_key(folder, Disk()).text == PETER
    (folder / "journal.key.new").write_bytes(left)
    assert replace_key(folder, "PeterNeumann", Disk()).text == load_key(folder, Disk()).text
    assert sorted(path.name for path in folder.iterdir()) == REPLACED


def test_replaced_key_vouches_for_the_next(tmp_path: Path) -> None:
    """The old key signs the new one before it goes; a lost one cannot, and nobody else can."""
    folder = tmp_path / "keys"
    first = create_key(folder, NAME, Disk()).verifier.text
    assert read_endorsement(folder, Disk()) is None
    second = replace_key(folder, NAME, Disk()).verifier.text
    note = read_endorsement(folder, Disk())
    assert note is not None
    assert endorses(note, old=first, new=second)
    assert not endorses(note, old=second, new=first)
    assert not endorses(note, old=second, new=second)
    (folder / "journal.key").unlink()
    third = replace_key(folder, NAME, Disk()).verifier.text
    note = read_endorsement(folder, Disk())
    assert note is None or not endorses(note, old=second, new=third)
