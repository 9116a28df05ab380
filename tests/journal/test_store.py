"""Opening, appending, rolling over and closing, with nothing going wrong."""

import os
from pathlib import Path

import msgpack
import pytest

from recorder.errors import JournalError, JournalLocked
from recorder.journal import header as header_module
from recorder.journal import store as store_module
from recorder.journal.chain import CHAIN_RULES, frame_chain, leaf_hash
from recorder.journal.codec import Packer
from recorder.journal.files import Disk
from recorder.journal.frame import FRAME_BYTES_MAX, FRAME_ITEMS_MAX
from recorder.journal.scan import head, scan
from recorder.journal.segment import Cursor
from recorder.journal.store import Journal
from recorder.journal.verify import verify
from recorder.model import (
    RECORDER,
    Draft,
    Entry,
    Event,
    GapCause,
    GapOpened,
    Mark,
    MarkName,
    Operation,
    PoolTail,
)
from tests.journal.samples import (
    BODIES,
    EPOCH_NS,
    SECOND_NS,
    abandon,
    clock,
    drafts,
    event,
    files,
    open_journal,
    segments,
    write,
)
from tests.journal.trees import naive_root


def test_journal_reads_back_every_kind_of_body(tmp_path: Path) -> None:
    """What was appended is what scan yields: in order, numbered from 1, with nothing changed."""
    with open_journal(tmp_path) as journal:
        assert journal.append(drafts()) == range(1, len(BODIES) + 1)
        assert journal.next_seq == len(BODIES) + 1
    expected = [Entry(n, d.received_at_ns, d.pool, d.body) for n, d in enumerate(drafts(), 1)]
    assert list(scan(tmp_path)) == expected
    assert verify(tmp_path).findings == ()


def test_append_of_nothing_writes_nothing(tmp_path: Path) -> None:
    """An empty batch gets an empty range and leaves no frame."""
    with open_journal(tmp_path) as journal:
        assert journal.append([]) == range(1, 1)
        size = files(tmp_path)[0].stat().st_size
    assert files(tmp_path)[0].stat().st_size == size
    assert list(scan(tmp_path)) == []


def test_second_writer_is_refused_by_the_name_of_the_folder(tmp_path: Path) -> None:
    """One journal has one writer; the refusal says which folder it is about."""
    with (
        open_journal(tmp_path) as journal,
        pytest.raises(JournalLocked, match=f"process {os.getpid()} on .* in {tmp_path}: stop it"),
    ):
        open_journal(tmp_path)
    journal.close()
    open_journal(tmp_path).close()


def test_closed_journal_refuses_to_append(tmp_path: Path) -> None:
    """Nothing is written to a journal after it was closed."""
    journal = open_journal(tmp_path)
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.append([event(1)])


def test_journal_rolls_over_by_size_and_the_chain_goes_on(tmp_path: Path) -> None:
    """A segment stays within its size, the next one goes on with numbers and chain."""
    with open_journal(tmp_path, segment_bytes_max=4000) as journal:
        for number in range(50):
            journal.append([event(number, 300)])
    assert len(segments(tmp_path)) > 5
    seal_bytes_max = 600
    assert max(path.stat().st_size for path in segments(tmp_path)) < 4000 + seal_bytes_max
    report = verify(tmp_path)
    assert report.findings == ()
    assert (report.entries, report.first_seq, report.last_seq) == (50, 1, 50)
    assert report.segments == len(files(tmp_path))
    assert [entry.seq for entry in scan(tmp_path)] == list(range(1, 51))


def test_journal_rolls_over_by_age(tmp_path: Path) -> None:
    """A segment older than its age is sealed by the next append, one younger is not."""
    now = [EPOCH_NS]
    with Journal.open(tmp_path, now_ns=lambda: now[0], segment_age_max_s=60) as journal:
        journal.append([event(1)])
        now[0] += 59 * SECOND_NS
        journal.append([event(2)])
        assert len(segments(tmp_path)) == 1
        now[0] += SECOND_NS
        journal.append([event(3)])
        assert len(segments(tmp_path)) == 2
        now[0] -= 3600 * SECOND_NS  # a clock that steps back rolls nothing over
        journal.append([event(4)])
        assert len(segments(tmp_path)) == 2


