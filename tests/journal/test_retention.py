"""The oldest segments go by rule: a signed word of them stays, and the rest still verifies."""

import shutil
from pathlib import Path

import pytest

from recorder.journal.files import Disk
from recorder.journal.keys import replace_key
from recorder.journal.names import segment_path
from recorder.journal.packing import pack_segment
from recorder.journal.retention import Rules, drop, last_to_drop
from recorder.journal.scan import scan
from recorder.journal.store import Journal
from recorder.journal.tombstone import Tombstone
from recorder.journal.verify import FindingKind, verify
from recorder.journal.walk import EntriesDropped
from recorder.model import Mark, MarkName
from tests.journal.powercut import PowerCut, PowerCutDisk
from tests.journal.samples import EPOCH_NS, SECOND_NS, abandon, event, files, open_journal, write

HOUR_NS = 3600 * SECOND_NS


def hourly(folder: Path, *, hours: int = 5) -> list[int]:
    """Write a segment an hour; return the last number of each."""
    now = [EPOCH_NS]
    lasts = []
    with Journal.open(folder, now_ns=lambda: now[0], segment_age_max_s=3600) as journal:
        for number in range(hours):
            lasts.append(journal.append([event(number, 500), event(number, 500)]).stop - 1)
            now[0] += HOUR_NS
    return lasts


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in files(folder)]


@pytest.mark.parametrize(("age_h", "last"), [(0.5, 5), (1.5, 4), (3.5, 2), (4.9, 1), (6, None)])
def test_what_is_older_than_the_rule_is_to_go(tmp_path: Path, age_h: float, last: int) -> None:
    """A segment is as old as its newest entry can be: as the next one's beginning."""
    hourly(tmp_path)
    now_ns = EPOCH_NS + 5 * HOUR_NS + HOUR_NS
    rules = Rules(age_max_s=age_h * 3600)
    assert last_to_drop(tmp_path, Disk(), rules, now_ns=now_ns) == last


def test_what_is_beyond_the_size_is_to_go(tmp_path: Path) -> None:
    """As many of the oldest as bring the rest within the size; the open segment always stays."""
    hourly(tmp_path)
    held = sizes(tmp_path)
    assert len(held) == 6

    def last(bytes_max: int) -> int | None:
        return last_to_drop(tmp_path, Disk(), Rules(bytes_max=bytes_max), now_ns=0)

    assert last(sum(held)) is None
    assert last(sum(held) - 1) == 1
    assert last(sum(held[2:])) == 2
    assert last(sum(held[2:]) - 1) == 3
    assert last(1) == 5


def test_no_rule_keeps_all(tmp_path: Path) -> None:
    """Nobody's journal is cut unless its owner wants that."""
    hourly(tmp_path)
    assert last_to_drop(tmp_path, Disk(), Rules(), now_ns=EPOCH_NS * 2) is None


def test_journal_verifies_without_what_was_dropped(tmp_path: Path) -> None:
    """verify passes and says what is gone; scan says so too, and where it can begin."""
    lasts = hourly(tmp_path)
    truth = list(scan(tmp_path))
    with open_journal(tmp_path) as journal:
        detail = drop(journal, 2)
    assert files(tmp_path)[0].name == "0000000003.journal"
    assert (detail["first_segment"], detail["last_segment"], detail["last_seq"]) == (1, 2, lasts[1])
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.dropped is not None
    assert (report.dropped.last_segment, report.dropped.last_seq) == (2, lasts[1])
    assert report.dropped.entries == lasts[1]
    assert report.dropped.begun_ns == EPOCH_NS
    assert report.dropped.ended_ns == EPOCH_NS + 2 * HOUR_NS
    assert report.first_seq == lasts[1] + 1
    text = f"entries 1 to {lasts[1]} were dropped by the rules of retention"
    with pytest.raises(EntriesDropped, match=text) as caught:
        list(scan(tmp_path))
    assert caught.value.resume_after_seq == lasts[1]
    *rest, mark = scan(tmp_path, after_seq=lasts[1])
    assert rest == truth[lasts[1] :]
    assert isinstance(mark.body, Mark)
    assert (mark.body.name, mark.body.detail) == (MarkName.DROPPED, detail)


