"""A served dump answers as a real xapi does that was given the same dump.

The small dump is in tests/golden; whole recordings are compared where $XENTRAIL_POOL_DUMPS names a
folder with dumps (`NAME.xml`) and beside or below it what a server answered (`*NAME*/*.req`,
`*.resp`).
"""

import json
import os
import re
from functools import partial
from pathlib import Path

import pytest
import trio

from recorder.simulator.dump import read_dump
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.server import Sockets, serve
from tests.simulator.images import recorded
from tests.simulator.images.recorded import DUMPS, NOW_S

WHOLE = os.environ.get("XENTRAIL_POOL_DUMPS", "")
REF = re.compile(rb"OpaqueRef:[0-9a-f-]{36}")


@pytest.fixture(scope="module")
def pool() -> SimulatedPool:
    image = read_dump(DUMPS / "pool.xml").image
    return SimulatedPool.build(PoolSpec(image=image), now_s=lambda: NOW_S)


REPLIES = json.loads((DUMPS / "replies.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("cls", REPLIES)
def test_records_are_those_that_a_real_server_shows(pool: SimulatedPool, cls: str) -> None:
    """Objects, their order, their fields in order, and values, but for the list of differences."""
    ours = {ref: json.loads(pool.database.json(cls, ref)) for ref in pool.database.refs(cls)}
    assert recorded.records(cls, ours) == recorded.records(cls, REPLIES[cls])


async def test_first_listing_is_that_of_a_real_server(pool: SimulatedPool) -> None:
    """event.from with an empty token: events in order, counts and token.

    The recorded server counts the session that asked.
    """
    expected = json.loads((DUMPS / "event_from.json").read_text(encoding="utf-8"))
    reply = await pool.hub.from_("OpaqueRef:asker", ["*"], "", 1.0)
    listed = [[str(e.id), e.timestamp, e.cls, e.operation, e.ref] for e in reply.events]
    assert listed == expected["events"]
    assert reply.token == expected["token"]
    assert list((reply.valid_ref_counts | {"session": 1}).items()) == list(
        expected["valid_ref_counts"].items()
    )
    for cls, told in expected["only_here"].items():
        ours = {e.ref: json.loads(e.json)["snapshot"] for e in reply.events if e.cls == cls}
        assert recorded.records(cls, ours) == recorded.records(cls, told)


def test_every_allowed_difference_is_one(pool: SimulatedPool) -> None:
    """A field that no longer differs leaves the list."""
    differing = set()
    for cls, told in REPLIES.items():
        for ref, fields in told.items():
            ours = json.loads(pool.database.json(cls, ref))
            differing |= {(cls, name) for name in fields if ours[name] != fields[name]}
    for cls, field in recorded.differences():
        assert any(name == field and cls in ("*", of_cls) for of_cls, name in differing)


# -- whole recordings --------------------------------------------------------------------------


def _recordings() -> list[tuple[Path, Path]]:
    folders = [path for path in Path(WHOLE).rglob("*") if path.is_dir()] if WHOLE else []
    dumps = Path(WHOLE).rglob("*.xml") if WHOLE else ()
    return [
        (dump, folder)
        for dump in sorted(dumps)
        for folder in sorted(folders)
        if dump.stem in folder.name and any(folder.glob("*.req"))
    ]


async def _ask(url: str, request: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    reply = b""
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(request)
        async for data in stream:
            reply += data
    return reply


def _requests(folder: Path, *, but: Path) -> list[Path]:
    requests = [path for path in sorted(folder.glob("*.req")) if path != but]
    assert requests
    return requests


@pytest.mark.skipif(not WHOLE, reason="$XENTRAIL_POOL_DUMPS names no folder with recordings")
@pytest.mark.parametrize(("dump", "folder"), _recordings(), ids=lambda path: path.name)
async def test_whole_recordings_agree(nursery: trio.Nursery, dump: Path, folder: Path) -> None:
    """Every request that was recorded, in XML and JSON: every byte of the reply, or all but the
    fields in the list of differences."""
    login = folder / "xml-session.login_with_password.req"
    spec = PoolSpec(image=read_dump(dump).image, password="xenroot")
    (served,) = await nursery.start(partial(serve, [spec], Sockets(), now_s=lambda: NOW_S))
    (session,) = REF.findall(await _ask(served.url, login.read_bytes()))
    (theirs,) = REF.findall(login.with_suffix(".resp").read_bytes())
    for request in _requests(folder, but=login):
        reply = await _ask(served.url, request.read_bytes().replace(theirs, session))
        expected = request.with_suffix(".resp").read_bytes()
        method = request.stem.partition("-")[2]
        ours, real = recorded.comparable(method, reply), recorded.comparable(method, expected)
        assert ours == real, request.name


@pytest.mark.skipif(not WHOLE, reason="$XENTRAIL_POOL_DUMPS names no folder with dumps")
def test_every_dump_is_served_without_complaint() -> None:
    """Dumps of several product versions become pools."""
    dumps = sorted(Path(WHOLE).rglob("*.xml"))
    assert dumps
    for path in dumps:
        dumped = read_dump(path)
        assert dumped.left_out == {}
        pool = SimulatedPool.build(PoolSpec(image=dumped.image), now_s=lambda: NOW_S)
        assert pool.database.refs("VM")
