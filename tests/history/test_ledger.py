"""The gap ledger: what it tells of each gap, whatever the cause."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from query.history.database import History
from query.load.loader import refresh
from query.questions.gaps import blindness, gaps
from recorder.instant import Instant
from recorder.journal.redaction import redact
from recorder.journal.retention import drop
from recorder.journal.store import Journal
from recorder.model import GapCause, Mark, MarkName, Stream
from recorder.past.survey import Survey
from tests.history.journals import START_NS, Pool, Told, loaded, record, ref_of, rows, write_journal

Asked = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lab(told: Told) -> Pool:
    return Pool(told)


@pytest.fixture
def ask(tmp_path: Path, told: Told) -> Iterator[Asked]:
    """Load what was told by then, and ask; once."""
    opened: list[History] = []

    def answer(sql: str) -> list[tuple[object, ...]]:
        if not opened:
            opened.append(loaded(tmp_path / "history.duckdb", told.entries))
        return rows(opened[0], sql)

    yield answer
    for history in opened:
        history.close()


def read_hosts(lab: Pool, *, started: str | None = "1690000000.", master: str = "h1") -> None:
    """Read which host is the master, and when its toolstack was started."""
    config = {} if started is None else {"agent_start_time": started}
    lab.chunk("pool", {"p": record("lab", master=ref_of(master))})
    lab.chunk("host", {master: record(master, other_config=config)})


def members(lab: Pool, *addresses: str) -> None:
    lab.told.write(lab.name, Mark(MarkName.MEMBERS, {"addresses": " ".join(addresses)}))


def a_record(lab: Pool) -> None:
    """Record a pool up to the event with the id 11."""
    lab.register(next_id=10)
    read_hosts(lab)
    members(lab, "10.0.0.1", "10.0.0.2")
    lab.chunk("vm", {})
    lab.done()
    lab.event("add", "vm", "web1", record("web1"))
    lab.event("mod", "vm", "web1", record("web1", memory=1))


@pytest.mark.parametrize("cause", [one for one in GapCause if one[:5] not in ("censu", "audit")])
def test_gap_of_every_cause_has_what_was_before_and_after(
    told: Told, lab: Pool, ask: Asked, cause: GapCause
) -> None:
    """The last event, the first one, the events that others were told, the objects that differ."""
    a_record(lab)
    before = told.seq
    gap = lab.lose(cause)
    lab.register(next_id=30)
    first = lab.event("mod", "vm", "web1", record("web1", memory=2))
    lab.event("mod", "vm", "web1", record("web1", memory=3))
    read_hosts(lab)
    lab.chunk("vm", {"web1": record("web1", memory=3), "web2": record("web2")})
    lab.done()
    lab.close(gap)
    sql = """
        SELECT seq, cause, told_cause, stream, last_event_id, epoch_us(last_event_at),
            first_event_id, epoch_us(first_event_at), ids_missed, objects_differed, open,
            duration_s
        FROM gaps
    """
    at_us = (told.at_ns(before) // 1000, told.at_ns(first) // 1000)
    ids = (11, at_us[0], 30, at_us[1], 18)
    duration_s = float(lab.certain_seq - before)
    assert ask(sql) == [(gap, cause, cause, "register", *ids, 2, False, duration_s)]


def test_open_gap_is_counted_by_the_baseline_that_closes_it(lab: Pool, ask: Asked) -> None:
    """Until then nobody knows whether ids have restarted, nor what differs."""
    a_record(lab)
    lab.lose()
    lab.register(next_id=30)
    sql = "SELECT open, ids_missed, first_event_id, duration_s, blind_until FROM gaps"
    assert ask(sql) == [(True, None, None, None, None)]


def test_ids_are_counted_over_an_interrupted_baseline(lab: Pool, ask: Asked) -> None:
    """What was missed before each of the registrations in a gap is missed in the gap."""
    a_record(lab)
    gap = lab.lose()
    lab.register(next_id=15)
    lab.event("mod", "vm", "web1", record("web1", memory=2))
    lab.register(next_id=20)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    assert ask("SELECT ids_missed FROM gaps") == [(3 + 4,)]


def test_events_that_happened_during_the_registration_are_not_missed(lab: Pool, ask: Asked) -> None:
    """The id in the mark is the one after it; only the first event can be from before that."""
    a_record(lab)
    gap = lab.lose()
    lab.register(next_id=30)
    lab.event("mod", "vm", "web1", record("web1", memory=2), id=28)
    lab.event("mod", "vm", "web1", record("web1", memory=3), id=28)
    lab.event("mod", "vm", "web1", record("web1", memory=4), id=29)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    assert ask("SELECT ids_missed, first_event_id FROM gaps") == [(16, 28)]


def test_ids_of_an_epoch_without_an_event_are_counted_from_its_registration(
    lab: Pool, ask: Asked
) -> None:
    """A quiet pool, too, knows which id would have come next."""
    lab.register(next_id=10)
    read_hosts(lab)
    lab.done()
    gap = lab.lose()
    lab.register(next_id=14)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    assert ask("SELECT ids_missed FROM gaps") == [(4,)]


@pytest.mark.parametrize("next_id", [3, 300])
@pytest.mark.parametrize("started", ["1690009999.", None])
def test_ids_are_not_counted_across_a_restart_of_the_toolstack(
    lab: Pool, ask: Asked, next_id: int, started: str | None
) -> None:
    """Ids begin again with it, however far they have come since; nor where nobody knows."""
    a_record(lab)
    gap = lab.lose()
    lab.register(next_id=next_id)
    read_hosts(lab, started=started)
    lab.done()
    lab.close(gap)
    again = lab.lose()
    lab.register(next_id=next_id + 2)
    read_hosts(lab, started=started)
    lab.done()
    lab.close(again)
    assert ask("SELECT ids_missed FROM gaps ORDER BY seq") == [(None,), (2 if started else None,)]


def test_lower_id_is_a_restart(lab: Pool, ask: Asked) -> None:
    """A server whose clock was set back may have started at the same time twice."""
    a_record(lab)
    gap = lab.lose()
    lab.register(next_id=3)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    assert ask("SELECT ids_missed FROM gaps") == [(None,)]


@pytest.mark.parametrize(
    ("before", "after"),
    [(Stream.FROM, Stream.FROM), (Stream.REGISTER, Stream.FROM), (Stream.FROM, Stream.REGISTER)],
)
def test_ids_of_a_stream_of_last_states_are_not_counted(
    lab: Pool, ask: Asked, before: Stream, after: Stream
) -> None:
    """They are generations of the database."""
    lab.register(before, next_id=10)
    read_hosts(lab)
    lab.done()
    lab.event("mod", "vm", "web1", record("web1"), id=900)
    gap = lab.lose()
    lab.register(after, next_id=1000)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    assert ask("SELECT stream, last_event_id, ids_missed FROM gaps") == [(before, 900, None)]


@pytest.mark.parametrize(
    ("told_cause", "cause"),
    [
        (GapCause.CONNECTION_LOST, "master-changed"),
        (GapCause.SESSION_LOST, "master-changed"),
        (GapCause.SERVER_SILENT, "master-changed"),
        (GapCause.RECORDER_STOPPED, "recorder-stopped"),
        (GapCause.EVENTS_LOST, "events-lost"),
    ],
)
@pytest.mark.parametrize("early", [True, False])
def test_another_master_after_a_gap_is_its_cause(
    lab: Pool, ask: Asked, told_cause: GapCause, cause: str, early: bool
) -> None:
    """Also if the pool told of it just before; what the recorder wrote stays in its own column."""
    a_record(lab)
    if early:
        members(lab, "10.0.0.2", "10.0.0.1")
    gap = lab.lose(told_cause)
    lab.register()
    read_hosts(lab, started="1690001234.", master="h2")
    if not early:
        members(lab, "10.0.0.2", "10.0.0.1")
    lab.done()
    lab.close(gap)
    assert ask("SELECT cause, told_cause, ids_missed FROM gaps") == [(cause, told_cause, None)]


def test_member_that_joins_is_no_other_master(lab: Pool, ask: Asked) -> None:
    """The first address is the master's, and it stayed."""
    a_record(lab)
    gap = lab.lose()
    lab.register()
    read_hosts(lab)
    members(lab, "10.0.0.1", "10.0.0.2", "10.0.0.3")
    lab.done()
    lab.close(gap)
    assert ask("SELECT cause FROM gaps") == [("connection-lost",)]


