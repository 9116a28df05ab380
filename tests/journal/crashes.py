"""Seeded lives of a journal: written, sealed, packed, redacted, closed, killed, cut from power.

`python -m tests.journal.crashes SEED` tells one of them step by step.
"""

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from unittest.mock import patch

from recorder.errors import JournalDamaged, JournalError, JournalWriteFailed
from recorder.journal import store
from recorder.journal.packing import pack_segment, to_pack
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.scan import DamageFound, scan
from recorder.journal.segment import Cursor
from recorder.journal.store import DiskFull, Journal
from recorder.journal.verify import FindingKind, verify
from recorder.journal.walk import EntriesDropped
from recorder.model import Draft, Entry, Event, Operation
from tests.journal.ledger import Ledger, half_redacted
from tests.journal.memorydisk import Crash, MemoryDisk, Plan
from tests.journal.samples import EPOCH_NS, clock, repairs

FOLDER = Path("/data/journal")
POOLS = ("lab", "other")
LIVES_MAX = 3
ACTS_MAX = 8
CHANGES = ("create_folder", "lock", "create", "write", "rewrite", "sync", "sync_folder", "truncate")
STOPS: tuple[tuple[tuple[str, ...], float], ...] = (
    ((), 45),
    *(((*CHANGES, "rename", "remove"), 25),) * 3,
    *((("rename",), 2), (("create",), 4), (("sync_folder",), 8)),
    *((("remove",), 0.5), (("remove",), 1), (("remove",), 2)),
    *((("rewrite",), 0.5), (("truncate",), 1), (("open_append",), 0.5), (("size",), 2)),
)
"""Among which calls the one is drawn in which a process ends, and how many come before it."""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR)
FAILING = (
    *("write", "sync", "sync", "sync_folder", "create", "rename") * 3,
    *("truncate", "remove", "rewrite", "open_append", "open_read", "names", "size", "mode"),
    *("lock", "create_folder"),
)


