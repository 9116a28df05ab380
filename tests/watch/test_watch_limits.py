"""A server at its worst: the recorder neither spins, nor floods the journal, nor goes quiet."""

from itertools import count, pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import GapOpened, MarkName, Stream
from recorder.pools.watch import PROBE_SOON_S, PROBE_WAIT_MAX_S
from tests.watch.scripted import ScriptedPool, drop, fault, logged, stage

Clock = trio.testing.MockClock

MINUTE_S = 60.0
EPOCHS_A_MINUTE_MAX = 20
"""Backing off to 10 s leaves some 6 attempts a minute, and a few more at the beginning."""


def tick(pool: ScriptedPool, method: str) -> None:
    """Let a call take half a second: a loop without a pause shows as many calls, not as a hang."""
    inner = pool.host.methods[method]

    async def slow(*params: object) -> object:
        await trio.sleep(0.5)
        result = inner(*params)
        return await result if hasattr(result, "__await__") else result

    pool.host.methods[method] = slow


async def test_server_that_loses_events_for_ever_is_not_hammered(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """EVENTS_LOST at every call backs off like any other failure."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.host.methods["event.next"] = fault("EVENTS_LOST")
        tick(pool, "event.register")
        async with one.recording():
            await trio.sleep(MINUTE_S)
        assert len(one.bodies(GapOpened)) == 1
        assert pool.count("event.register") <= EPOCHS_A_MINUTE_MAX


async def test_server_that_skips_ids_for_ever_is_not_hammered(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A hole in every reply backs off like any other failure."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        ids = count(1000, 10)

        def skip(_session: str) -> object:
            told = {"id": str(next(ids)), "timestamp": "1.", "class": "vm", "operation": "mod"}
            return [told | {"ref": "OpaqueRef:vm", "snapshot": {}}]

        pool.host.methods["event.next"] = skip
        tick(pool, "event.register")
        async with one.recording():
            await trio.sleep(MINUTE_S)
        assert pool.count("event.register") <= EPOCHS_A_MINUTE_MAX


async def test_server_that_drops_every_event_call_is_not_hammered(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A login that succeeds is no success: the waits grow until events come."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        pool.host.methods["event.next"] = drop
        async with one.recording():
            await trio.sleep(MINUTE_S)
        assert pool.count("session.login_with_password") <= EPOCHS_A_MINUTE_MAX


async def test_server_that_answers_once_and_drops_is_not_hammered(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """One batch is no success either: it would mean a login and a baseline every 0.3 s."""
    async with stage(tmp_path) as one:
        pool = one.pools["lab"]
        calls = count()

        async def once(session: str) -> object:
            if next(calls) % 2:
                return drop()
            pool.emit()
            return await pool.answer_next(session)

        pool.host.methods["event.next"] = once
        async with one.recording():
            await trio.sleep(MINUTE_S)
        assert pool.count("session.login_with_password") <= EPOCHS_A_MINUTE_MAX


@pytest.mark.parametrize("stream", list(Stream))
async def test_server_that_refuses_the_event_calls_is_told(
    stream: Stream, tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool that lets us log in and not listen is not recorded: the operator must learn why."""
    caplog.set_level("INFO", logger="xentrail")
    async with stage(tmp_path, {"lab": ScriptedPool(), "fine": ScriptedPool()}) as one:
        one.stream = stream
        refusal = fault("MESSAGE_REMOVED")
        one.pools["lab"].host.methods["event.register"] = refusal
        one.pools["lab"].host.methods["event.inject"] = refusal
        async with one.recording():
            await trio.sleep(2 * MINUTE_S)
    (line,) = logged(caplog, "not-connected")
    assert "MESSAGE_REMOVED" in str(line.__dict__["fields"])


async def test_token_that_is_none_does_not_end_the_recorder(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """What a server sends may be wrong, and is then a failed attempt, not the end of all pools."""
    async with stage(tmp_path) as one:
        one.stream = Stream.FROM
        one.pools["lab"].host.methods["event.inject"] = lambda *_: "not a token"
        async with one.recording():
            await trio.sleep(10)


async def test_attempts_slow_down_to_the_longest_wait(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """An unreachable pool is looked for twice a second at first and every 10 s in the end."""
    times: list[float] = []
    async with stage(tmp_path) as one:
        dial = one.network.dial

        async def note(address: object) -> trio.abc.Stream:
            times.append(trio.current_time())
            return await dial(address)  # type: ignore[arg-type]

        one.network.dial = note  # type: ignore[method-assign]
        async with one.recording():
            await trio.sleep(5)
            one.cut("lab")
            times.clear()
            one.pools["lab"].trouble(drop)
            await trio.sleep(PROBE_SOON_S + 200)
    waits = [after - before for before, after in pairwise(times)]
    soon = waits[: int(PROBE_SOON_S)]
    assert max(soon) == pytest.approx(PROBE_WAIT_MAX_S)
    assert waits[-1] == pytest.approx(10.0)


async def test_refused_password_is_tried_once_a_minute(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Directories lock accounts: a refusal waits, is marked once, and is told once."""
    pools = {"lab": ScriptedPool(), "fine": ScriptedPool()}
    async with stage(tmp_path, pools) as one:
        refuse = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")
        pools["lab"].host.methods["session.login_with_password"] = refuse
        async with one.recording():
            await trio.sleep(10 * MINUTE_S - 1)
        assert pools["lab"].count("session.login_with_password") == 10
        (mark,) = one.marks(MarkName.REFUSED)
        assert mark.detail == {
            "error": "http://127.0.0.1:80 refuses user 'root' (no);"
            " check user and password of this pool"
        }
    assert len(logged(caplog, "not-connected")) == 1
