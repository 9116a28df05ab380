"""Taking one body out of a sealed segment: recorded, and nothing else is any different for it."""

import shutil
from pathlib import Path

import msgpack
import pytest
from msgspec.structs import replace

from recorder.journal.chain import leaf_hash
from recorder.journal.files import Disk
from recorder.journal.frame import rebuilt, redacted_leaf
from recorder.journal.names import find_segment, is_packed, segment_path
from recorder.journal.packed import open_segment
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.proof import check
from recorder.journal.prove import prove
from recorder.journal.redaction import CannotRedact, redact
from recorder.journal.scan import scan
from recorder.journal.segment import Cursor
from recorder.journal.verify import FindingKind, verify
from recorder.model import Draft, Entry, Event, Mark, MarkName, Redacted
from tests.golden.independent_reader import Journal as IndependentJournal
from tests.journal.powercut import PowerCut, PowerCutDisk
from tests.journal.samples import AUDIT_LINE, EPOCH_NS, abandon, event, files, open_journal, write

SECRET = b"the secret that has to go"


def with_a_secret(folder: Path) -> int:
    """Write segments of three entries, one with a secret; return the number of that."""
    with open_journal(folder, segment_bytes_max=1400) as journal:
        for number in range(6):
            journal.append([event(number, 100), event(number, 100), event(number, 100)])
            if number == 2:
                draft = event(77, 1)
                assert isinstance(draft.body, Event)
                body = Event(77, 1.0, "vm", draft.body.operation, "OpaqueRef:77", SECRET)
                (seq,) = journal.append([type(draft)(draft.received_at_ns, draft.pool, body)])
    return seq


def where(folder: Path) -> list[Path]:
    """The files that hold the secret, packed ones unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if is_packed(path):
                with open_segment(path, Disk()) as file:
                    data = file.read()
            if SECRET in data:
                found.append(path)
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_body_is_gone_and_nothing_else(tmp_path: Path, packed: bool) -> None:
    """Chain, tree, checkpoints and all other entries stay; a mark says who wanted it, and why."""
    seq = with_a_secret(tmp_path)
    if packed:
        for number in to_pack(tmp_path, Disk()):
            pack_segment(tmp_path, number, Disk())
    truth, before = list(scan(tmp_path)), verify(tmp_path)
    assert len(where(tmp_path)) == 1
    with open_journal(tmp_path) as journal:
        detail = redact(journal, seq, "a password", by="somebody")
    assert where(tmp_path) == []
    entries = list(scan(tmp_path))
    assert entries[: seq - 1] == truth[: seq - 1]
    assert entries[seq : len(truth)] == truth[seq:]
    leaf = bytes.fromhex(str(detail["leaf"]))
    was = truth[seq - 1]
    assert isinstance(was.body, Event)
    left = Redacted(leaf, replace(was.body, snapshot=None))
    assert entries[seq - 1] == Entry(seq, was.received_at_ns, was.pool, left)
    mark = entries[-1].body
    assert isinstance(mark, Mark)
    assert (mark.name, mark.detail) == (MarkName.REDACTED, detail)
    assert (detail["seq"], detail["reason"], detail["by"]) == (seq, "a password", "somebody")
    assert (detail["class"], detail["ref"]) == ("vm", "OpaqueRef:77")
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.redacted == 1
    assert report.checkpoints > before.checkpoints
    path = find_segment(tmp_path, 2, Disk())
    assert is_packed(path) == packed


def test_leaf_is_that_of_the_body_that_was_there(tmp_path: Path) -> None:
    """Whoever kept a copy can show that it is the one."""
    seq = with_a_secret(tmp_path)
    entry = next(scan(tmp_path, after_seq=seq - 1))
    assert isinstance(entry.body, Event)
    body = entry.body
    fields = [body.id, body.server_at_s, body.cls, body.operation.value, body.ref, body.snapshot]
    item = msgpack.packb([seq, entry.received_at_ns, "event", entry.pool, *fields])
    with open_journal(tmp_path) as journal:
        assert redact(journal, seq, "r", by="b")["leaf"] == leaf_hash(item).hex()


def test_entry_of_the_segment_that_is_written_is_redacted_too(tmp_path: Path) -> None:
    """The segment is sealed for it, because nothing in an open one is ever changed."""
    journal = open_journal(tmp_path)
    journal.append([event(1, 10), event(2, 10)])
    redact(journal, 2, "r", by="b")
    assert journal.append([event(3, 10)]).start == 4
    journal.close()
    kinds = [type(entry.body) for entry in scan(tmp_path)]
    assert kinds == [Event, Redacted, Mark, Event]
    assert verify(tmp_path).findings == ()


def test_line_of_the_audit_trail_is_redacted_and_its_place_proven(tmp_path: Path) -> None:
    """A name or a text that somebody called with may be a secret; that there was a line stays."""
    with open_journal(tmp_path) as journal:
        journal.append([Draft(EPOCH_NS, "lab", AUDIT_LINE), event(1)])
    assert check(prove(tmp_path, 1, Disk())).shown["line"] == AUDIT_LINE.line.decode()
    with open_journal(tmp_path) as journal:
        detail = redact(journal, 1, "r", by="b")
    assert (detail["class"], detail["ref"]) == ("audit-line", AUDIT_LINE.host)
    left = Redacted(bytes.fromhex(str(detail["leaf"])), replace(AUDIT_LINE, line=b""))
    assert next(scan(tmp_path)).body == left
    assert AUDIT_LINE.line not in b"".join(path.read_bytes() for path in files(tmp_path))
    assert verify(tmp_path).findings == ()
    assert next(item[2] for item in IndependentJournal(tmp_path).entries()) == "audit-line"
    assert check(prove(tmp_path, 1, Disk())).redacted


def test_what_holds_no_record_is_not_redacted(tmp_path: Path) -> None:
    """Gaps and marks are the journal's own account; what is not there cannot be taken out."""
    write(tmp_path)
    with open_journal(tmp_path) as journal:
        redact(journal, 4, "r", by="b")
        end = journal.next_seq - 1
        for seq, text in [
            (1, "entry 1 holds no record of a pool"),
            (8, "entry 8 holds no record of a pool"),
            (4, "entry 4 has been redacted already"),
            (0, "there is no entry 0"),
            (1000, f"there is no entry 1000: the journal ends at {end}"),
        ]:
            with pytest.raises(CannotRedact, match=text):
                redact(journal, seq, "r", by="b")
        assert journal.next_seq == end + 1, "what was refused left no mark"


