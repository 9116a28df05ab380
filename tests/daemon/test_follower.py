"""One follower: what it is told, how that looks, and what stands for what it missed."""

import json
from typing import get_args

import pytest
import trio
import trio.testing

from recorder.control import following, lines
from recorder.control.kinds import Kind
from recorder.control.protocol import Follow
from recorder.model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
    Operation,
    Redacted,
)
from tests.daemon.clients import Json

Clock = trio.testing.MockClock

SNAPSHOT = (
    b'{"uuid":"6e1fb6ad-0000-4000-8000-000000000001","name_label":"Web \\"1\\" M\\u00fcnchen"}'
)


def event(
    number: int = 1,
    *,
    pool: str = "lab",
    cls: str = "vm",
    operation: Operation = Operation.MOD,
    ref: str = "OpaqueRef:1",
    snapshot: bytes | None = SNAPSHOT,
) -> Draft:
    return Draft(0, pool, Event(number, 1.0, cls, operation, ref, snapshot))


def told(wanted: Follow, *drafts: Draft) -> list[int]:
    """Return which of some drafts a follower is told, counted from 1."""
    one = following.Follower(wanted)
    one.take(range(1, len(drafts) + 1), drafts)
    one.end()
    return [line["seq"] for line in drained(one)]


def drained(one: following.Follower) -> list[dict[str, int]]:
    """Return all lines that wait for a follower, which must have come to its end."""
    read = bytearray()

    async def read_all() -> None:
        while (piece := await one.next_piece()) is not None:
            read.extend(piece)

    trio.run(read_all)
    return [json.loads(line) for line in read.splitlines()]


# -- what is wanted ----------------------------------------------------------------------------

ENTRIES = (
    event(),  # 1
    event(cls="VBD", pool="paris"),  # 2
    event(operation=Operation.DEL, snapshot=None),  # 3
    Draft(0, "lab", BaselineChunk("vm", 1, 2, 1)),  # 4
    Draft(0, "lab", BaselineRecord("vm", "OpaqueRef:2", SNAPSHOT)),  # 5
    Draft(0, "lab", GapOpened(GapCause.EVENTS_LOST, "", None, None)),  # 6
    Draft(0, "paris", GapClosed(6, 0)),  # 7
    Draft(0, "", Mark(MarkName.STARTED)),  # 8
    Draft(0, "", Heartbeat()),  # 9
    event(ref="OpaqueRef:3", snapshot=b'{"uuid":"6e1f0000-","name":"VM_STARTED"}'),  # 10
    Draft(0, "lab", AuditLine("10.0.0.1", b"a line, \xff", False)),  # 11
)


@pytest.mark.parametrize(
    ("wanted", "seqs"),
    [
        (Follow(), [1, 2, 3, 6, 7, 8, 10]),
        (Follow(kinds=tuple(Kind)), [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]),
        (Follow(kinds=(Kind.AUDIT,)), [11]),
        (Follow(kinds=(Kind.GAP,)), [6, 7]),
        (Follow(kinds=(Kind.BASELINE,)), [4, 5]),
        (Follow(pools=("lab",)), [1, 3, 6, 10]),
        (Follow(pools=("lab", "paris")), [1, 2, 3, 6, 7, 10]),
        (Follow(classes=("vbd",)), [2, 6, 7, 8]),
        (Follow(classes=("VM",), kinds=(Kind.EVENT, Kind.BASELINE)), [1, 3, 4, 5, 10]),
        (Follow(operations=(Operation.DEL,)), [3, 6, 7, 8]),
        (Follow(kinds=(Kind.EVENT,), objects=("web",)), [1, 2]),
        (Follow(kinds=(Kind.EVENT,), objects=('"1" MÜN',)), [1, 2]),
        (Follow(kinds=(Kind.EVENT,), objects=("vm_start",)), [10]),
        (Follow(kinds=(Kind.EVENT,), objects=("6E1F",)), [1, 2, 10]),
        (Follow(kinds=(Kind.EVENT,), objects=("6e1",)), []),
        (Follow(kinds=(Kind.EVENT,), objects=("OpaqueRef:1",)), [1, 2, 3]),
        (Follow(kinds=(Kind.EVENT,), objects=("OpaqueRef",)), []),
        (Follow(kinds=(Kind.EVENT, Kind.BASELINE), objects=("web", "VM_")), [1, 2, 5, 10]),
        (Follow(objects=("nobody",)), [6, 7, 8]),
    ],
)
def test_only_what_is_wanted_is_told(wanted: Follow, seqs: list[int]) -> None:
    """Conditions narrow events and baselines; gaps and marks come as long as their kind does."""
    assert told(wanted, *ENTRIES) == seqs


def test_every_body_has_a_kind() -> None:
    """A new kind of entry is not left out by oversight."""
    assert set(lines.KIND_OF) == set(get_args(Body))