class Schedule:
    """One seed: a few lives of a journal on one disk, each checked after its end."""

    def __init__(
        self, seed: int, *, disk: type[MemoryDisk] = MemoryDisk, journal: type[Journal] = Journal
    ) -> None:
        self.story: list[str] = []
        self.reached: set[str] = set()
        """What the schedule came by: the calls it was stopped in, and how lives ended."""
        self._random = Random(seed)
        self._disk = disk(self._random)
        self._journal = journal
        self._ledger = Ledger()
        self._number = 0
        self._clean = self._was_clean = True  # whether the last life left nothing half done
        self._cut = False  # whether the last life ended with the power
        self._torn = False  # whether it left a torn tail
        self._frames: list[tuple[Path, int, int]] = []  # acknowledged: segment, start, end
        self._segment_bytes_max = self._random.choice((700, 1500, 4000, 12_000))
        self._segment_age_max_s = self._random.choice((4.0, 15.0, 3600.0))
        self._frame_items_max = self._random.choice((3, 8, 4096))

    def run(self) -> None:
        """Live; raise AssertionError, or what the journal raised, if a promise was broken."""
        with patch.object(store, "FRAME_ITEMS_MAX", self._frame_items_max):
            for _ in range(self._random.randint(1, LIVES_MAX)):
                self._live()
                if self._random.random() < 0.1 and self._can_rot():
                    self._end_in_damage()
                    return
            self._end_well()

    def _live(self) -> None:
        plan = self._plan()
        self._disk.begin(plan)
        self._tell("open", str(plan))
        how = "stopped"
        try:
            with self._opened() as journal:
                for _ in range(self._random.randint(0, ACTS_MAX)):
                    self._act(journal)
                how = "left"
                if self._random.random() < 0.4:
                    journal.close()
                    how = "closed"
                    # A full disk lets a journal close, but not leave everything in order.
                    self._clean = not self._disk.failed
        except Crash:
            self.reached.add(f"stopped in {self._disk.stopped_in}")
        except JournalDamaged:
            raise
        except JournalError as error:
            assert self._disk.failed, "a sound disk refuses nothing"
            how = "full" if isinstance(error, DiskFull) else "failed"
            self._tell(str(error))
        self._end(how)

    @contextmanager
    def _opened(self) -> Iterator[Journal]:
        self._was_clean, self._clean = self._clean, False
        journal = self._open()
        try:
            self._check_opened(journal)
            yield journal
        except JournalWriteFailed:
            with suppress(JournalWriteFailed):
                journal.close()
            raise

    def _open(self) -> Journal:
        return self._journal.open(
            FOLDER,
            now_ns=clock(),
            segment_bytes_max=self._segment_bytes_max,
            segment_age_max_s=self._segment_age_max_s,
            disk=self._disk,
        )

    def _plan(self) -> Plan:
        random = self._random
        stop_among, mean = random.choice(STOPS)
        stop_at = 1 + int(random.expovariate(1 / mean)) if random.random() < 0.75 else None
        failures = {}
        if random.random() < 0.5:
            call, nth, code = random.choice(FAILING), random.randint(1, 12), random.choice(ERRORS)
            for times in range(random.choice((1, 1, 2, 4))):
                failures[call, nth + times] = code
        return Plan(stop_at, stop_among, failures, random.choice((0.0, 0.0, 0.3, 0.9)))

    def _act(self, journal: Journal) -> None:
        match self._random.randrange(12):
            case 0:
                journal.sign()
            case 1:
                with suppress(DiskFull):
                    journal.begin_segment()
            case 2 | 3:
                self._pack()
            case 4:
                self._redact(journal)
            case 5:
                self._drop(journal)
            case _:
                self._append(journal, self._batch())

    def _batch(self) -> list[Draft]:
        size = self._random.choice((1, 1, 2, 3, 5, 10, 20))
        return [self._draft() for _ in range(size)]

    def _draft(self) -> Draft:
        self._number += 1
        size = self._random.choice((0, 10, 60, 300, 1000))
        ref, snapshot = f"OpaqueRef:{self._number}", self._random.randbytes(size)
        body = Event(self._number, 1.0, "vm", Operation.MOD, ref, snapshot)
        return Draft(EPOCH_NS + self._number, self._random.choice(POOLS), body)

    def _append(self, journal: Journal, drafts: list[Draft]) -> None:
        """Append as the keeper does: what a full disk refused is tried again."""
        place = self._end_of_segment()
        self._ledger.submitted += drafts
        for _ in range(3):
            try:
                seqs = journal.append(drafts)
            except DiskFull as error:
                self.reached.add("append on a full disk")
                written = drafts[: error.written]
                self._acknowledge(journal.next_seq - len(written), written)
                drafts = drafts[error.written :]
                full = error
            else:
                assert len(seqs) == len(drafts)
                self._acknowledge(seqs.start, drafts)
                self._remember_frame(place)
                return
        raise full

    def _acknowledge(self, first_seq: int, drafts: Sequence[Draft]) -> None:
        self._ledger.acknowledge(first_seq, drafts)
        self._tell("acknowledged", str(first_seq), "and", str(len(drafts) - 1), "more")

    def _pack(self) -> None:
        """Pack what is sealed, as is done beside the writing; a refusal leaves it for later."""
        numbers = to_pack(FOLDER, self._disk.elsewhere())
        with self._chore("pack"):
            for number in numbers:
                assert pack_segment(FOLDER, number, self._disk)

    def _redact(self, journal: Journal) -> None:
        seqs = [seq for seq, entry in self._ledger.owed.items() if isinstance(entry.body, Event)]
        whole = [seq for seq in seqs if seq not in self._ledger.redacted]
        if whole:
            seq = self._random.choice(whole)
            self._ledger.redacted[seq] = False
            with self._chore(f"redact {seq}"):
                redact(journal, seq, "asked for", by="tests")
                self._ledger.redacted[seq] = True

    def _drop(self, journal: Journal) -> None:
        *numbers, _ = sorted({int(name[:10]) for name in self._segments()})
        if numbers:
            number, ledger = self._random.choice(numbers), self._ledger
            with Cursor.of(FOLDER, number + 1, self._disk.elsewhere()) as cursor:
                last_seq = cursor.header.first_seq - 1
            ledger.dropped_seq_max = max(last_seq, ledger.dropped_seq_max)
            with self._chore(f"drop to {last_seq}"):
                drop(journal, number)
                ledger.dropped_seq = max(last_seq, ledger.dropped_seq)
                ledger.owed = {s: entry for s, entry in ledger.owed.items() if s > last_seq}

    @contextmanager
    def _chore(self, name: str) -> Iterator[None]:
        """Do what may fail, and is done again another time, while the journal goes on."""
        self._tell(name)
        try:
            yield
        except (OSError, DiskFull) as error:
            assert self._disk.failed, "a sound disk refuses nothing"
            self._tell("failed:", str(error))
        else:
            self.reached.add(name.partition(" ")[0])

    def _end(self, how: str) -> None:
        """End the process, and check what is there before anybody repairs it."""
        self._cut = self._random.random() < 0.6
        self._disk = self._disk.crash() if self._cut else self._disk.kill()
        how += ", power cut" if self._cut else ", killed"
        self.reached.add(how)
        self._tell(how, str(self._segments()))
        entries = self._read()
        self._ledger.check(entries)
        kinds = self._findings(entries)
        assert kinds <= (set() if self._clean else {FindingKind.TORN_TAIL})
        self._torn = bool(kinds)
        self.reached |= {f"found {kind}" for kind in kinds}

    def _check_opened(self, journal: Journal) -> None:
        """An open that returned left nothing to find, and told of all that it cut."""
        entries = self._read()
        self._ledger.check(entries)
        self._ledger.settle(entries)
        if self._torn or journal.repairs or self._random.random() < 0.2:
            assert self._findings(entries) == set()
        assert not entries or journal.next_seq == entries[-1].seq + 1
        for pool in POOLS:
            seqs = [entry.seq for entry in entries if entry.pool == pool]
            assert not seqs or journal.tails[pool].last_seq >= seqs[-1]
        told = [mark.detail for mark in repairs(entries)]
        assert list(journal.repairs) == told[len(told) - len(journal.repairs) :]
        assert not (self._was_clean and journal.repairs)
        for detail in journal.repairs:
            self.reached.add("repaired")
            assert detail["reason"] == "torn-tail"
            assert len(self._disk.content(FOLDER / str(detail["kept_in"]))) == detail["bytes"]

    def _end_well(self) -> None:
        """With nothing going wrong any more: open, append, read back, close, read back."""
        self._disk.begin(Plan())
        with self._opened() as journal:
            for seq in half_redacted(list(self._ledger.owed.values())):
                self._ledger.redacted[seq] = False
                redact(journal, seq, "once more", by="tests")
            self._append(journal, self._batch())
            journal.close()
        self._disk = self._disk.crash()
        entries = self._read()
        self._ledger.check(entries)
        assert half_redacted(entries) == []
        assert self._findings(entries) == set()

    def _can_rot(self) -> bool:
        # Only what a power cut left is on the disk as it is read.
        return self._cut and not self._clean and len(self._frames_of_last()) > 1

    def _frames_of_last(self) -> list[tuple[Path, int, int]]:
        last = self._segments()[-1:]
        return [frame for frame in self._frames if [frame[0].name] == last]

    def _end_in_damage(self) -> None:
        """Let a byte rot that has a whole frame behind it: it stays, and is told of for ever."""
        path, start, stop = self._random.choice(self._frames_of_last()[:-1])
        self._disk.rot(path, self._random.randrange(start, stop))
        before = self._disk.content(path)
        assert self._findings() - {FindingKind.TORN_TAIL}
        with self._open() as journal:
            assert journal.next_seq > self._ledger.last_seq, "a number was given out twice"
            draft = self._draft()
            (seq,) = journal.append([draft])
        self._disk = self._disk.crash()
        self.reached.add("damaged")
        assert self._disk.content(path)[: len(before)] == before, "damage was cut off"
        assert self._findings() - {FindingKind.TORN_TAIL}
        entries: list[Entry] = []
        resume = None
        try:
            entries.extend(scan(FOLDER, after_seq=self._ledger.dropped_seq_max, disk=self._disk))
        except DamageFound as damage:
            resume = damage.resume_after_seq
        for entry in entries:
            self._ledger.check_entry(entry)
        assert resume is not None
        *_, last = scan(FOLDER, after_seq=resume, disk=self._disk)
        assert (last.seq, last.body) == (seq, draft.body)

    def _read(self) -> list[Entry]:
        disk = self._disk.elsewhere()
        try:
            return list(scan(FOLDER, disk=disk))
        except EntriesDropped as dropped:
            return list(scan(FOLDER, after_seq=dropped.resume_after_seq or 0, disk=disk))
        except DamageFound:
            raise
        except JournalError:
            assert self._segments() == [], "a folder with segments is a journal"
            return []

    def _findings(self, entries: Sequence[Entry] = ()) -> set[FindingKind]:
        """Return what verify finds, a redaction left aside that died half-way and is told of."""
        if not self._segments():
            return set()
        report = verify(FOLDER, disk=self._disk.elsewhere())
        kinds = {finding.kind for finding in report.findings}
        if half_redacted(entries):
            assert FindingKind.BAD_REDACTION in kinds
            kinds.remove(FindingKind.BAD_REDACTION)
        return kinds

    def _segments(self) -> list[str]:
        names = self._disk.listing(FOLDER)
        return [name for name in names if name.endswith((".journal", ".journal.zst"))]

    def _end_of_segment(self) -> tuple[Path, int]:
        path = FOLDER / self._segments()[-1]
        return path, len(self._disk.content(path))

    def _remember_frame(self, place: tuple[Path, int]) -> None:
        path, end = self._end_of_segment()
        if place[0] == path:
            self._frames.append((*place, end))

    def _tell(self, *words: str) -> None:
        self.story.append(" ".join(words))


def run(seed: int, **broken: type) -> Schedule:
    """Run one schedule; what it raises has the seed and the story with it."""
    schedule = Schedule(seed, **broken)
    try:
        schedule.run()
    except BaseException as error:
        error.add_note(f"seed {seed}: python -m tests.journal.crashes {seed}")
        error.add_note("\n".join(schedule.story))
        raise
    return schedule


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1])).story))  # noqa: T201 - this is for people
