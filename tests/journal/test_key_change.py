"""A journal whose key was replaced: told before anything is signed by the new one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder.journal.files import Disk
from recorder.journal.keys import PUBLIC_NAME, read_verifiers, replace_key, sign_note
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.journal.verify import FindingKind, verify
from recorder.model import RECORDER, Draft, Mark, MarkName
from tests.journal.samples import EPOCH_NS, SECOND_NS, abandon, drafts, files, open_journal

GOLDEN = Path(__file__).parents[1] / "golden" / "journal"


def close(journal: Journal) -> None:
    """Stop cleanly: a seal, and the next segment."""
    journal.close()


def die_between_segments(journal: Journal) -> None:
    """Stop after a seal, before there was a next segment."""
    journal.close()
    files(journal.folder)[-1].unlink()


def lose_a_byte(journal: Journal) -> None:
    """Stop, and find the first of two frames damaged: a new segment is begun behind it."""
    journal.append(drafts())
    abandon(journal)
    (path,) = files(journal.folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("stop", [close, abandon, die_between_segments])
@pytest.mark.parametrize("later_s", [1, 1_000_000])
def test_change_is_told_before_the_new_key_signs(
    tmp_path: Path, stop: Callable[[Journal], None], later_s: int
) -> None:
    """However the recorder ended, and however old the open segment is: verify has no finding."""
    journal = open_journal(tmp_path)
    journal.append(drafts())
    old = journal.notary.keys
    stop(journal)
    new = replace(tmp_path / "keys")
    late_ns = EPOCH_NS + later_s * SECOND_NS
    with Journal.open(tmp_path, now_ns=lambda: late_ns) as journal:
        journal.append(drafts())
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.keys == (*old, new)
    assert report.signed_seq == report.last_seq
    (mark,) = changes(tmp_path)
    assert mark.detail["key"] == new


def test_change_behind_damage_is_told_as_well(tmp_path: Path) -> None:
    """The new segment begins with the keys that the journal had: nothing is wrong with keys."""
    journal = open_journal(tmp_path)
    journal.append(drafts())
    lose_a_byte(journal)
    new = replace(tmp_path / "keys")
    with open_journal(tmp_path) as journal:
        journal.append(drafts())
    report = verify(tmp_path)
    kinds = {finding.kind for finding in report.findings}
    assert kinds == {FindingKind.DAMAGED_FRAME, FindingKind.SEQ_GAP}
    assert report.keys[1:] == (new,)


def test_key_that_is_only_named_vouches_for_nothing(tmp_path: Path) -> None:
    """Whoever forges a journal can name any key in it, and with a key of his own vouch for it."""
    with open_journal(tmp_path / "true") as journal:
        journal.append(drafts())
        (key,) = journal.notary.keys
    assert verify(tmp_path / "true", key=key).findings == ()
    journal = open_journal(tmp_path / "forged")
    journal.append(drafts())
    journal.sign()
    word = sign_note(f"the next key of this journal\n{key}\n", journal.notary._key)
    mark = Mark(MarkName.KEY_CHANGED, {"key": key, "endorsement": word})
    journal.append([Draft(EPOCH_NS, RECORDER, mark)])
    abandon(journal)
    assert verify(tmp_path / "forged").findings == ()
    (finding,) = verify(tmp_path / "forged", key=key).findings
    assert finding.kind is FindingKind.KEY_CHANGE
    assert finding.text == f"no checkpoint in this journal is signed by the key {key}"


def test_nothing_is_signed_in_a_segment_of_format_1(tmp_path: Path) -> None:
    """Its readers know of no checkpoints: the first one comes with a segment of format 2."""
    for path in GOLDEN.glob("*.journal"):
        shutil.copy(path, tmp_path)
    last = files(tmp_path)[-1]
    frozen = last.read_bytes()
    with open_journal(tmp_path) as journal:
        journal.sign()
        assert last.read_bytes() == frozen
        assert journal.unsigned == 24
        journal.append(drafts())
        assert journal.unsigned == 10
        journal.sign()
        assert journal.unsigned == 0
    assert verify(tmp_path).findings == ()


def replace(folder: Path) -> str:
    """Replace the key in a folder by one of the same name; return the new one."""
    name = read_verifiers(folder / PUBLIC_NAME, Disk())[-1].name
    return replace_key(folder, name, Disk()).verifier.text


def changes(folder: Path) -> list[Mark]:
    """Every mark of a change of keys."""
    bodies = [entry.body for entry in scan(folder)]
    return [body for body in bodies if isinstance(body, Mark) and body.name is MarkName.KEY_CHANGED]