def test_missing_body_without_a_mark_is_found(tmp_path: Path) -> None:
    """Only the journal itself can say that a body was taken out of it."""
    seq = with_a_secret(tmp_path / "honest")
    shutil.copytree(tmp_path / "honest", tmp_path / "forged")
    with open_journal(tmp_path / "honest") as journal:
        redact(journal, seq, "r", by="b")
    number = 2
    shutil.copy(
        segment_path(tmp_path / "honest", number), segment_path(tmp_path / "forged", number)
    )
    (finding,) = verify(tmp_path / "forged").findings
    assert finding.kind is FindingKind.BAD_REDACTION
    assert finding.text == f"the snapshot of entry {seq} is missing, and no entry says who took it"


def test_wish_that_was_not_carried_out_is_found_and_can_be_repeated(tmp_path: Path) -> None:
    """A crash between the mark and the change leaves the body: verify says what to do."""
    seq = with_a_secret(tmp_path)
    segment = segment_path(tmp_path, 2)
    whole = segment.read_bytes()
    with open_journal(tmp_path) as journal:
        redact(journal, seq, "r", by="b")
    segment.write_bytes(whole)
    (finding,) = verify(tmp_path).findings
    assert finding.kind is FindingKind.BAD_REDACTION
    assert finding.text == (
        f"entry {seq} was to be redacted and still has its snapshot: redact it again"
    )
    with open_journal(tmp_path) as journal:
        redact(journal, seq, "r", by="b")
    assert verify(tmp_path).findings == ()
    assert where(tmp_path) == []


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("survivors", [0, 1, 2, 5, 255])
def test_power_cut_while_redacting_loses_nothing(
    tmp_path: Path, survivors: int, packed: bool
) -> None:
    """Before every call to the disk: every other entry is there, and it can be asked for again."""
    whole, keys = tmp_path / "whole", tmp_path / "whole" / "keys"
    seq = with_a_secret(whole)
    if packed:
        for number in to_pack(whole, Disk()):
            pack_segment(whole, number, Disk())
    truth = list(scan(whole))
    for nth in range(1, 300):
        folder = tmp_path / str(nth)
        shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("keys"))
        disk = PowerCutDisk(1 << 60, folder)
        journal = open_journal(folder, keys=keys, disk=disk)
        disk.arm(nth)
        try:
            redact(journal, seq, "r", by="b")
        except PowerCut:
            abandon(journal)
            disk.cut_power(survivors)
        else:
            break
        entries = list(scan(folder))
        assert entries[: seq - 1] == truth[: seq - 1]
        assert entries[seq : len(truth)] == truth[seq:]
        kinds = {finding.kind for finding in verify(folder).findings}
        assert kinds <= {FindingKind.BAD_REDACTION, FindingKind.TORN_TAIL}
        with open_journal(folder, keys=keys) as again:
            if not isinstance(entries[seq - 1].body, Redacted):
                redact(again, seq, "r", by="b")
        for number in to_pack(folder, Disk()):
            pack_segment(folder, number, Disk())
        assert verify(folder).findings == ()
        assert where(folder) == []
        shutil.rmtree(folder)
    assert nth > 15


def test_envelope_of_a_redacted_entry_cannot_be_changed(tmp_path: Path) -> None:
    """The chain covers the leaf only; the rest of what is left is covered by the mark."""
    seq = with_a_secret(tmp_path)
    with open_journal(tmp_path) as journal:
        redact(journal, seq, "r", by="b")
    path = segment_path(tmp_path, 2)
    data = path.read_bytes()
    with Cursor(path, Disk()) as cursor:
        while (frame := cursor.next()) is not None:
            if redacted_leaf(frame.items[0]) is not None:
                break
        assert frame is not None
        item = frame.items[0]
        assert isinstance(item, list)
        forged = rebuilt(cursor.last_frame, {0: msgpack.packb([*item[:8], "OpaqueRef:0", item[9]])})
        path.write_bytes(data[: frame.offset] + forged + data[cursor.offset :])
    (finding,) = verify(tmp_path).findings
    assert finding.kind is FindingKind.BAD_REDACTION
