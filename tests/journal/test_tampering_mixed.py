"""Several damages at a time, by chance: hypothesis looks for a mixture that is believed."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import JournalError
from recorder.journal.packing import pack_segment
from recorder.journal.scan import scan
from recorder.journal.verify import FindingKind, verify
from tests.journal.samples import event, open_journal
from tests.journal.tampering import (
    Bench,
    Files,
    SmallDisk,
    collect,
    forbid_writing,
    sample,
    split,
    with_crc,
)

MUTANTS = 1_000_000
FORMS = ("closed", "killed", "packed")
Pick = tuple[int, int, int, int, int]
"""A shape of damage, a file, a place in it, a size, and another file to take bytes from."""


def place_in(data: bytes, at: int) -> int:
    return at % (len(data) + 1)


def flip(data: bytes, at: int, size: int, _: bytes) -> bytes:
    edited = bytearray(data)
    if edited:
        edited[at % len(data)] ^= size % 255 + 1
    return bytes(edited)


def cut(data: bytes, at: int, _size: int, _: bytes) -> bytes:
    return data[: place_in(data, at)]


def behead(data: bytes, at: int, _size: int, _: bytes) -> bytes:
    return data[place_in(data, at) :]


def drop(data: bytes, at: int, size: int, _: bytes) -> bytes:
    at = place_in(data, at)
    return data[:at] + data[at + size :]


def repeat(data: bytes, at: int, size: int, _: bytes) -> bytes:
    at = place_in(data, at)
    return data[: at + size] + data[at:]


def zero(data: bytes, at: int, size: int, _: bytes) -> bytes:
    at = place_in(data, at)
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def insert(data: bytes, at: int, size: int, other: bytes) -> bytes:
    at = place_in(data, at)
    return data[:at] + other[at : at + size] + data[at:]


def overwrite_with(data: bytes, at: int, size: int, other: bytes) -> bytes:
    at = place_in(data, at)
    return data[:at] + other[at : at + size] + data[at + size :]


def replace_all(_data: bytes, _at: int, _size: int, other: bytes) -> bytes:
    return other


def _frames(data: bytes) -> list[bytes]:
    try:
        parts = split(data)
    except IndexError:
        return [data]
    return parts if b"".join(parts) == data and len(parts) < 100 else [data]


def swap_frames(data: bytes, at: int, size: int, _: bytes) -> bytes:
    frames = _frames(data)
    one, two = at % len(frames), size % len(frames)
    frames[one], frames[two] = frames[two], frames[one]
    return b"".join(frames)


def drop_frame(data: bytes, at: int, _size: int, _: bytes) -> bytes:
    frames = _frames(data)
    del frames[at % len(frames)]
    return b"".join(frames)


def repeat_frame(data: bytes, at: int, size: int, _: bytes) -> bytes:
    frames = _frames(data)
    frames.insert(size % (len(frames) + 1), frames[at % len(frames)])
    return b"".join(frames)


def insert_frame(data: bytes, at: int, size: int, other: bytes) -> bytes:
    frames, theirs = _frames(data), _frames(other)
    frames.insert(size % (len(frames) + 1), theirs[at % len(theirs)])
    return b"".join(frames)


def edit_with_crc(data: bytes, at: int, size: int, _: bytes) -> bytes:
    """Edit any byte behind the lengths of a header or frame, and repair its checksum."""
    frames = _frames(data)
    which = size % len(frames)
    part = bytearray(frames[which])
    if len(part) < 100:
        return data
    start = 20 if part.startswith(b"xentrail") else 12
    part[start + at % (len(part) - start)] ^= at % 255 + 1
    frames[which] = with_crc(part)
    return b"".join(frames)


SHAPES = (
    flip,
    cut,
    behead,
    drop,
    repeat,
    zero,
    insert,
    overwrite_with,
    replace_all,
    swap_frames,
    drop_frame,
    repeat_frame,
    insert_frame,
    edit_with_crc,
)


def damaged(files: Files, picks: list[Pick]) -> Files:
    """Return files after some damages, one after the other."""
    files = dict(files)
    for shape, which, at, size, other in picks:
        names = sorted(files)
        name, source = names[which % len(names)], names[other % len(names)]
        files[name] = SHAPES[shape % len(SHAPES)](files[name], at, size, files[source])
    return files


PICK = st.tuples(
    st.integers(0, len(SHAPES) - 1),
    st.integers(0, 4),
    st.integers(0, 3000),
    st.one_of(st.integers(1, 8), st.integers(1, 3000)),
    st.integers(0, 4),
)


def journal(tmp_path: Path, form: str) -> tuple[Bench, int]:
    """A journal in this form, a folder to damage it in, and the last entry that is signed for."""
    truth = sample(tmp_path / "written", closed=form != "killed")
    if form == "packed":
        for number in range(1, 5):
            assert pack_segment(tmp_path / "written", number, SmallDisk())
    report = verify(tmp_path / "written")
    assert report.findings == ()
    return Bench(tmp_path / "damaged", collect(tmp_path / "written"), truth), report.signed_seq


@pytest.mark.parametrize("form", FORMS)
def test_mixed_damage_is_never_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Whatever is done at a time: verify does not raise, scan yields a prefix, nothing is written.

    Where verify finds nothing, every entry that a checkpoint vouches for is there.
    """
    bench, signed = journal(tmp_path, form)
    forbid_writing(monkeypatch)

    @settings(max_examples=250, deadline=None, database=None, derandomize=True)
    @given(st.lists(PICK, min_size=1, max_size=6))
    def check(picks: list[Pick]) -> None:
        try_one(bench, signed, picks)

    check()


