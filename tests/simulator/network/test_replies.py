"""Long replies: the same bytes as short ones, in pieces, with texts that are kept for a while."""

import itertools

import pytest

from recorder.simulator import jsonwire, xmlwire
from recorder.simulator.calls import Batch, Call, TableReply
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.jsonwire import Request, Version
from recorder.simulator.pieces import PIECE_BYTES, in_pieces
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import DateTime, Record
from recorder.simulator.xmlvalue import encode_record, encode_value
from tests.simulator.network.support import NOW_S

REQUEST = Request(Call("any", []), Version.TWO, 1)


@pytest.fixture
def pool() -> SimulatedPool:
    return SimulatedPool.build(PoolSpec(hosts=1, vms=2), now_s=lambda: NOW_S)


RECORDS: list[Record] = [
    {},
    {"a": "plain", "b": 5, "c": True, "d": 0.1, "e": DateTime("20250131T10:11:12Z")},
    {"a": 'needs <&>" escaping', "b": "control \x07 and\nline", "c": ["<", "x"], "d": {"k%": "&"}},
    {"100%": "%s", "b": [], "c": {}, "d": {"k": {"deep": [1, False]}}, "e": "\N{GRINNING FACE}"},
    {"a": 5, "b": "another type"},
    {"a": False, "b": float("inf")},
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_a_record_is_written_like_any_struct(record: Record) -> None:
    """The quick way for records gives what the plain way gives, for a layout old or new."""
    assert encode_record(record) == encode_value(dict(record)) == encode_record(record)


def test_every_record_of_a_pool_is_written_like_any_struct(pool: SimulatedPool) -> None:
    """So it is for the records that there are."""
    for cls in ("VM", "host", "pool", "task", "VIF", "SR"):
        for ref in pool.database.refs(cls):
            record = pool.database.record(cls, ref)
            assert encode_record(record) == encode_value(dict(record))


def test_a_changed_row_is_written_anew(pool: SimulatedPool) -> None:
    """The text that is kept of a row is never older than the row."""
    (ref, *_) = refs = pool.database.refs("VM")
    table = TableReply(pool.database, "VM", refs)
    before = xmlwire.encode_success(table)
    assert xmlwire.encode_success(table) == before
    pool.database.write("VM", ref, "name_description", "brand new")
    assert b"<value>brand new</value>" in xmlwire.encode_success(table)
    assert b'"brand new"' in jsonwire.encode_success(REQUEST, table)


def test_a_reply_shows_one_instant(pool: SimulatedPool) -> None:
    """A change while the pieces are written does not come into the reply."""
    (ref, *_) = refs = pool.database.refs("VM")
    table = TableReply(pool.database, "VM", refs * 300)
    whole = xmlwire.encode_success(table)
    pieces = xmlwire.success_pieces(table)
    first = next(pieces)
    pool.database.write("VM", ref, "name_description", "brand new")
    assert first + b"".join(pieces) == whole


def test_pieces_are_neither_tiny_nor_huge() -> None:
    """Each has about a mebibyte, and together they are the text."""
    items = [bytes([65 + number % 26]) * 1000 for number in range(3000)]
    pieces = list(in_pieces(b"[", items, b"]", between=b","))
    assert b"".join(pieces) == b"[%s]" % b",".join(items)
    assert all(PIECE_BYTES <= len(piece) <= PIECE_BYTES + 3000 for piece in pieces[:-1])
    assert len(pieces) == 3


def test_events_are_written_alike_in_a_batch_of_any_size(pool: SimulatedPool) -> None:
    """An empty batch is an array, too; a long one comes in pieces."""
    assert b"<array><data></data></array>" in xmlwire.encode_success(Batch([]))
    assert jsonwire.encode_success(REQUEST, Batch([])) == b'{"jsonrpc":"2.0","result":[],"id":1}'
    assert len(list(itertools.islice(xmlwire.success_pieces(Batch([])), 2))) == 1
