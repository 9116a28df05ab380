"""Sealed segments packed by zstd: the same journal in less room, whatever comes in between."""

import shutil
import subprocess
from pathlib import Path

import pytest

from recorder.journal.files import Disk
from recorder.journal.names import find_segment, packed_path, segment_path
from recorder.journal.packed import PackedDamaged, check_form
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.scan import head, scan
from recorder.journal.verify import verify
from tests.journal.powercut import PowerCut, PowerCutDisk
from tests.journal.samples import abandon, event, open_journal, write


def pack_all(folder: Path) -> list[int]:
    """Pack every sealed segment; return their numbers."""
    numbers = to_pack(folder, Disk())
    assert all(pack_segment(folder, number, Disk()) for number in numbers)
    return numbers


def test_packed_journal_is_the_same_journal(tmp_path: Path) -> None:
    """Entries, chain, findings and where a reader may begin are those of the raw one."""
    truth = write(tmp_path)
    before, end = verify(tmp_path), head(tmp_path)
    assert pack_all(tmp_path) == [1, 2, 3]
    assert sorted(path.name for path in tmp_path.glob("0*")) == [
        "0000000001.journal.zst",
        "0000000002.journal.zst",
        "0000000003.journal.zst",
        "0000000004.journal",
    ]
    assert list(scan(tmp_path)) == truth
    for after in range(len(truth)):
        assert list(scan(tmp_path, after_seq=after)) == truth[after:]
    report = verify(tmp_path)
    assert report.findings == ()
    assert (report.chain, report.root, report.packed) == (before.chain, before.root, 3)
    assert head(tmp_path) == end


def test_packed_segment_is_unpacked_by_the_tool_of_zstd(tmp_path: Path) -> None:
    """Nobody needs xentrail to read it."""
    zstd = shutil.which("zstd")
    if zstd is None:
        pytest.skip("zstd is not installed")
    write(tmp_path)
    raw = segment_path(tmp_path, 1).read_bytes()
    pack_all(tmp_path)
    command = [zstd, "-d", "--long=27", "--stdout", str(packed_path(tmp_path, 1))]
    assert subprocess.run(command, capture_output=True, check=True).stdout == raw


def test_packed_journal_goes_on(tmp_path: Path) -> None:
    """Opening needs only the last segment, which is never packed."""
    truth = write(tmp_path)
    pack_all(tmp_path)
    with open_journal(tmp_path) as journal:
        assert journal.append([event(1)]).start == len(truth) + 1
    assert len(list(scan(tmp_path))) == len(truth) + 1
    assert verify(tmp_path).findings == ()


def test_the_segment_that_is_written_is_not_packed(tmp_path: Path) -> None:
    """Nor is one that a crash left without a seal, nor one that is damaged."""
    journal = open_journal(tmp_path)
    journal.append([event(1)])
    abandon(journal)
    assert to_pack(tmp_path, Disk()) == []
    assert pack_segment(tmp_path, 1, Disk()) is False
    write(tmp_path / "other")
    path = segment_path(tmp_path / "other", 1)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert pack_segment(tmp_path / "other", 1, Disk()) is False
    assert path.read_bytes() == data


@pytest.mark.parametrize("survivors", [0, 1, 2, 3, 5, 7])
def test_power_cut_while_packing_leaves_one_form_whole(tmp_path: Path, survivors: int) -> None:
    """Before every call to the disk, whichever unsynced names survive: the segment is there."""
    truth = write(tmp_path / "whole")
    for nth in range(1, 100):
        folder = tmp_path / str(nth)
        shutil.copytree(tmp_path / "whole", folder, ignore=shutil.ignore_patterns("keys"))
        disk = PowerCutDisk(nth, folder)
        try:
            pack_segment(folder, 2, disk)
        except PowerCut:
            disk.cut_power(survivors)
        else:
            break
        assert list(scan(folder)) == truth
        assert verify(folder).findings == ()
        if 2 in to_pack(folder, Disk()):
            assert pack_segment(folder, 2, Disk())
        assert find_segment(folder, 2, Disk()) == packed_path(folder, 2)
        assert list(scan(folder)) == truth
        shutil.rmtree(folder)
    assert nth > 8


def test_other_packed_file_in_the_way_is_refused(tmp_path: Path) -> None:
    """A packed file that is none of this segment is not taken for it, nor written over."""
    write(tmp_path)
    raw = segment_path(tmp_path, 1).read_bytes()
    pack_all(tmp_path)
    segment_path(tmp_path, 1).write_bytes(raw)
    shutil.copy(packed_path(tmp_path, 2), packed_path(tmp_path, 1))
    with pytest.raises(PackedDamaged, match=r"does not hold what .* does: remove one of them"):
        pack_segment(tmp_path, 1, Disk())
    assert segment_path(tmp_path, 1).read_bytes() == raw


def test_bytes_behind_the_packed_ones_are_found(tmp_path: Path) -> None:
    """zstd itself would skip some of what can be put there."""
    write(tmp_path)
    pack_all(tmp_path)
    path = packed_path(tmp_path, 1)
    skippable = bytes.fromhex("502a4d1804000000") + b"more"
    path.write_bytes(path.read_bytes() + skippable)
    with pytest.raises(PackedDamaged, match="bytes behind"):
        check_form(path, Disk())
    (finding,) = verify(tmp_path).findings
    assert finding.segment == 1
