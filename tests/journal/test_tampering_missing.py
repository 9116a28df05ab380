"""Tampering with what is missing by rule: dropped segments, and what was redacted."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgpack
import pytest
from msgspec.structs import replace

from recorder.errors import JournalError
from recorder.journal.chain import leaf_hash
from recorder.journal.codec import redacted_item
from recorder.journal.files import Disk
from recorder.journal.frame import Flag, rebuilt, redacted_leaf
from recorder.journal.notary import Notary
from recorder.journal.note import parse_note
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.journal.tombstone import TOMBSTONE_BYTES_MAX, Tombstone, read_tombstone
from recorder.journal.verify import FindingKind, verify
from recorder.model import Redacted
from tests.journal.samples import clock
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
    sample,
    split,
    stranger,
)

REDACTED = 66  # in the third segment, an event


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A journal whose first two segments were dropped, and of which one entry was redacted."""
    folder = tmp_path / "written"
    sample(folder)
    with Journal.open(folder, now_ns=clock(), disk=SmallDisk()) as journal:
        drop(journal, 2)
        redact(journal, REDACTED, "a name", by="somebody")
    truth = list(scan(folder, after_seq=50 + 10))
    bench = Bench(tmp_path / "damaged", collect(folder), truth)
    forbid_writing(monkeypatch)
    assert list(bench.files) == [*(f"{n:010d}.journal" for n in range(3, 7)), "TOMBSTONE"]
    report = bench.finds(bench.files)
    assert report.findings == ()
    assert report.dropped is not None
    assert report.redacted == 1
    assert isinstance(truth[REDACTED - 61].body, Redacted)
    return bench


def tombstone(bench: Bench) -> Tombstone:
    """What the tombstone says."""
    note = read_tombstone(bench.folder, Disk())
    assert note is not None
    return Tombstone.parse(parse_note(note).text)


def notary(bench: Bench) -> Notary:
    """Who signs for this journal."""
    return owner(bench.files)


def kinds(bench: Bench, files: Files) -> set[FindingKind]:
    """What is found in such a journal."""
    return {finding.kind for finding in bench.finds(files).findings}


