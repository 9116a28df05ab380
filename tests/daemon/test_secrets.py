"""Session references and passwords appear in no journal, log line or error message."""

import logging
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.config import Pool
from recorder.errors import XentrailError
from recorder.service.daemon import Seams, serve
from recorder.service.process import first_of
from recorder.simulator.front import Front
from recorder.threads import inline
from tests.truth.world import World, now_ns, world


async def collect_sessions(front: Front, seen: set[str]) -> None:
    """Note every session that is ever open."""
    while True:
        seen.update(front.sessions.refs())
        await trio.sleep(0.05)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return all that was logged, fields included."""
    return str([vars(record) for record in caplog.records])


def written(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())


async def test_session_references_and_passwords_are_nowhere(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through expired sessions, cut connections and a stop, no bearer token is written anywhere."""
    caplog.set_level(logging.DEBUG)
    seen: set[str] = set()
    async with world(1, tmp_path) as one:
        pool = await one.add_pool("lab")
        front = one.fronts["lab"]
        one.nursery.start_soon(collect_sessions, front, seen)
        async with one.recording():
            for disturb in [front.sessions.expire_all, front.drop_connections] * 3:
                await trio.sleep(60)
                disturb()
            await trio.sleep(60)
    assert len(seen) >= 6
    out, err = capfd.readouterr()
    said = written(tmp_path) + (logged(caplog) + out + err).encode()
    assert len(said) > 100_000
    assert b"OpaqueRef:" in said
    for secret in [*seen, pool.spec.password]:
        assert secret.encode() not in said


async def failure_of(one: World, password: str) -> str:
    """Return what a recorder says when it cannot start."""
    seams = Seams(now_ns=now_ns, dial=one.dial, run_sync=inline, password=lambda _pool: password)
    with pytest.RaisesGroup(XentrailError, flatten_subgroups=True) as refused:
        await serve(one.config(), one.data, seams=seams)
    return f"{first_of(refused.value)} {first_of(refused.value)!r}"


async def test_refused_password_is_not_repeated(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The message about a wrong password does not show it, and neither do journal and log."""
    caplog.set_level(logging.DEBUG)
    async with world(1, tmp_path) as one:
        await one.add_pool("lab")
        text = await failure_of(one, "sesame-open-thyself")
    assert "refuses user 'root'" in text
    assert "sesame" not in text + logged(caplog)
    assert b"sesame" not in written(tmp_path)


def test_configuration_shows_no_password() -> None:
    """A pool of the configuration knows where its password is, never what it is."""
    assert "password" not in str(Pool(name="lab", addresses=())).replace("password_", "")