def test_later_drop_covers_the_earlier_one(tmp_path: Path) -> None:
    """There is one tombstone, from the first entry on, also across a change of keys."""
    lasts = hourly(tmp_path)
    for last in (1, 3):
        with open_journal(tmp_path) as journal:
            drop(journal, last)
            name = journal.notary.keys[-1].partition("+")[0]
        replace_key(tmp_path / "keys", name, Disk())
    open_journal(tmp_path).close()
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.dropped is not None
    assert (report.dropped.last_segment, report.dropped.entries) == (3, lasts[2])
    assert report.dropped.begun_ns == EPOCH_NS
    assert len(report.keys) == 3


def test_packed_segments_are_dropped_alike(tmp_path: Path) -> None:
    """The rules do not care for the form of a segment."""
    hourly(tmp_path)
    for number in (1, 2, 3, 4):
        pack_segment(tmp_path, number, Disk())
    with open_journal(tmp_path) as journal:
        drop(journal, 3)
    assert not list(tmp_path.glob("000000000[123]*"))
    assert verify(tmp_path).findings == ()


def test_missing_beginning_without_a_tombstone_is_found(tmp_path: Path) -> None:
    """Deleting files is not dropping them."""
    hourly(tmp_path)
    files(tmp_path)[0].unlink()
    kinds = [finding.kind for finding in verify(tmp_path).findings]
    assert FindingKind.MISSING_SEGMENT in kinds


def test_more_missing_than_the_tombstone_says_is_found(tmp_path: Path) -> None:
    """A tombstone covers what it names and no more."""
    hourly(tmp_path)
    with open_journal(tmp_path) as journal:
        drop(journal, 1)
    files(tmp_path)[0].unlink()
    kinds = [finding.kind for finding in verify(tmp_path).findings]
    assert FindingKind.MISSING_SEGMENT in kinds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last_segment", 4),
        ("last_seq", 3),
        ("entries", 3),
        ("root", bytes(32)),
        ("chain", bytes(32)),
    ],
)
def test_tombstone_that_is_not_true_is_found(tmp_path: Path, field: str, value: object) -> None:
    """Whoever edits it cannot sign it, and what it says is compared with what is left."""
    hourly(tmp_path)
    with open_journal(tmp_path) as journal:
        drop(journal, 2)
    path = tmp_path / "TOMBSTONE"
    text, blank, signature = path.read_text().rpartition("\n\n")
    true = Tombstone.parse(f"{text}\n")
    fields = {name: getattr(true, name) for name in Tombstone.__struct_fields__}
    path.write_text(Tombstone(**{**fields, field: value}).text()[:-1] + blank + signature)
    kinds = {finding.kind for finding in verify(tmp_path).findings}
    assert FindingKind.BAD_TOMBSTONE in kinds


@pytest.mark.parametrize("survivors", [0, 1, 3, 6, 255])
def test_power_cut_while_dropping_loses_nothing_more(tmp_path: Path, survivors: int) -> None:
    """Before every call to the disk: no finding afterwards, and the next drop ends it."""
    write(tmp_path / "whole", batches=4)
    truth = list(scan(tmp_path / "whole"))
    for nth in range(1, 200):
        folder = tmp_path / str(nth)
        shutil.copytree(tmp_path / "whole", folder, ignore=shutil.ignore_patterns("keys"))
        keys = tmp_path / "whole" / "keys"
        disk = PowerCutDisk(1 << 60, folder)
        journal = open_journal(folder, keys=keys, disk=disk)
        disk.arm(nth)
        try:
            drop(journal, 2)
        except PowerCut:
            abandon(journal)
            disk.cut_power(survivors)
        else:
            break
        assert verify(folder).findings == ()
        with open_journal(folder, keys=keys) as again:
            if segment_path(folder, 2).exists():
                drop(again, 2)
        report = verify(folder)
        assert report.findings == ()
        assert report.dropped is not None
        after = report.dropped.last_seq
        kept = [entry for entry in scan(folder, after_seq=after) if entry.seq <= len(truth)]
        assert kept == truth[after:]
        shutil.rmtree(folder)
    assert nth > 12
