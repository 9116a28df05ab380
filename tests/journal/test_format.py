"""FORMAT.md, the frozen journal and the independent reader: three witnesses of the same bytes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import recorder.journal
from recorder.journal.codec import Packer
from recorder.journal.scan import head, scan
from recorder.journal.store import Journal
from recorder.journal.verify import verify
from recorder.model import RECORDER, Draft, Entry, Event, Heartbeat, Operation
from tests.golden.read_journal import Wrong, read_journal
from tests.journal.disks import FaultyDisk
from tests.journal.samples import (
    EPOCH_NS,
    clock,
    drafts,
    event,
    open_journal,
    segments,
    write,
)

GOLDEN = Path(__file__).parents[1] / "golden"
FORMAT = Path(recorder.journal.__file__).with_name("FORMAT.md")


def write_golden(folder: Path) -> None:
    """Write the journal that is frozen in tests/golden/journal: four segments, the last open."""
    journal = Journal.open(folder, now_ns=clock(), segment_bytes_max=1000, disk=FaultyDisk())
    journal.append(drafts())
    journal.append(drafts(pool="other pool"))
    journal.append([event(1, 300), event(2, 300), event(3, 0)])
    journal.append([Draft(EPOCH_NS, RECORDER, Heartbeat())])
    journal._release()


def test_format_example_is_what_the_code_writes(tmp_path: Path) -> None:
    """The worked example in FORMAT.md is the file that the described journal has."""
    snapshot = b'{"power_state":"Running"}'
    body = Event(7, 1.5, "vm", Operation.MOD, "OpaqueRef:1", snapshot)
    with open_journal(tmp_path, disk=FaultyDisk()) as journal:
        journal.append([Draft(EPOCH_NS, "lab", body), Draft(EPOCH_NS + 1, RECORDER, Heartbeat())])
    found = re.search(r"```hex\n(.*?)```", FORMAT.read_text(), re.DOTALL)
    assert found is not None
    lines = [line.split("  ")[1] for line in found[1].splitlines()]
    assert bytes.fromhex(" ".join(lines)) == segments(tmp_path)[0].read_bytes()


def test_format_explains_the_bytes_at_the_places_it_names() -> None:
    """Each row of the table under the example quotes bytes that are at its offset."""
    text = FORMAT.read_text()
    found = re.search(r"```hex\n(.*?)```", text, re.DOTALL)
    assert found is not None
    data = bytes.fromhex(" ".join(line.split("  ")[1] for line in found[1].splitlines()))
    rows = re.findall(r"^\| 0x([0-9a-f]+) \| `((?:[0-9a-f]{2} ?)+)", text, re.MULTILINE)
    assert len(rows) > 10
    for place, quoted in rows:
        assert data[int(place, 16) :].startswith(bytes.fromhex(quoted)), place


def test_frozen_journal_is_read_and_still_written_alike(tmp_path: Path) -> None:
    """A journal of version 1 stays readable, and the same entries still give the same bytes."""
    frozen = GOLDEN / "journal"
    assert verify(frozen).findings == ()
    write_golden(tmp_path)
    assert list(scan(frozen)) == list(scan(tmp_path))
    assert len(list(scan(frozen))) == 24
    for path in segments(frozen):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(segments(tmp_path)) == len(segments(frozen)) == 4


def agrees(folder: Path) -> None:
    """Assert that the independent reader sees the entries and the chain that scan and head see."""
    read = list(read_journal(folder))
    packer = Packer()

    def plain(entry: Entry) -> bytes:
        return packer.entry(entry.seq, Draft(entry.received_at_ns, entry.pool, entry.body))

    items = [packer.plain(entry) for entry, _ in read if entry is not None]
    assert items == [plain(entry) for entry in scan(folder)]
    assert read[-1][1].hex() == head(folder).chain == verify(folder).chain


def test_independent_reader_agrees(tmp_path: Path) -> None:
    """A reader written from FORMAT.md alone sees the same entries and the same chain."""
    agrees(GOLDEN / "journal")
    write(tmp_path / "sealed")
    agrees(tmp_path / "sealed")
    write(tmp_path / "open", sealed=False)
    last = segments(tmp_path / "open")[-1]
    last.write_bytes(last.read_bytes()[:-5])
    agrees(tmp_path / "open")


def test_independent_reader_finds_a_change(tmp_path: Path) -> None:
    """What FORMAT.md promises of the chain can be checked without our code."""
    for path in segments(GOLDEN / "journal"):
        shutil.copy(path, tmp_path)
    path = segments(tmp_path)[1]
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 5):
        data[place] ^= 4
        path.write_bytes(data)
        data[place] ^= 4
        with pytest.raises(Wrong):
            list(read_journal(tmp_path))


def test_independent_reader_prints_json() -> None:
    """The reader is a program as well: one line of JSON an entry, then the chain."""
    done = subprocess.run(
        [sys.executable, GOLDEN / "read_journal.py", GOLDEN / "journal"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[:-1]] == list(range(1, 25))
    assert lines[-1] == {"chain": head(GOLDEN / "journal").chain}
