"""Requests recorded with a real xapi give the replies recorded with it, byte for byte.

Allowed differences: references (the sessions and objects of another pool) and the track id, which
is a digest of the session reference.
"""

import hashlib
from pathlib import Path

import pytest

from recorder.simulator.server import Served
from tests.simulator.network.support import GOLDEN, REF, exchange, recorded

PROBES = sorted((GOLDEN / "probes").glob("*.req"))
CALLS = sorted((GOLDEN / "calls").glob("*.req"))


def _track_id(ref: bytes) -> bytes:
    return b"trackid=" + hashlib.md5(ref, usedforsecurity=False).hexdigest().encode()


def _translate(text: bytes, names: dict[bytes, bytes]) -> bytes:
    for theirs, ours in names.items():
        text = text.replace(_track_id(theirs), _track_id(ours)).replace(theirs, ours)
    return text


def test_the_recordings_are_there() -> None:
    """The golden files are complete, so that no test below is skipped silently."""
    assert (len(PROBES), len(CALLS)) == (24, 34)


@pytest.mark.parametrize("path", PROBES, ids=lambda path: path.stem)
async def test_http_is_spoken_as_recorded(path: Path, served: Served) -> None:
    """Status line, header order, body and the end of the connection are those of xapi."""
    recording = recorded(path)
    reply, closed = await exchange(served.url, recording)
    assert REF.sub(b"REF", reply) == REF.sub(b"REF", recording.reply)
    assert closed == recording.closed


async def test_calls_are_answered_as_recorded(served: Served) -> None:
    """A whole dialogue in its order: each reply equals the recorded one, references renamed."""
    names: dict[bytes, bytes] = {}
    for path in CALLS:
        recording = recorded(path)
        sent = tuple(_translate(piece, names) for piece in recording.pieces)
        translated = type(recording)(recording.name, sent, recording.reply, recording.closed)
        reply, _closed = await exchange(served.url, translated)
        names |= dict(zip(REF.findall(recording.reply), REF.findall(reply), strict=False))
        assert reply == _translate(recording.reply, names), recording.name
