"""kill -9 at any moment under load: nothing acknowledged is lost, and the stop is a gap."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from recorder.journal.scan import scan
from recorder.journal.verify import FindingKind, verify
from recorder.model import Entry, Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from tests.cli.programs import (
    WAIT_S_MAX,
    pool_table,
    recorder,
    simulator,
    stop,
    wait_for,
    write_config,
)

LIMITS = "[limits]\nsegment_mib_max = 1\nsegment_age_max_s = 1.0\n"
"""Small segments, so that many a kill comes while one is sealed, begun or packed."""

FILLING = 1_000
"""More events than a segment holds."""


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.soak)])
def test_killed_recorder_loses_nothing_it_acknowledged(kills: int, tmp_path: Path) -> None:
    """All that it acknowledged before the kill is there after it; every kill is one closed gap.

    Half of the recorders are held still before they are killed, so that what can be read then is
    all that they had acknowledged; the others are killed in the middle of whatever they do.
    """
    rng = random.Random(kills)
    journal = tmp_path / "data" / "journal"
    known: list[Entry] = []
    with simulator("--vms", "20", "--activity", "3000", "--realtime", "0") as pool:
        config = write_config(tmp_path, pool_table(pool.url))
        config.write_text(config.read_text(encoding="utf-8") + LIMITS, encoding="utf-8")
        for number in range(kills):
            with recorder(config) as process:
                wait_for(process, ["recording", "gap-closed"])
                wait_for_load(journal, after_seq=len(known))
                time.sleep(rng.uniform(0.0, 0.6))
                if number % 2:
                    hold_still(process)
                fresh = list(scan(journal, after_seq=len(known)))
                process.send_signal(signal.SIGKILL)
                process.wait()
            known += fresh
            assert list(scan(journal))[: len(known)] == known
            torn = {finding.kind for finding in verify(journal).findings}
            assert torn <= {FindingKind.TORN_TAIL}
        with recorder(config) as process:
            wait_for(process, ["gap-closed"])
            stop(process)
        assert process.returncode == 0
    report = verify(journal)
    assert report.findings == ()
    assert report.segments > kills
    assert report.packed > 0
    entries = list(scan(journal))
    assert entries[: len(known)] == known
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    gaps = [entry for entry in entries if isinstance(entry.body, GapOpened)]
    causes = [gap.body.cause for gap in gaps if isinstance(gap.body, GapOpened)]
    assert causes == [GapCause.RECORDER_DIED] * kills + [GapCause.RECORDER_STOPPED]
    closed = {entry.body.opened_seq for entry in entries if isinstance(entry.body, GapClosed)}
    assert closed == {gap.seq for gap in gaps[:-1]}
    check_epochs(entries_of(journal))


def wait_for_load(journal: Path, *, after_seq: int) -> None:
    """Return once the pool was so busy that a segment was filled with what is behind an entry."""
    latest_s = time.monotonic() + WAIT_S_MAX
    while sum(isinstance(one.body, Event) for one in scan(journal, after_seq=after_seq)) < FILLING:
        assert time.monotonic() < latest_s, "there is no load"
        time.sleep(0.02)


def hold_still(process: "subprocess.Popen[str]") -> None:
    """Stop a process where it is, and return once it is stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def entries_of(journal: Path) -> list[object]:
    return [entry.body for entry in scan(journal)]


def check_epochs(bodies: list[object]) -> None:
    """Inside an epoch the ids of the events are dense."""
    last: int | None = None
    for body in bodies:
        if isinstance(body, Mark) and body.name is MarkName.REGISTERED:
            last = None
        elif isinstance(body, Event):
            assert last is None or body.id == last + 1
            last = body.id
