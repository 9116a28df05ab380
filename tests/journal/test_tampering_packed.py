"""Tampering with packed segments: a damage is found, or changes nothing of what is in the file.

zstd has bits that mean nothing: padding at the end of its tables, for instance. Who flips one has
changed a container, and not a byte of the evidence in it.
"""

import errno
import random
from collections.abc import Callable
from io import BufferedReader, FileIO
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from recorder.errors import JournalError
from recorder.journal.files import Disk
from recorder.journal.packed import PackedDamaged, open_segment
from recorder.journal.packing import pack_segment
from recorder.journal.scan import DamageFound, head, scan
from recorder.journal.verify import FindingKind, verify
from tests.journal.tampering import (
    Bench,
    SmallDisk,
    assemble,
    collect,
    dismantle,
    forbid_writing,
    overwrite,
    owner,
    sample,
)

SKIPPABLE = b"\x50\x2a\x4d\x18" + b"\x04\x00\x00\x00" + b"note"
EMPTY = zstandard.ZstdCompressor().compress(b"")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A journal of 100 entries in four packed segments, and an empty raw one."""
    truth = sample(tmp_path / "written")
    for number in range(1, 5):
        assert pack_segment(tmp_path / "written", number, SmallDisk())
    bench = Bench(tmp_path / "damaged", collect(tmp_path / "written"), truth)
    forbid_writing(monkeypatch)
    assert [name[-4:] for name in bench.files] == [".zst"] * 4 + ["rnal"]
    assert bench.finds(bench.files).findings == ()
    assert list(scan(bench.folder)) == truth
    return bench


def packed_files(bench: Bench) -> dict[str, bytes]:
    """The packed files, by name."""
    return {name: data for name, data in bench.files.items() if name.endswith(".zst")}


def unpacked(path: Path) -> bytes | None:
    """What is in a packed file, None if it is damaged."""
    try:
        with open_segment(path, Disk()) as file:
            return file.read()
    except PackedDamaged:
        return None


def harmless(bench: Bench, name: str, damaged: bytes | bytearray) -> bool:
    """Say whether a damaged file still unpacks to the very bytes that it held."""
    path = bench.folder / name
    truth = unpacked(path)
    overwrite(path, damaged)
    found = unpacked(path)
    overwrite(path, bench.files[name])
    return truth is not None and found == truth


def test_every_flipped_bit_is_found_or_harmless(bench: Bench) -> None:
    """Of 40,000 bits about 50 mean nothing to zstd, and verify says nothing of those alone.

    Every third one is tried here, all by the long form.
    """
    check_flips(bench, step=3)


@pytest.mark.soak
def test_each_and_every_flipped_bit_is_found_or_harmless(bench: Bench) -> None:
    """The same for all bits."""
    check_flips(bench, step=1)


def check_flips(bench: Bench, *, step: int) -> None:
    """Flip bits of all packed files, and count those that verify says nothing of."""
    bits = unnoticed = 0
    for name, data in packed_files(bench).items():
        edited = bytearray(data)
        for place in range(0, 8 * len(data), step):
            edited[place // 8] ^= 1 << place % 8
            if not bench.finds_in(name, edited):
                unnoticed += 1
                assert harmless(bench, name, edited), f"bit {place % 8} of {place // 8} of {name}"
            edited[place // 8] ^= 1 << place % 8
        bits += 8 * len(data) // step
    assert unnoticed < bits / 400


def test_every_cut_is_found(bench: Bench) -> None:
    """A packed file cannot end early, or lose its beginning; nor is the rest believed."""
    for name, data in packed_files(bench).items():
        for size in range(len(data)):
            assert bench.finds_in(name, data[:size]), f"{name} cut to {size}"
            if size % 10 == 1:
                assert bench.finds_in(name, data[size:]), f"{name} without its first {size}"
                overwrite(bench.folder / name, data[:size])
                bench.check_scan()
                overwrite(bench.folder / name, data)


def test_bytes_that_come_go_or_are_overwritten_are_found_or_harmless(bench: Bench) -> None:
    """Nor can bytes come, go, be repeated or become zero inside of it."""
    rng = random.Random(2)
    for name, data in packed_files(bench).items():
        for _ in range(200):
            start = rng.randrange(len(data))
            stop = start + rng.choice([1, 2, 3, 4, 8, 32, 100])
            piece = rng.randbytes(stop - start)
            for damaged in (
                data[:start] + data[stop:],
                data[:stop] + data[start:stop] + data[stop:],
                data[:start] + piece + data[start:],
                data[:start] + piece + data[stop:],
                data[:start] + bytes(stop - start) + data[stop:],
            ):
                found = damaged == data or bench.finds_in(name, damaged)
                assert found or harmless(bench, name, damaged), f"{name} {start} {stop}"


def appended_rubbish(data: bytes) -> bytes:
    return data + b"rubbish"


def appended_zero(data: bytes) -> bytes:
    return data + b"\0"


def appended_skippable(data: bytes) -> bytes:
    return data + SKIPPABLE


def appended_frame(data: bytes) -> bytes:
    return data + zstandard.ZstdCompressor().compress(b"more")


def appended_empty_frame(data: bytes) -> bytes:
    return data + EMPTY


def skippable_before(data: bytes) -> bytes:
    return SKIPPABLE + data


def empty_frame_before(data: bytes) -> bytes:
    return EMPTY + data


def repeated(data: bytes) -> bytes:
    return data + data


def without_checksum(data: bytes) -> bytes:
    content = zstandard.ZstdDecompressor().decompress(data)
    return zstandard.ZstdCompressor(write_checksum=False).compress(content)


def without_size(data: bytes) -> bytes:
    content = zstandard.ZstdDecompressor().decompress(data)
    packer = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    return packer.compress(content)


def raw(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


@pytest.mark.parametrize(
    "shape",
    [
        appended_rubbish,
        appended_zero,
        appended_skippable,
        appended_frame,
        appended_empty_frame,
        skippable_before,
        empty_frame_before,
        repeated,
        without_checksum,
        without_size,
        raw,
    ],
)
def test_what_is_not_one_frame_as_we_write_it_is_found(
    bench: Bench, shape: Callable[[bytes], bytes]
) -> None:
    """Neither more than one frame nor one of another form passes, whatever it unpacks to."""
    for name, data in packed_files(bench).items():
        report = bench.finds(bench.files | {name: shape(data)})
        assert report.findings[0].segment == int(name[:10])


def test_packed_file_of_another_segment_is_found(bench: Bench) -> None:
    """Packed files cannot be swapped, or stand for one another."""
    names = list(packed_files(bench))
    for name in names:
        for other in names:
            if name != other:
                copied = bench.files | {name: bench.files[other]}
                assert bench.finds(copied).findings
                assert bench.finds(copied | {other: bench.files[name]}).findings


def test_content_that_was_forged_is_found(bench: Bench) -> None:
    """A well-made container does not help a forged content."""
    segments = {name: raw(data) for name, data in packed_files(bench).items()}
    for name, data in segments.items():
        for place in range(0, len(data), 29):
            forged = bytearray(data)
            forged[place] ^= 1
            packer = zstandard.ZstdCompressor(write_checksum=True)
            assert bench.finds_in(name, packer.compress(bytes(forged))), f"{name} {place}"


def test_last_segment_that_is_packed_has_no_torn_tail(bench: Bench) -> None:
    """Only what was sealed is packed: a packed file that ends early is damage, even the last."""
    *names, _empty = bench.files
    files = {name: bench.files[name] for name in names}
    assert bench.finds(files).findings == ()
    last = names[-1]
    segments = [dismantle(raw(files[name])) for name in names]
    segments[-1] = replace(segments[-1], parts=segments[-1].parts[:-1])
    unsealed = assemble(segments, sign=owner({last: raw(files[last])}).sign)[last[:-4]]
    packer = zstandard.ZstdCompressor(write_checksum=True)
    for damaged in (packer.compress(unsealed), packer.compress(unsealed[:-9])):
        overwrite(bench.folder / last, damaged)
        findings = verify(bench.folder).findings
        assert [finding.kind for finding in findings] == [FindingKind.DAMAGED_FRAME]
        with pytest.raises(DamageFound, match="cut short"):
            list(scan(bench.folder))
        with pytest.raises(DamageFound, match="cut short"):
            head(bench.folder)


class Failing(BufferedReader):
    """A file of which the system gives `good` bytes and no more."""

    def __init__(self, path: Path, good: int) -> None:
        super().__init__(FileIO(path))
        self._good = good

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if self.tell() > self._good:
            raise OSError(errno.EIO, "Input/output error")
        return data


@pytest.mark.parametrize("good", [0, 10, 500, 1000])
def test_disk_that_fails_while_a_packed_file_is_unpacked_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    """A disk that cannot read is a finding for verify; for scan it is an error with the folder."""
    open_read = Disk.open_read

    def open_failing(disk: Disk, path: Path) -> BufferedReader:
        if path.name == "0000000002.journal.zst":
            return Failing(path, good)
        return open_read(disk, path)

    monkeypatch.setattr(Disk, "open_read", open_failing)
    found = {finding.segment: finding.kind for finding in verify(bench.folder).findings}
    assert found[2] is FindingKind.UNREADABLE
    with pytest.raises(JournalError, match=f"the journal in {bench.folder} cannot be read"):
        list(scan(bench.folder))
