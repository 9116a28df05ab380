"""kill -9 at any moment under load: nothing acknowledged is lost, and the stop is a gap."""

import random
import signal
import time
from pathlib import Path

import pytest

from recorder.journal.scan import head, scan
from recorder.journal.verify import FindingKind, verify
from recorder.model import Event, GapCause, GapClosed, GapOpened, Mark, MarkName
from tests.cli.programs import pool_table, recorder, simulator, stop, wait_for, write_config


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_killed_recorder_loses_nothing_it_acknowledged(kills: int, tmp_path: Path) -> None:
    """What could be read before the kill can be read after it; every kill is one closed gap."""
    rng = random.Random(kills)
    journal = tmp_path / "data" / "journal"
    with simulator("--vms", "20", "--activity", "3000", "--realtime", "0") as pool:
        config = write_config(tmp_path, pool_table(pool.url))
        before = [0]
        for _ in range(kills):
            with recorder(config) as process:
                wait_for(process, ["recording", "gap-closed"])
                time.sleep(rng.uniform(0.0, 0.3))
                before.append(head(journal).last_seq)
                process.send_signal(signal.SIGKILL)
                process.wait()
            assert head(journal).last_seq >= before[-1] > before[-2]
            torn = {finding.kind for finding in verify(journal).findings}
            assert torn <= {FindingKind.TORN_TAIL}
        with recorder(config) as process:
            wait_for(process, ["gap-closed"])
            stop(process)
        assert process.returncode == 0
    assert verify(journal).findings == ()
    entries = list(scan(journal))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    gaps = [entry for entry in entries if isinstance(entry.body, GapOpened)]
    causes = [gap.body.cause for gap in gaps if isinstance(gap.body, GapOpened)]
    assert causes == [GapCause.RECORDER_DIED] * kills + [GapCause.RECORDER_STOPPED]
    closed = {entry.body.opened_seq for entry in entries if isinstance(entry.body, GapClosed)}
    assert closed == {gap.seq for gap in gaps[:-1]}
    check_epochs(entries_of(journal))


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