@pytest.mark.parametrize(
    ("address", "cause"),
    [("10.0.0.1", "connection-lost"), ("10.0.0.9", "master-changed")],
)
def test_address_tells_the_master_where_no_members_are_known(
    told: Told, lab: Pool, ask: Asked, address: str, cause: str
) -> None:
    """Only masters take a login."""
    lab.register()
    lab.done()
    gap = lab.lose()
    told.write("lab", Mark(MarkName.CONNECTED, {"address": address}))
    told.write("lab", Mark(MarkName.REGISTERED, {"stream": "register", "next_event_id": 1}))
    lab.done()
    lab.close(gap)
    assert ask("SELECT cause FROM gaps") == [(cause,)]


def test_rollback_is_named_and_what_went_back_is_inferred(
    told: Told, lab: Pool, ask: Asked
) -> None:
    """A pool that came back from an older copy of its database: add, mod and del lead back."""
    lab.register()
    read_hosts(lab)
    first = {"web1": record("web1", memory=1), "web2": record("web2")}
    lab.chunk("vm", first)
    lab.done()
    lab.event("mod", "vm", "web1", record("web1", memory=2))
    lab.event("del", "vm", "web2", record("web2"))
    lab.event("add", "vm", "web3", record("web3"))
    gap = lab.lose()
    told.write("lab", Mark(MarkName.ROLLED_BACK, {"generation": 4000, "before": 5000}))
    lab.register()
    read_hosts(lab, started="1690001234.")
    lab.chunk("vm", first)
    lab.done()
    lab.close(gap)
    later = lab.lose()
    sql = "SELECT seq, rolled_back_from, rolled_back_to, objects_differed FROM gaps ORDER BY seq"
    assert ask(sql) == [(gap, 5000, 4000, 4), (later, None, None, 0)]
    sql = """
        SELECT operation, name FROM events
        WHERE origin = 'inferred' AND gap = (SELECT min(seq) FROM gaps) AND class = 'vm'
        ORDER BY name
    """
    assert ask(sql) == [("mod", "web1"), ("add", "web2"), ("del", "web3")]
    assert ask("SELECT old, new FROM changes WHERE field = 'memory' ORDER BY seq") == [
        ("1", "2"),
        ("2", "1"),
    ]


