"""A day that is written as a journal is that day: what the history makes of it can be judged."""

from pathlib import Path

from query.load.loader import refresh
from recorder.journal.scan import scan
from recorder.model import AuditLine, Event
from tests.attribution.chain import LATENCY_S, POLL_S, write_journal, write_parts, written
from tests.attribution.day import day_of
from tests.attribution.told import told

RESTARTED = 3
"""The seed of a day with a restart: it has two epochs, and a master after the other."""


def test_the_history_of_a_day_has_its_events(tmp_path: Path) -> None:
    """However many times it is loaded, each event is the change of which the journal says so."""
    day = day_of(RESTARTED)
    journal = written(day)
    for end in write_parts(journal, tmp_path / "journal", parts=3):
        assert refresh(tmp_path).last_seq == end
    with refresh(tmp_path).open() as history:
        rows = history.table(
            "select seq, class, operation, ref from events where origin = 'live' order by seq"
        ).to_pylist()
    loaded = {row["seq"]: (row["class"], row["operation"], row["ref"]) for row in rows}
    changes = [day.truth.changes[index] for index in journal.changes.values()]
    assert list(loaded.values()) == [(item.cls, item.operation, item.ref) for item in changes]
    assert loaded.keys() == journal.changes.keys()
    assert len(changes) == sum(
        change.event_id is not None for change in day.truth.changes[day.epochs[0] :]
    )


def test_lines_come_with_the_poll_that_finds_them(tmp_path: Path) -> None:
    """Each once, in the order of its file, at most one poll later than it was written."""
    day = day_of(RESTARTED)
    assert all(len(lines) > 20 for lines in list(day.lines.values())[:2])
    write_journal(day, tmp_path)
    entries = [entry for entry in scan(tmp_path) if isinstance(entry.body, AuditLine | Event)]
    kept: dict[str, list[str]] = {address: [] for address in day.lines}
    for entry in entries:
        if isinstance(entry.body, AuditLine):
            text = entry.body.line.decode()
            kept[entry.body.host].append(text)
            late_s = entry.received_at_ns / 1e9 - told(text).at_s
            assert 0 < late_s <= POLL_S + LATENCY_S + 0.01
    assert kept == day.lines
    received = [entry.received_at_ns for entry in entries]
    assert received == sorted(received)