def test_large_batch_becomes_several_frames(tmp_path: Path) -> None:
    """A batch beyond the limits of a frame is cut, in order, by count and by size."""
    with open_journal(tmp_path) as journal:
        assert len(journal.append([event(n, 0) for n in range(FRAME_ITEMS_MAX + 1)])) == 4097
        journal.append([event(n, FRAME_BYTES_MAX // 2) for n in range(3)])
        journal.append([event(1, FRAME_BYTES_MAX + 1)])
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.frames == 2 + 3 + 1 + 1  # by count, by size, one of its own, the seal
    assert [entry.seq for entry in scan(tmp_path)] == list(range(1, 4097 + 3 + 1 + 1))


@pytest.mark.parametrize("after_seq", [0, 1, 9, 10, 11, 29, 30, 31, 1000])
def test_scan_begins_after_a_sequence_number(tmp_path: Path, after_seq: int) -> None:
    """scan(after_seq=N) yields exactly the entries with higher numbers."""
    entries = write(tmp_path)
    assert len(entries) == 30
    assert list(scan(tmp_path, after_seq=after_seq)) == entries[after_seq:]


def test_scan_follows_a_writer_that_rolls_over(tmp_path: Path) -> None:
    """A reader that waits at the end sees what is appended meanwhile, across segments."""
    with open_journal(tmp_path, segment_bytes_max=2000) as journal:
        journal.append([event(1)])
        reader = scan(tmp_path)
        assert next(reader).seq == 1
        for number in range(2, 40):
            journal.append([event(number, 200)])
        assert [entry.seq for entry in reader] == list(range(2, 40))


def test_head_agrees_with_verify(tmp_path: Path) -> None:
    """The head of a journal is the number and chain of its last entry."""
    open_journal(tmp_path).close()
    assert head(tmp_path).last_seq == 0
    write(tmp_path)
    report = verify(tmp_path)
    found = head(tmp_path)
    assert (found.last_seq, found.chain, found.segments) == (30, report.chain, report.segments)


def test_seal_holds_the_merkle_root_of_all_entries_so_far(tmp_path: Path) -> None:
    """The root in a seal is that of RFC 6962 over the items up to there, one leaf an item."""
    write(tmp_path)
    items: list[bytes] = []
    for path in segments(tmp_path):
        with Cursor(path, Disk()) as cursor:
            *data, seal = iter(cursor.next, None)
        items += [Packer().plain(item) for frame in data for item in frame.items]
        fields = seal.items[0]
        assert isinstance(fields, list)
        assert fields[5] == naive_root([leaf_hash(item) for item in items])


@pytest.mark.parametrize("leave", [Journal.close, abandon], ids=["closed", "killed"])
def test_tails_survive_a_reopen(tmp_path: Path, leave: object) -> None:
    """The tails after a reopen are those before it, whether the journal was closed or killed."""
    assert callable(leave)
    journal = open_journal(tmp_path, segment_bytes_max=1500)
    for _ in range(3):
        journal.append(drafts())
        journal.append(drafts(pool="other"))
    tails = dict(journal.tails)
    leave(journal)
    with open_journal(tmp_path) as again:
        assert dict(again.tails) == tails
        assert again.next_seq == 61
        again.append([event(99)])
        assert again.tails["lab"].last_seq == 61
        assert again.tails["other"] == tails["other"]


def test_tails_tell_where_the_journal_stands_with_a_pool(tmp_path: Path) -> None:
    """Each field of a tail follows the entry that it is about."""
    gap = GapOpened(GapCause.SESSION_LOST, "", None, None)
    with open_journal(tmp_path) as journal:
        journal.append(drafts(BODIES[:7]))
        assert journal.tails["lab"] == PoolTail(
            pool_uuid="5a1f",
            epoch=2,
            last_event_id=8,
            last_event_at_ns=EPOCH_NS + 6,
            last_seq=7,
            last_received_at_ns=EPOCH_NS + 6,
        )
        journal.append(drafts((gap, gap)))
        assert journal.tails["lab"].open_gap == 8
        journal.append(drafts((Mark(MarkName.REGISTERED), BODIES[8])))
        tail = journal.tails["lab"]
        assert (tail.open_gap, tail.epoch, tail.last_event_id) == (None, 10, None)
        journal.append([Draft(5, RECORDER, Mark(MarkName.STOPPED))])
        assert journal.tails[RECORDER] == PoolTail(last_seq=12, last_received_at_ns=5)


def test_tails_once_read_never_change(tmp_path: Path) -> None:
    """A caller may keep the tails it read while the journal goes on."""
    with open_journal(tmp_path) as journal:
        before = journal.tails
        journal.append([event(1)])
        assert dict(before) == {}


def test_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Reading where no journal is says which folder, and what to do about it."""
    missing = tmp_path / "nowhere"
    text = f"there is no journal folder {missing}: check --data, or start the recorder"
    for read in (scan, head, verify):
        with pytest.raises(JournalError) as caught:
            read(missing)
        assert str(caught.value) == text
    with pytest.raises(JournalError, match="holds no journal yet"):
        scan(tmp_path)


def test_journal_of_a_newer_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither reader nor writer touches a format that it does not know."""
    with monkeypatch.context() as newer:
        newer.setattr(header_module, "FORMAT_VERSION", 3)
        newer.setattr(store_module, "FORMAT_VERSION", 3)
        newer.setitem(CHAIN_RULES, 3, frame_chain)
        with open_journal(tmp_path) as journal:
            journal.append(drafts())
    bytes_before = [path.read_bytes() for path in segments(tmp_path)]
    text = "the journal has format 3, this xentrail knows 2: upgrade"
    for use in (open_journal, head, verify, lambda folder: list(scan(folder))):
        with pytest.raises(JournalError, match=text):
            use(tmp_path)
    assert [path.read_bytes() for path in segments(tmp_path)] == bytes_before


def test_snapshots_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """A snapshot is evidence: not even invalid UTF-8 in it is changed."""
    raw = bytes(range(256))
    body = Event(1, 1.0, "vm", Operation.MOD, "OpaqueRef:1", raw)
    with Journal.open(tmp_path, now_ns=clock()) as journal:
        journal.append([Draft(0, "lab", body)])
    (entry,) = scan(tmp_path)
    assert entry.body == body
    assert msgpack.packb(raw) in segments(tmp_path)[0].read_bytes()
