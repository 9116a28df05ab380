"""The short way around h11: taken for what xapi says, and never to another answer than h11's."""

from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.client.answer import HEAD_BYTES_MAX, usual_answer
from tests.wire.golden import CLIENT

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n"
    b"cache-control: no-cache, no-store\r\ncontent-type: application/json\r\n\r\n"
)
BY_H11 = {
    "another-status": HEAD.replace(b"200 OK", b"500 Internal Error"),
    "another-version": HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "lower-case-version": HEAD.replace(b"HTTP/1.1", b"http/1.1"),
    "close": HEAD.replace(b"keep-alive", b"close"),
    "chunked": HEAD.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n"),
    "two-lengths": HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: 6\r\n\r\n"),
    "listed-length": HEAD.replace(b": 5", b": 5, 5"),
    "signed-length": HEAD.replace(b": 5", b": +5"),
    "no-length": HEAD.replace(b"content-length: 5\r\n", b""),
    "folded": HEAD.replace(b"\r\nconnection", b"\r\n connection"),
    "bare-line-feed": HEAD.replace(b"OK\r\n", b"OK\n"),
    "unknown-header": HEAD.replace(b"\r\n\r\n", b"\r\nupgrade: h2c\r\n\r\n"),
    "space-before-colon": HEAD.replace(b"length:", b"length :"),
    "unfinished": HEAD[:-2],
    "long": HEAD.replace(b"json", b"j" * HEAD_BYTES_MAX),
    "nothing": b"",
}


@pytest.mark.parametrize("path", sorted(CLIENT.glob("calls/*.resp")), ids=lambda path: path.stem)
def test_the_head_of_every_good_answer_of_xapi_is_the_usual_one(path: Path) -> None:
    """What a real host says with status 200 goes the short way, and is cut where it should be.

    These were asked for with `connection: close`, as we never ask.
    """
    raw = path.read_bytes().replace(b"\r\nconnection: close", b"\r\nconnection: keep-alive")
    head, _, body = raw.partition(b"\r\n\r\n")
    is_good = raw.startswith(b"HTTP/1.1 200 ")
    assert usual_answer(raw) == ((len(head) + 4, len(body)) if is_good else None)


@pytest.mark.parametrize("head", BY_H11.values(), ids=BY_H11)
def test_any_other_head_is_left_to_h11(head: bytes) -> None:
    """What h11 refuses, or reads in another way, is not judged here."""
    assert usual_answer(head + b"hello") is None


@given(st.data())
def test_the_short_way_says_what_h11_says(data: st.DataObject) -> None:
    """Whatever a host changes in the usual head, who goes the short way reads the same body."""
    answer = bytearray(HEAD + b"hello")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(HEAD) - 1))
        piece = data.draw(
            st.sampled_from([b"", b"\r\n", b" ", b"5", b"date: x\r\n", b"\x00", b"Z"])
        )
        answer[at : at + data.draw(st.integers(0, 2))] = piece
    usual = usual_answer(bytes(answer))
    if usual is None:
        return
    start, size = usual
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(bytes(answer[:start]) + b"x" * size)
    events = [http.next_event() for _ in range(3 if size else 2)]
    assert [type(event) for event in events] == [
        h11.Response,
        *([h11.Data] if size else []),
        h11.EndOfMessage,
    ]
    assert getattr(events[0], "status_code", None) == 200
    assert len(getattr(events[1], "data", b"")) == size
    assert http.their_state is h11.DONE
