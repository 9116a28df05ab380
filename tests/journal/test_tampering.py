"""P2, no silent change: whatever is done to a journal below its last checkpoint, verify finds it.

The journal is small, so that the damage can be all there is of a kind. `verify` and `scan` write
nothing and raise nothing but what they document, whatever they are given.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from recorder.journal.chain import leaf_hash
from recorder.journal.frame import Flag, build
from recorder.journal.header import Header, pack_header
from recorder.journal.scan import scan
from recorder.journal.verify import FindingKind, verify
from tests.journal.forgeries import FORGERIES, Forgery, edit_entry
from tests.journal.samples import event, open_journal
from tests.journal.tampering import (
    Bench,
    Files,
    Part,
    SmallDisk,
    Taken,
    assemble,
    collect,
    dismantle,
    forbid_writing,
    listed,
    overwrite,
    owner,
    packed,
    plain,
    rearranged,
    sample,
    split,
    stranger,
    with_crc,
)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A closed journal of 100 entries in four segments, and an empty fifth one."""
    truth = sample(tmp_path / "written")
    assert len(truth) == 100
    bench = Bench(tmp_path / "damaged", collect(tmp_path / "written"), truth)
    forbid_writing(monkeypatch)
    assert len(bench.files) == 5
    assert bench.finds(bench.files).findings == ()
    return bench


def last_checkpoint(bench: Bench) -> str:
    """What somebody noted elsewhere: the newest checkpoint of the whole journal."""
    seal = plain(dismantle(sealed(bench)[-1]).parts[-1].items[0])
    assert isinstance(seal, list)
    return str(seal[6])


def sealed(bench: Bench) -> list[bytes]:
    """The segments that hold entries."""
    return [data for _, data in sorted(bench.files.items())][:-1]


def taken(bench: Bench) -> list[Taken]:
    """All segments, taken apart."""
    return [dismantle(data) for _, data in sorted(bench.files.items())]