def test_baseline_after_lost_entries_closes_only_their_gap(
    told: Told, lab: Pool, ask: Asked
) -> None:
    """A class that was read again tells nothing of the others that the hole may have changed."""
    a_record(lab)
    lab.event("mod", "vm", "web1", record("web1", memory=2))
    lost = told.seq
    first = lab.event("mod", "vm", "web1", record("web1", memory=3))
    census = lab.lose(GapCause.CENSUS_MISMATCH)
    lab.chunk("vm", {"web1": record("web1", memory=3)})
    told.write("lab", Mark(MarkName.BASELINE_DONE, {"classes": 1, "objects": 1, "class": "vm"}))
    lab.close(census)
    del told.entries[lost - 1]
    sql = """
        SELECT seq, cause, open, last_event_id, first_event_id, ids_missed FROM gaps ORDER BY seq
    """
    assert ask(sql) == [
        (lost, "entries-missing", True, 11, 13, None),
        (census, "census-mismatch", False, 13, None, 0),
    ]
    assert first == lost + 1
    instant = Instant(seq=told.entries[-1].seq)
    (caveat,) = Survey.of(iter(told.entries), instant).caveats("lab", instant)
    assert f"gap @{lost} (entries-missing)" in caveat


def test_redacted_entry_is_in_the_ledger_and_is_no_blindness(tmp_path: Path, told: Told) -> None:
    """It says which entry of which object, when and why; nothing was missed."""
    lab = Pool(told)
    lab.register()
    lab.done()
    seq = lab.event("add", "vm", "web1", record("web1"))
    write_journal(tmp_path / "journal", told.drafts())
    with Journal.open(tmp_path / "journal", now_ns=lambda: START_NS) as journal:
        redact(journal, seq, "a password", by="somebody")
    with refresh(tmp_path).open() as history:
        (row,) = gaps(history, pool="lab")
        assert (row.cause, row.pool, row.since_seq, row.open) == ("redacted", "lab", seq, False)
        assert row.detail == f"entry @{seq} (vm OpaqueRef:web1): a password"
        assert row.since is not None
        assert row.since.timestamp() == told.at_ns(seq) / 1e9
        (blind,) = blindness(history, [row], pool=None)
        assert (blind.gaps, blind.blind_s) == (0, 0)