def test_damage_of_a_tombstone_is_found(bench: Bench) -> None:
    """A tombstone cannot be changed, be cut, or grow: a third of all bits has to do."""
    data = bench.files["TOMBSTONE"]
    edited = bytearray(data)
    for place in range(0, 8 * len(data), 3):
        edited[place // 8] ^= 1 << place % 8
        overwrite(bench.folder / "TOMBSTONE", edited)
        assert verify(bench.folder).findings, f"bit {place % 8} of byte {place // 8}"
        edited[place // 8] ^= 1 << place % 8
    for size in range(0, len(data), 2):
        overwrite(bench.folder / "TOMBSTONE", data[:size])
        assert verify(bench.folder).findings, f"cut to {size}"
    for damaged in (data + b"\n", data + data, b"\n" + data, data + b"\xff", b"\0" * 70_000):
        assert FindingKind.BAD_TOMBSTONE in kinds(bench, bench.files | {"TOMBSTONE": damaged})


@pytest.mark.parametrize(
    "changes",
    [
        {"last_segment": 3},
        {"last_seq": 59},
        {"last_seq": 61},
        {"entries": 59},
        {"root": bytes(32)},
        {"chain": bytes(32)},
        {"origin": f"xentrail/{bytes(16).hex()}"},
    ],
)
@pytest.mark.parametrize("who", [owner, stranger])
def test_forged_tombstone_is_found(
    bench: Bench, changes: dict[str, object], who: Callable[[Files], Notary]
) -> None:
    """What a tombstone says of the journal must be true, whoever signed it."""
    forged = replace(tombstone(bench), **changes)
    note = who(bench.files).sign_text(forged.text())
    found = kinds(bench, bench.files | {"TOMBSTONE": note.encode()})
    assert FindingKind.BAD_TOMBSTONE in found


def test_tombstone_by_a_stranger_is_found(bench: Bench) -> None:
    """Only a key of the journal can say that something was dropped."""
    note = stranger(bench.files).sign_text(tombstone(bench).text())
    found = kinds(bench, bench.files | {"TOMBSTONE": note.encode()})
    assert found == {FindingKind.BAD_TOMBSTONE}


@pytest.mark.parametrize(
    "line", ["dropped segments 1 to {0}\n", "dropped entries 1 to {0}, of which there were 5\n"]
)
@pytest.mark.parametrize("number", ["9" * 5000, "9" * 30, "0" * 30 + "2", "\u0662"])
def test_tombstone_of_absurd_numbers_is_found(bench: Bench, line: str, number: str) -> None:
    """Numbers that no journal has are refused, though somebody signed them."""
    text = tombstone(bench).text()
    start = line[: line.index("{")]
    old = next(found for found in text.splitlines(keepends=True) if found.startswith(start))
    note = notary(bench).sign_text(text.replace(old, line.format(number)))
    assert len(note) < TOMBSTONE_BYTES_MAX
    assert FindingKind.BAD_TOMBSTONE in kinds(bench, bench.files | {"TOMBSTONE": note.encode()})


def test_missing_tombstone_is_found(bench: Bench) -> None:
    """Without a word of it, what is gone is missing."""
    files = {name: data for name, data in bench.files.items() if name != "TOMBSTONE"}
    assert FindingKind.MISSING_SEGMENT in kinds(bench, files)


def test_segments_dropped_without_a_tombstone_of_theirs_are_found(bench: Bench) -> None:
    """An old tombstone does not cover a later loss."""
    for lost in (["0000000003.journal"], ["0000000003.journal", "0000000004.journal"]):
        files = {name: data for name, data in bench.files.items() if name not in lost}
        assert FindingKind.MISSING_SEGMENT in kinds(bench, files)


def test_damage_of_the_first_segment_left_is_found_and_scan_says_so(bench: Bench) -> None:
    """A header that is gone under a tombstone is told as damage, by scan as well."""
    name = next(iter(bench.files))
    data = bench.files[name]
    for place in range(len(data)):
        edited = bytearray(data)
        edited[place] ^= 1
        assert bench.finds_in(name, edited), place
        if place % 5 == 0:
            overwrite(bench.folder / name, edited)
            bench.check_scan()
            for after in (0, 60, 70):
                with suppress(JournalError):
                    deque(scan(bench.folder, after_seq=after), maxlen=0)
    overwrite(bench.folder / name, data)


def with_item(data: bytes, number: int, index: int, item: bytes) -> bytes:
    """Return a segment with one item of a frame replaced, under the chain that it had."""
    parts = split(data)
    parts[1 + number] = rebuilt(parts[1 + number], {index: item})
    return b"".join(parts)


def test_snapshot_that_is_replaced_by_a_leaf_without_a_mark_is_found(bench: Bench) -> None:
    """The chain still fits, but a signed entry has to say who took it, whatever item it was."""
    for name in list(bench.files)[:3]:
        data = bench.files[name]
        for number, part in enumerate(dismantle(data).parts):
            for index, item in enumerate(part.items):
                value = plain(item)
                if redacted_leaf(value) is None:
                    taken = redacted_item(
                        value if isinstance(value, list) else [value], leaf_hash(item)
                    )
                    damaged = with_item(data, number, index, taken)
                    assert bench.finds_in(name, damaged), f"{name} {number} {index}"


def test_redacted_entry_that_is_changed_or_replaced_is_found(bench: Bench) -> None:
    """What is left of it stays as it was: neither another leaf nor other fields pass.

    Only verify can tell: scan has not read the entry yet that says what was left.
    """
    name, data = next(iter(bench.files.items()))
    ((number, index, item),) = [
        (number, index, listed(item))
        for number, part in enumerate(dismantle(data).parts)
        for index, item in enumerate(part.items)
        if redacted_leaf(plain(item)) is not None
    ]
    leaf = item[-1]
    fields: list[object] = [5, 5, "mark", "elsewhere", 5, 5.0, "task", "del", "OpaqueRef:5", None]
    changed = [[*item[:at], value, *item[at + 1 :]] for at, value in enumerate(fields)]
    codes = [msgpack.ExtType(2, bytes(32)), msgpack.ExtType(1, bytes(31)), msgpack.ExtType(1, b"")]
    others: list[object] = [
        [*item[:-1], msgpack.ExtType(1, bytes(32))],
        *([*item[:-1], code] for code in codes),
        [REDACTED, 5, "heartbeat", ""],
        [REDACTED, 5, "heartbeat", leaf],
        [REDACTED, leaf],
        [leaf],
        leaf,
        None,
    ]
    for value in (*changed, *others):
        damaged = with_item(data, number, index, packed(value))
        assert bench.finds_in(name, damaged), value


def forged_marks() -> list[dict[str, object]]:
    """Details of a REDACTED mark that are not as they should be."""
    return [
        {"seq": 62, "item": "zz"},
        {"seq": 62, "item": "00" * 32},
        {"seq": -1, "item": "00" * 32},
        {"seq": "62", "item": "00" * 32},
        {"seq": 62},
        {"item": "00" * 32},
        {},
    ]


@pytest.mark.parametrize("detail", forged_marks())
def test_odd_marks_of_redactions_do_not_stop_verify(
    bench: Bench, detail: dict[str, object]
) -> None:
    """A mark that redacts nothing, or cannot be understood, is found where it names an entry."""
    name, taken = with_mark(bench, "redacted", detail)
    files = bench.files | assemble(taken, sign=notary(bench).sign)
    bench.place(files)
    found = {finding.kind for finding in verify(bench.folder).findings}
    names_one = detail.get("seq") == 62 and "item" in detail
    assert (FindingKind.BAD_REDACTION in found) == names_one
    assert name in files


@pytest.mark.parametrize(
    "detail",
    [{}, {"key": "no key"}, {"key": 5}, {"key": "no key", "endorsement": "no note"}],
)
def test_odd_marks_of_keys_do_not_stop_verify(bench: Bench, detail: dict[str, object]) -> None:
    """A change to what is no key is a change that nobody vouches for."""
    _, taken = with_mark(bench, "key-changed", detail)
    bench.place(bench.files | assemble(taken, sign=notary(bench).sign))
    assert verify(bench.folder).findings
    seal = listed(taken[0].parts[-1].items[0])
    assert verify(bench.folder, anchors=[str(seal[6])]).findings


def with_mark(bench: Bench, name: str, detail: dict[str, object]) -> tuple[str, list[Taken]]:
    """Return the last segment with entries, with one more: a mark of the recorder."""
    names = [file for file in bench.files if file != "TOMBSTONE"][-2:]
    last, empty = (dismantle(bench.files[file]) for file in names)
    mark = packed([0, 5, "mark", "", name, detail])
    *parts, seal = last.parts
    parts.append(Part(Flag.DATA, (mark,)))
    return names[0], [replace(last, parts=(*parts, seal)), empty]
