"""Entries to bytes and back."""

import random

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import JournalError
from recorder.journal.codec import BadEntry, Packer, decode, telling
from recorder.journal.frame import ITEM_BYTES_MAX
from recorder.journal.tails import Tails
from recorder.model import (
    AuditLine,
    BaselineChunk,
    BaselineRecord,
    Body,
    Draft,
    Entry,
    Event,
    GapCause,
    GapClosed,
    GapOpened,
    Heartbeat,
    Mark,
    MarkName,
    Operation,
    PoolTail,
)
from tests.journal.samples import AUDIT_LINE, BODIES, EPOCH_NS

INTS = st.integers(-(2**63), 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=()))  # half surrogate pairs too
PLAIN = st.none() | st.booleans() | INTS | st.floats(allow_nan=False) | TEXT
BODY: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        Event,
        INTS,
        st.floats(allow_nan=False),
        TEXT,
        st.sampled_from(Operation),
        TEXT,
        st.none() | st.binary(),
    ),
    st.builds(BaselineChunk, TEXT, INTS, INTS, INTS),
    st.builds(BaselineRecord, TEXT, TEXT, st.binary()),
    st.builds(AuditLine, TEXT, st.binary(), st.booleans()),
    st.builds(GapOpened, st.sampled_from(GapCause), TEXT, st.none() | INTS, st.none() | INTS),
    st.builds(GapClosed, INTS, INTS),
    st.builds(Mark, st.sampled_from(MarkName), st.dictionaries(TEXT, PLAIN)),
    st.just(Heartbeat()),
)


def unpack(item: bytes) -> object:
    value: object = msgpack.unpackb(item, unicode_errors="surrogatepass")
    return value


@given(INTS, INTS, TEXT, BODY)
def test_codec_gives_back_every_body(seq: int, at_ns: int, pool: str, body: Body) -> None:
    """Whatever can be recorded is read back equal, and of the same types."""
    entry = decode(unpack(Packer().entry(seq, Draft(at_ns, pool, body))))
    assert entry == Entry(seq, at_ns, pool, body)
    assert repr(entry) == repr(Entry(seq, at_ns, pool, body))


def test_codec_takes_a_server_time_in_whole_seconds() -> None:
    """A server time given as an int is written as the float that the reader insists on."""
    body = Event(1, 5, "vm", Operation.ADD, "OpaqueRef:1", None)
    assert decode(unpack(Packer().entry(1, Draft(0, "lab", body)))).body == body


@pytest.mark.parametrize("body", [*BODIES, AUDIT_LINE], ids=lambda body: type(body).__name__)
def test_codec_refuses_an_entry_with_a_field_changed_in_type_dropped_or_added(body: Body) -> None:
    """The decoder is strict: no entry of a wrong shape passes as one."""
    item = unpack(Packer().entry(1, Draft(EPOCH_NS, "lab", body)))
    assert isinstance(item, list)
    for place in range(len(item)):
        with pytest.raises(BadEntry):
            decode([*item[:place], [item[place]], *item[place + 1 :]])
        with pytest.raises(BadEntry):
            decode(item[:place] + item[place + 1 :])
    with pytest.raises(BadEntry):
        decode([*item, None])


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        [1, 2, "unheard-of", "lab"],
        [1, 2, "mark", "lab", "unheard-of", {}],
        [1, 2, "mark", "lab", "started", {1: 2}],
        [1, 2, "mark", "lab", "started", {"a": b"bytes"}],
        [1, 2, "event", "lab", 1, 1.0, "vm", "rename", "OpaqueRef:1", None],
        [1, 2, "gap-opened", "lab", "boredom", "", None, None],
    ],
)
def test_codec_refuses_words_and_shapes_it_does_not_know(item: object) -> None:
    """Kinds, operations, causes and names are closed sets."""
    with pytest.raises(BadEntry):
        decode(item)


def test_packer_refuses_what_msgpack_cannot_hold_and_goes_on() -> None:
    """A number beyond 64 bits is refused by name, and the next entry packs as if nothing was."""
    packer = Packer()
    huge = Draft(0, "lab", GapClosed(2**64, 0))
    with pytest.raises(JournalError, match="an entry of pool 'lab' cannot be packed"):
        packer.entry(1, huge)
    good = Draft(0, "lab", GapClosed(1, 0))
    assert packer.entry(1, good) == Packer().entry(1, good)


def test_packer_refuses_an_entry_larger_than_a_frame_can_hold() -> None:
    """The limit on one entry is checked before anything is written."""
    body = BaselineRecord("vm", "OpaqueRef:1", bytes(ITEM_BYTES_MAX))
    with pytest.raises(JournalError, match="more than 33554432"):
        Packer().entry(1, Draft(0, "lab", body))


def test_telling_entries_leave_the_tails_where_all_entries_do() -> None:
    """Leaving out events that another follows changes nothing of where the pools stand."""
    rng = random.Random(5)
    for _ in range(300):
        drafts = [
            Draft(
                rng.randrange(100),
                rng.choice(["lab", "other", ""]),
                rng.choice([*BODIES, AUDIT_LINE]),
            )
            for _ in range(rng.randrange(1, 30))
        ]
        items = [unpack(Packer().entry(seq, draft)) for seq, draft in enumerate(drafts, 7)]
        entries, told = [decode(item) for item in items], telling(items)
        assert [entry for entry in entries if not isinstance(entry.body, Event)] == [
            entry for entry in told if not isinstance(entry.body, Event)
        ]
        assert tails_after(told) == tails_after(entries)


def tails_after(entries: list[Entry]) -> dict[str, PoolTail]:
    tails = Tails({})
    for entry in entries:
        tails.take(entry.seq, entry.received_at_ns, entry.pool, entry.body)
    return dict(tails.freeze())


def test_telling_entries_are_all_checked() -> None:
    """An event that is left out must be one all the same."""
    item = unpack(Packer().entry(1, Draft(0, "lab", BODIES[5])))
    assert isinstance(item, list)
    assert len(telling([item, item])) == 1
    with pytest.raises(BadEntry):
        telling([[*item[:-1], 5], item])