def try_one(bench: Bench, signed: int, picks: list[Pick]) -> bool:
    """Read a journal with such damages in every way; return whether verify found something."""
    bench.place(damaged(bench.files, picks))
    believed = bench.check_scan()
    report = bench.verify()
    if report is None or report.findings:
        return True
    assert believed >= signed
    assert report.last_seq == believed
    return False


def test_recording_goes_on_behind_any_damage(tmp_path: Path) -> None:
    """An open after damage loses no number and heals no finding: only a torn tail goes away.

    Or it refuses, and touches nothing.
    """
    bench, _ = journal(tmp_path, "killed")
    names = sorted(bench.files)
    for seed in range(200):
        rng = random.Random(seed)
        name = rng.choice([names[-1], names[-1], names[-1], *names])
        shape, at, size = rng.choice(SHAPES), rng.randrange(3000), rng.randrange(1, 1000)
        data = shape(bench.files[name], at, size, bench.files[rng.choice(names)])
        shutil.rmtree(bench.folder)
        bench.folder.mkdir()
        bench.place(bench.files | {name: data})
        believed, before = bench.check_scan(), lasting(bench)
        if (first := gone_on(bench, tmp_path / "written" / "keys")) is None:
            assert collect(bench.folder) == bench.files | {name: data}
            continue
        assert first > believed or name != names[-1], f"seed {seed}: a number was given out twice"
        assert before <= lasting(bench), f"seed {seed}: {shape.__name__} in {name}"
        assert next(scan(bench.folder, after_seq=first - 1)).seq == first


def lasting(bench: Bench) -> set[tuple[FindingKind, int, int]]:
    """What is found: kind, segment and offset; without torn tails, which an open cuts off."""
    found = verify(bench.folder, processes=1).findings
    return {
        (finding.kind, finding.segment, finding.offset)
        for finding in found
        if finding.kind is not FindingKind.TORN_TAIL
    }


def gone_on(bench: Bench, keys: Path) -> int | None:
    """Open the journal, append one entry and close; return its number, None if that is refused."""
    try:
        with open_journal(bench.folder, disk=SmallDisk(), keys=keys) as again:
            return again.append([event(1)]).start
    except JournalError:
        return None


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_a_million_mutants_raise_nothing_that_is_not_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The reader and verify against a million damaged segments, with seeds to find one again."""
    bench, signed = journal(tmp_path, form)
    forbid_writing(monkeypatch)
    found = 0
    for seed in range(MUTANTS // len(FORMS)):
        picks = picked(random.Random(seed))
        try:
            found += try_one(bench, signed, picks)
        except BaseException as error:
            error.add_note(f"seed {seed}: {picks}")
            raise
    assert found > 0.95 * MUTANTS // len(FORMS)


def picked(rng: random.Random) -> list[Pick]:
    """Return one damage, or some, by chance."""
    return [
        (
            rng.randrange(len(SHAPES)),
            rng.randrange(5),
            rng.randrange(3000),
            rng.choice([rng.randrange(1, 9), rng.randrange(1, 3000)]),
            rng.randrange(5),
        )
        for _ in range(rng.choice([1, 1, 2, 3, 6]))
    ]