@pytest.mark.parametrize("load_first", [True, False])
def test_dropped_segments_are_in_the_ledger(tmp_path: Path, told: Told, load_first: bool) -> None:
    """And if the history never had what was in them, it says so."""
    lab = Pool(told)
    lab.register()
    lab.done()
    write_journal(tmp_path / "journal", told.drafts())
    if load_first:
        refresh(tmp_path)
    with Journal.open(tmp_path / "journal", now_ns=lambda: START_NS) as journal:
        journal.begin_segment()
        drop(journal, 1)
    with refresh(tmp_path).open() as history:
        found = [(row.cause, row.detail, row.since) for row in gaps(history)]
    dropped = ("dropped", f"segments 1 to 1, entries up to @{told.seq}", None)
    unknown = f"not in the history: entries 1 to {told.seq} were dropped by the rules of retention"
    assert sorted(found) == [*([] if load_first else [("dropped", unknown, None)]), dropped]


def test_first_event_after_a_closed_gap_may_be_loaded_later(tmp_path: Path, told: Told) -> None:
    """A quiet pool tells nothing for a while; the ledger is completed when it does."""
    lab = Pool(told)
    a_record(lab)
    gap = lab.lose()
    lab.register(next_id=30)
    read_hosts(lab)
    lab.done()
    lab.close(gap)
    loaded_to = told.seq
    first = lab.event("mod", "vm", "web1", record("web1", memory=2))
    write_journal(tmp_path / "journal", told.drafts()[:loaded_to])
    with refresh(tmp_path).open() as history:
        assert [(row.open, row.first_event_id) for row in gaps(history)] == [(False, None)]
    write_journal(tmp_path / "journal", told.drafts()[loaded_to:])
    with refresh(tmp_path).open() as history:
        (row,) = gaps(history)
    assert (row.first_event_id, row.ids_missed, row.last_event_id) == (30, 18, 11)
    assert row.first_event_at is not None
    assert row.first_event_at.timestamp() == told.at_ns(first) / 1e9


def test_blindness_counts_what_gaps_cover_once(tmp_path: Path, told: Told) -> None:
    """From the first registration to the end of the journal, where an open gap ends for now."""
    lab, east = Pool(told), Pool(told, "east")
    lab.register()  # @2
    east.register()  # @4
    lab.done()
    gap = lab.lose()  # from @2
    lab.register()  # @8
    lab.done()
    lab.close(gap)  # @10
    lab.event("mod", "vm", "web1", record("web1"))
    lab.lose()  # from @11
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = gaps(history)
        told_of = blindness(history, found, pool=None)
        twice = blindness(history, [*found, *found], pool="lab")
    assert [(one.pool, one.gaps, one.blind_s, one.recorded_s) for one in told_of] == [
        ("east", 0, 0.0, told.seq - 4.0),
        ("lab", 2, 6.0 + told.seq - 11, told.seq - 2.0),
    ]
    assert twice[0].blind_s == told_of[1].blind_s
    assert told_of[0].open_since is None
    assert told_of[1].open_since == found[1].since
    assert told_of[1].share == told_of[1].blind_s / told_of[1].recorded_s