def test_every_flipped_bit_is_found(bench: Bench) -> None:
    """No bit of any file can change without a finding."""
    for name, data in bench.files.items():
        edited = bytearray(data)
        for place in range(8 * len(data)):
            edited[place // 8] ^= 1 << place % 8
            assert bench.finds_in(name, edited), f"bit {place % 8} of byte {place // 8} of {name}"
            edited[place // 8] ^= 1 << place % 8


def test_every_value_of_a_byte_is_found(bench: Bench) -> None:
    """A byte can become none of the 255 others without a finding; scan yields only a prefix."""
    for name, data in bench.files.items():
        edited = bytearray(data)
        for place in range(0, len(data), 500):
            for change in range(1, 256):
                edited[place] ^= change
                assert bench.finds_in(name, edited), f"byte {place} of {name} changed by {change}"
                edited[place] ^= change
        for place in range(0, len(data), 7):
            edited[place] ^= 0x41
            overwrite(bench.folder / name, edited)
            edited[place] ^= 0x41
            bench.check_scan()
        overwrite(bench.folder / name, data)


def test_flips_in_a_journal_of_records_are_found(tmp_path: Path) -> None:
    """A sample of the bytes of entries as large as real ones: a byte in ten thousand."""
    with open_journal(tmp_path / "written", segment_bytes_max=1 << 20, disk=SmallDisk()) as journal:
        for number in range(10):
            journal.append([event(number * 100 + at, 3000) for at in range(100)])
    truth = list(scan(tmp_path / "written"))
    bench = Bench(tmp_path / "damaged", collect(tmp_path / "written"), truth)
    assert len(bench.files) == 5
    rng = random.Random(3)
    for name, data in bench.files.items():
        edited = bytearray(data)
        for place in rng.sample(range(len(data)), 20 + len(data) // 10_000):
            edited[place] ^= rng.randrange(1, 256)
            assert bench.finds_in(name, edited), f"byte {place} of {name}"
            edited[place] = data[place]


def test_every_cut_is_found(bench: Bench) -> None:
    """No file can end early, or lose its beginning, without a finding."""
    for name, data in bench.files.items():
        for size in range(len(data)):
            assert bench.finds_in(name, data[:size]), f"{name} cut to {size}"
            if size % 3 == 0 and size:
                assert bench.finds_in(name, data[size:]), f"{name} without its first {size}"


def test_bytes_inserted_dropped_or_repeated_are_found(bench: Bench) -> None:
    """Nor can bytes come, go or be repeated inside a file, or at its end."""
    rng = random.Random(1)
    for name, data in bench.files.items():
        for _ in range(150):
            start = rng.randrange(len(data))
            stop = start + rng.choice([1, 2, 3, 4, 8, 32, 100, 500])
            piece = data[start:stop]
            to = rng.randrange(len(data) + 1)
            damaged = {
                "dropped": data[:start] + data[stop:],
                "repeated": data[:stop] + piece + data[stop:],
                "inserted": data[:to] + piece + data[to:],
                "overwritten": data[:to] + piece + data[to + len(piece) :],
                "zeroed": data[:start] + bytes(len(piece)) + data[stop:],
                "appended": data + piece,
            }
            for shape, edited in damaged.items():
                if edited != data:
                    assert bench.finds_in(name, edited), f"{shape}: {name} {start} {stop} {to}"


def test_frames_in_any_other_order_are_found(bench: Bench) -> None:
    """Frames that are swapped, dropped, moved or repeated within a segment are found."""
    for name, data in bench.files.items():
        header, *frames = split(data)
        for what, order in rearranged(len(frames)):
            damaged = header + b"".join(frames[place] for place in order)
            assert bench.finds(bench.files | {name: damaged}).findings, f"{name}: {what}"


def test_frames_of_other_segments_are_found(bench: Bench) -> None:
    """A frame that is put into another segment, or in the place of one of its frames, is found."""
    parts = {name: split(data) for name, data in bench.files.items()}
    for name, mine in parts.items():
        for other, theirs in parts.items():
            for place in range(1, len(mine) + 1):
                for part in theirs if other != name else []:
                    inserted = b"".join([*mine[:place], part, *mine[place:]])
                    assert bench.finds_in(name, inserted), f"{name} {place} of {other}"
                    replaced = b"".join([*mine[:place], part, *mine[place + 1 :]])
                    assert bench.finds_in(name, replaced), f"{name} {place} from {other}"


def test_segments_in_any_other_order_are_found(bench: Bench) -> None:
    """Segments that are swapped, dropped, moved or repeated are found, whatever they are called.

    Only the end of a journal can be cut off unseen, and not by who noted a checkpoint elsewhere.
    """
    anchor = last_checkpoint(bench)
    datas = [data for _, data in sorted(bench.files.items())]
    for what, order in rearranged(len(datas)):
        named = {f"{number:010d}.journal": datas[at] for number, at in enumerate(order, 1)}
        report = bench.finds(named)
        if order == [0, 1, 2, 3]:
            assert report.findings == ()  # the last one is empty
            continue
        assert report.findings, what
    for size in range(1, 4):
        bench.place(dict(list(bench.files.items())[:size]))
        assert verify(bench.folder).findings == ()
        findings = verify(bench.folder, anchors=[anchor]).findings
        assert [finding.kind for finding in findings] == [FindingKind.ANCHOR_MISSED]
    for name in list(bench.files)[:-1]:
        without = {other: data for other, data in bench.files.items() if other != name}
        assert bench.finds(without).findings[0].kind is FindingKind.MISSING_SEGMENT


def test_edits_with_the_checksum_repaired_are_found(bench: Bench) -> None:
    """Who edits a frame or header and repairs its CRC has still broken the chain behind it.

    The header of the last segment, which is empty, has nothing behind it that could tell.
    """
    *names, _last = bench.files
    for name in names:
        parts = split(bench.files[name])
        for number, part in enumerate(parts):
            edited = bytearray(part)
            for place in range(12 if number else 20, len(part), 3):
                edited[place] ^= 1 << place % 8
                damaged = b"".join([*parts[:number], with_crc(edited), *parts[number + 1 :]])
                edited[place] ^= 1 << place % 8
                assert bench.finds_in(name, damaged), f"byte {place} of part {number} of {name}"


def header_edits(header: Header, other: Header) -> list[dict[str, object]]:
    """Fields of a header with values that could be true: most are those of another segment."""
    return [
        {"journal_id": bytes(16)},
        {"number": header.number + 1},
        {"first_seq": header.first_seq + 1},
        {"prev_chain": other.prev_chain},
        {"tails": other.tails},
        {"keys": ()},
        {"tree_size": other.tree_size, "peaks": other.peaks},
    ]


@pytest.mark.parametrize("at", range(5))
def test_header_edits_with_the_checksum_repaired_are_found(bench: Bench, at: int) -> None:
    """No field of a header can be given another value, even one that belongs elsewhere."""
    name, data = sorted(bench.files.items())[at]
    segments = taken(bench)
    _header, *frames = split(data)
    for edit in header_edits(segments[at].header, segments[(at + 2) % 5].header):
        edited = replace(segments[at].header, **edit)
        damaged = b"".join([pack_header(edited), *frames])
        assert damaged != data, edit
        assert bench.finds_in(name, damaged), edit


@pytest.mark.parametrize("at", range(5))
def test_header_edits_with_the_chain_recomputed_are_found(bench: Bench, at: int) -> None:
    """No signature covers headers, but what they say follows from entries, which one covers.

    The one exception is `created_ns`, a label.
    """
    segments = taken(bench)
    for edit in header_edits(segments[at].header, segments[(at + 2) % 5].header):
        lying = list(segments)
        lying[at] = replace(lying[at], lies=edit)
        bench.place(assemble(lying))
        assert verify(bench.folder).findings, edit
    segments[at] = replace(segments[at], lies={"created_ns": 5})
    bench.place(assemble(segments))
    assert verify(bench.folder).findings == ()


@pytest.mark.parametrize("forge", FORGERIES)
def test_forgery_with_all_recomputed_but_signatures_is_found(bench: Bench, forge: Forgery) -> None:
    """Who recomputes numbers, tails, trees, seals and the chain still lacks the key."""
    segments = taken(bench)
    forge(segments)
    forged = assemble(segments)
    assert forged != bench.files
    bench.place(forged)
    assert verify(bench.folder).findings
    assert verify(bench.folder, processes=1).findings


@pytest.mark.parametrize("forge", FORGERIES)
def test_forgery_signed_by_a_stranger_is_found(bench: Bench, forge: Forgery) -> None:
    """Signing it all with another key of the same name does not help: the headers name the key."""
    segments = taken(bench)
    forge(segments)
    bench.place(assemble(segments, sign=stranger(bench.files).sign))
    assert verify(bench.folder).findings


def rewritten(bench: Bench) -> Files:
    """The journal as its owner could have written it, with one entry changed."""
    segments = taken(bench)
    edit_entry(segments)
    return assemble(segments, sign=owner(bench.files).sign)


def test_owner_of_the_key_is_found_by_who_noted_a_checkpoint(bench: Bench) -> None:
    """Disk and key together can rewrite everything, except for what was noted elsewhere."""
    anchor = last_checkpoint(bench)
    assert verify(bench.folder, anchors=[anchor]).findings == ()
    bench.place(rewritten(bench))
    assert verify(bench.folder).findings == ()
    (finding,) = verify(bench.folder, anchors=[anchor]).findings
    assert finding.kind is FindingKind.ANCHOR_MISSED


def test_journal_under_a_strangers_key_names_that_key(bench: Bench) -> None:
    """Who rewrites all of a journal, keys included, is told by the key that verify reports."""
    anchor = last_checkpoint(bench)
    (key,) = verify(bench.folder).keys
    segments = taken(bench)
    edit_entry(segments)
    other = stranger(bench.files)
    for at, segment in enumerate(segments):
        segments[at] = replace(segment, header=replace(segment.header, keys=other.keys))
    bench.place(assemble(segments, sign=other.sign))
    report = verify(bench.folder)
    assert report.findings == ()
    assert report.keys == other.keys != (key,)
    (finding,) = verify(bench.folder, key=key).findings
    assert finding.kind is FindingKind.KEY_CHANGE
    assert verify(bench.folder, anchors=[anchor]).findings


def seal_edits() -> Iterator[tuple[str, int, object]]:
    """Name, place and value of every false word in a seal."""
    yield "word", 0, "seals"
    for name, place in (("first", 1), ("last", 2), ("entries", 3), ("frames", 4)):
        yield name, place, 7
        yield f"{name} as text", place, "7"
    yield "root", 5, bytes(32)
    yield "short root", 5, b""
    yield "note", 6, "no note\n"
    yield "no note", 6, None


@pytest.mark.parametrize(("_name", "place", "value"), list(seal_edits()))
@pytest.mark.parametrize("at", [0, 3])
def test_forged_seal_is_found(bench: Bench, at: int, _name: str, place: int, value: object) -> None:
    """A seal that says anything else than what is true of its segment is found, chain or not."""
    name, data = sorted(bench.files.items())[at]
    *before, seal = split(data)
    part = dismantle(data).parts[-1]
    said = listed(part.items[0])
    assert said[place] != value
    said[place] = value
    prior = len(before) > 1 and before[-1][-32:]
    assert isinstance(prior, bytes)
    item = packed(said)
    forged, _ = build(
        [item],
        [leaf_hash(item)],
        flags=Flag.SEAL,
        first_seq=int.from_bytes(seal[16:24], "little"),
        before=prior,
    )
    report = bench.finds(bench.files | {name: b"".join([*before, forged])})
    first = report.findings[0]
    assert first.segment == at + 1
    assert first.kind in (FindingKind.BAD_SEAL, FindingKind.BAD_SIGNATURE)


def test_what_follows_a_seal_is_found(bench: Bench) -> None:
    """Nothing can be written behind a seal, not even frames that fit."""
    name, data = sorted(bench.files.items())[1]
    segments = taken(bench)
    parts = segments[1].parts
    segments[1] = replace(segments[1], parts=(*parts, Part(Flag.DATA, parts[0].items)))
    forged = assemble(segments, sign=owner(bench.files).sign)
    report = bench.finds(bench.files | {name: forged[name]})
    assert report.findings[0].kind is FindingKind.BAD_SEAL
    assert report.findings[0].offset == len(data)
