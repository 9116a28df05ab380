"""The steward: segments are packed and dropped, checkpoints leave the machine, by themselves."""

import errno
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.journal.files import Disk
from recorder.journal.note import split_notes
from recorder.journal.retention import Rules
from recorder.journal.scan import scan
from recorder.journal.store import CHECKPOINT_S, Journal
from recorder.journal.verify import verify
from recorder.keeper import Keeper, Pen, open_channel
from recorder.model import Mark, MarkName
from recorder.service import anchors as anchors_module
from recorder.service.anchors import Anchors
from recorder.service.steward import LOOK_S, Steward
from recorder.threads import inline
from tests.journal.samples import event, files

DAY_S = 86_400.0


def now_ns() -> int:
    return int((1_700_000_000 + trio.current_time()) * 1e9)


@asynccontextmanager
async def recording(
    folder: Path,
    *,
    rules: Rules | None = None,
    anchors: Anchors | None = None,
    disk: Disk | None = None,
) -> AsyncIterator[Pen]:
    """A keeper and its steward over a journal with segments of an hour or 3 KB, until the end."""
    journal = Journal.open(folder, now_ns=now_ns, segment_bytes_max=3000, disk=disk)
    pen, inbox = open_channel()
    steward = Steward(
        journal,
        pen.clone(),
        rules=rules or Rules(),
        anchors=anchors or Anchors(None, (), inline),
        now_ns=now_ns,
        run_sync=inline,
    )
    keeper = Keeper(journal, now_ns=now_ns, hear=steward.hear, run_sync=inline)
    async with trio.open_nursery() as outer:
        outer.start_soon(keeper.keep, inbox)
        async with trio.open_nursery() as inner:
            inner.start_soon(steward.serve)
            yield pen
            await trio.testing.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        pen.close()
    await steward.hand_out_last()


def packed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.zst"))


def held_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("0*"))


def marks(folder: Path, name: MarkName, *, after_seq: int = 0) -> list[Mark]:
    bodies = [entry.body for entry in scan(folder, after_seq=after_seq)]
    return [body for body in bodies if isinstance(body, Mark) and body.name is name]


async def test_sealed_segments_are_packed_in_the_background(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Soon after a segment was sealed it is there in its packed form only."""
    async with recording(tmp_path) as pen:
        for number in range(12):
            await pen.write([event(number, 1000)])
        await trio.sleep(1.0)
        assert len(packed(tmp_path)) >= 4
        assert len(files(tmp_path)) == 1
    assert len(list(scan(tmp_path))) >= 12
    assert verify(tmp_path).findings == ()


async def test_segments_left_raw_are_packed_at_the_start(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """What a recorder that was killed did not come to, the next one does."""
    with Journal.open(tmp_path, now_ns=now_ns, segment_bytes_max=3000) as journal:
        for number in range(6):
            journal.append([event(number, 1000)])
    assert len(files(tmp_path)) == 4
    async with recording(tmp_path):
        await trio.sleep(1.0)
    assert len(files(tmp_path)) == 1


async def test_old_segments_are_dropped_without_traffic(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Time alone makes them old; the drop is an entry, and verify knows of it."""
    rules = Rules(age_max_s=10 * DAY_S)
    async with recording(tmp_path, rules=rules) as pen:
        for number in range(12):
            await pen.write([event(number, 1000)])
        await trio.sleep(9 * DAY_S)
        assert verify(tmp_path).dropped is None
        await trio.sleep(DAY_S + 2 * LOOK_S)
    report = verify(tmp_path)
    assert report.findings == ()
    assert report.dropped is not None
    assert report.dropped.last_seq >= 8
    (mark,) = marks(tmp_path, MarkName.DROPPED, after_seq=report.dropped.last_seq)
    assert mark.detail["last_seq"] == report.dropped.last_seq


async def test_journal_stays_within_its_size(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """However long it runs, the sealed segments together do not outgrow the rule by much."""
    async with recording(tmp_path, rules=Rules(bytes_max=20_000)) as pen:
        for number in range(300):
            await pen.write([event(number, 900)])
            await trio.sleep(0.01)
    assert held_bytes(tmp_path) < 20_000 + 2 * 3000
    assert verify(tmp_path).findings == ()


async def test_every_checkpoint_is_handed_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Also the last one, which comes with the end; each can be used to verify the journal."""
    file = tmp_path / "anchors"
    async with recording(tmp_path / "journal", anchors=Anchors(file, (), inline)) as pen:
        for number in range(3):
            await pen.write([event(number, 10)])
            await trio.sleep(3 * CHECKPOINT_S)
    notes = split_notes(file.read_bytes())
    assert [note.splitlines()[1] for note in notes] == ["2", "3", "4", "5", "6", "6"]
    assert verify(tmp_path / "journal", anchors=notes).findings == ()


async def test_command_gets_the_checkpoint_on_its_stdin(tmp_path: Path) -> None:
    """Word for word, whatever the command then does with it."""
    heard = tmp_path / "heard"
    program = f"import sys; open({str(heard)!r}, 'a').write(sys.stdin.read())"
    anchors = Anchors(None, [sys.executable, "-c", program])
    for note in ("one\n", "two\n"):
        await anchors.hand_out(note)
    assert heard.read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no route')"], "exit code 1: no route"),
        (["/nonexistent/program"], "No such file or directory"),
        ([sys.executable, "-c", "import time; time.sleep(600)"], "it took more than 0.5 s"),
    ],
)
async def test_anchor_that_fails_is_told_and_left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    command: list[str],
    error: str,
) -> None:
    """The log says which one, and why; a command that hangs is ended."""
    monkeypatch.setattr(anchors_module, "COMMAND_S_MAX", 0.5)
    await Anchors(tmp_path / "no such folder" / "file", command).hand_out("note\n")
    file_failed, command_failed = (vars(record)["fields"] for record in caplog.records)
    assert "no such folder" in file_failed["to"]
    assert command_failed["to"] == command[0]
    assert error in command_failed["error"]


async def test_damaged_segment_is_left_raw_and_told_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Packing does not hide damage, and does not try again and again."""
    with Journal.open(tmp_path, now_ns=now_ns, segment_bytes_max=3000) as journal:
        for number in range(6):
            journal.append([event(number, 1000)])
    path = files(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[1500] ^= 1
    path.write_bytes(data)
    async with recording(tmp_path):
        await trio.sleep(3 * LOOK_S)
    assert path.read_bytes() == data
    assert len(packed(tmp_path)) == 2


class FullForAWhile(Disk):
    """Refuses the first packed files."""

    def __init__(self) -> None:
        self.refusals = 3

    def create(self, path: Path, mode: int = 0o640) -> int:
        if path.suffix == ".tmp" and self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path, mode)


async def test_upkeep_that_fails_is_tried_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full for a while costs nothing but time."""
    disk = FullForAWhile()
    async with recording(tmp_path, disk=disk) as pen:
        for number in range(6):
            await pen.write([event(number, 1000)])
        await trio.sleep(5 * LOOK_S)
    assert disk.refusals == 0
    assert len(packed(tmp_path)) >= 2
    assert "upkeep-failed" in caplog.text
