"""The key of the digests that stand for secrets: its file, its modes, and what can happen to it."""

from pathlib import Path

import pytest

from recorder.errors import JournalError, JournalWriteFailed
from recorder.journal.digest_key import KEY_BYTES, NAME, load_or_create
from recorder.journal.files import Disk
from tests.journal.disks import FaultyDisk, QuickDisk
from tests.journal.powercut import PowerCut, PowerCutDisk

QUICK = QuickDisk()


def test_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """The second start reads what the first one made."""
    folder = tmp_path / "new" / "keys"
    key = load_or_create(folder, FaultyDisk())
    assert len(key) == KEY_BYTES
    assert load_or_create(folder, Disk()) == key
    assert (folder / NAME).read_text() == f"{key.hex()}\n"
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert Disk().mode(folder / NAME) == 0o600
    assert load_or_create(tmp_path / "other", Disk()) != key


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "xy" * 32, "\xff"])
def test_damaged_key_is_refused_and_kept(text: str, tmp_path: Path) -> None:
    """A key that is no key is not replaced in silence, and not shown."""
    (tmp_path / NAME).write_text(text, encoding="latin-1")
    (tmp_path / NAME).chmod(0o600)
    with pytest.raises(JournalError) as refused:
        load_or_create(tmp_path, Disk())
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / NAME} is damaged: it is not 32 bytes in hex: put it back")
    assert refused.value.__cause__ is None
    assert (tmp_path / NAME).read_text(encoding="latin-1") == text


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The message says what to type."""
    load_or_create(tmp_path, Disk())
    path = tmp_path / NAME
    path.chmod(0o640)
    with pytest.raises(JournalError) as refused:
        load_or_create(tmp_path, Disk())
    assert str(refused.value) == (
        f"{path} can be read by others (its mode is 0640): run chmod 600 {path}"
    )


def folder_for(tmp_path: Path, *parts: int) -> Path:
    folder = tmp_path / "-".join(map(str, parts))
    folder.mkdir(mode=0o700)
    return folder


def test_power_cut_leaves_a_whole_key_or_none(tmp_path: Path) -> None:
    """Wherever the power goes, and whatever of the names survives, the next start has a key."""
    cuts = 0
    for nth in range(20):
        for survivors in range(4):
            folder = folder_for(tmp_path, nth, survivors)
            disk = PowerCutDisk(nth, folder)
            made = None
            try:
                made = load_or_create(folder, disk)
            except PowerCut:
                cuts += 1
            disk.cut_power(survivors)
            key = load_or_create(folder, QUICK)
            assert made in {None, key}, "a key that was in use is the key"
            assert load_or_create(folder, QUICK) == key
            assert [path.name for path in folder.iterdir()] == [NAME]
    assert cuts >= 16


def test_disk_that_refuses_is_told_and_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Each refusal of the disk ends as an error that names the file; the next start has a key."""
    refused: list[str] = []
    for nth in range(20):
        folder = folder_for(tmp_path, nth)
        try:
            load_or_create(folder, PowerCutDisk(nth, folder, refuse=True))
        except JournalWriteFailed as error:
            refused.append(str(error).replace(str(folder), ""))
        assert len(load_or_create(folder, QUICK)) == KEY_BYTES
    assert len(refused) >= 4
    assert all(text.startswith(f"/{NAME} could not be created: ") for text in refused)