# -- how it is told ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            Event(7, 3.0, "vm", Operation.ADD, "OpaqueRef:1", SNAPSHOT),
            {
                "kind": "event",
                "class": "vm",
                "operation": "add",
                "ref": "OpaqueRef:1",
                "event_id": 7,
                "server_at_s": 3.0,
                "uuid": "6e1fb6ad-0000-4000-8000-000000000001",
                "name": 'Web "1" München',
                "snapshot": json.loads(SNAPSHOT),
            },
        ),
        (
            BaselineChunk("vm", 1, 2, 3),
            {"kind": "baseline", "class": "vm", "count": 3},
        ),
        (
            BaselineRecord("vm", "OpaqueRef:1", b"[]"),
            {
                "kind": "baseline",
                "class": "vm",
                "ref": "OpaqueRef:1",
                "uuid": None,
                "name": None,
                "snapshot": [],
            },
        ),
        (
            GapOpened(GapCause.EVENTS_LOST, "why", 4, 10**18),
            {
                "kind": "gap",
                "what": "opened",
                "cause": "events-lost",
                "detail": "why",
                "last_event_id": 4,
                "complete_until": "2001-09-09T01:46:40Z",
            },
        ),
        (
            GapClosed(3, 10**18),
            {
                "kind": "gap",
                "what": "closed",
                "opened_seq": 3,
                "blind_until": "2001-09-09T01:46:40Z",
            },
        ),
        (
            Mark(MarkName.MEMBERS, {"addresses": "a b"}),
            {"kind": "mark", "name": "members", "detail": {"addresses": "a b"}},
        ),
    ],
)
def test_entry_is_one_line_of_json(body: Body, expected: Json) -> None:
    """Keys are named as in the answers of other commands; the record is there as it was sent."""
    draft = Draft(10**18 + 5 * 10**6, "lab", body)
    title = lines.title_of(getattr(body, "snapshot", None))
    line = lines.line_of(12, draft, title)
    assert line.count(b"\n") == 1
    common = {"seq": 12, "pool": "lab", "received_at": "2001-09-09T01:46:40.005Z"}
    assert json.loads(line) == common | expected


def test_record_with_line_feeds_is_one_line() -> None:
    """A server that writes its JSON in several lines does not break ours."""
    pretty = json.dumps({"uuid": "u", "name_label": "a\nb"}, indent=1).encode()
    line = lines.line_of(1, event(snapshot=pretty), lines.title_of(pretty))
    assert line.count(b"\n") == 1
    assert json.loads(line)["snapshot"] == {"uuid": "u", "name_label": "a\nb"}


@pytest.mark.parametrize("redacted", [Redacted(b"", Event(1, 0, "vm", Operation.MOD, "", b""))])
def test_record_that_was_taken_out_is_told_to_nobody(redacted: Redacted) -> None:
    """It was told when it was new."""
    assert told(Follow(kinds=tuple(Kind)), Draft(0, "lab", redacted)) == []


# -- slow clients ------------------------------------------------------------------------------


def test_what_a_slow_client_missed_is_counted_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """First and last number of the hole, and how many of it would have been told."""
    monkeypatch.setattr(following, "ENTRIES_MAX", 3)
    one = following.Follower(Follow())
    one.take(range(1, 6), [event()] * 5)
    one.take(range(6, 8), [Draft(0, "", Heartbeat()), event()])
    one.end()
    assert [line.get("seq") or line for line in drained(one)] == [
        1,
        2,
        3,
        {"kind": "missed", "count": 3, "first_seq": 4, "last_seq": 7},
    ]


async def test_client_that_has_read_on_is_told_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: Clock
) -> None:
    """One hole, not many: nothing is kept again before what was kept first is read."""
    monkeypatch.setattr(following, "ENTRIES_MAX", 3)
    monkeypatch.setattr(following, "PIECE_BYTES", 1)
    one = following.Follower(Follow())

    async def read(count: int) -> list[dict[str, int]]:
        with trio.fail_after(1):
            return [json.loads(await one.next_piece() or b"") for _ in range(count)]

    one.take(range(1, 5), [event()] * 4)
    seen = await read(2)
    one.take(range(5, 6), [event()])
    seen += await read(1)
    one.take(range(6, 8), [event()] * 2)
    seen += await read(3)
    assert [line.get("seq", 0) for line in seen] == [1, 2, 3, 0, 6, 7]
    assert (seen[3]["first_seq"], seen[3]["last_seq"]) == (4, 5)


def test_records_that_wait_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large records wait in smaller number; a single one is never too large."""
    monkeypatch.setattr(following, "BYTES_MAX", 1000)
    one = following.Follower(Follow())
    large = b'{"name_label":"' + b"x" * 2000 + b'"}'
    one.take(range(1, 4), [event(snapshot=large), event(), event()])
    one.end()
    assert [line.get("seq", 0) for line in drained(one)] == [1, 0]


async def test_records_that_were_read_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that keeps up is told any number of large records."""
    monkeypatch.setattr(following, "BYTES_MAX", 1000)
    one = following.Follower(Follow())
    large = b'{"name_label":"' + b"x" * 900 + b'"}'
    for seq in range(1, 5):
        one.take(range(seq, seq + 1), [event(snapshot=large)])
        assert json.loads(await one.next_piece() or b"")["seq"] == seq
