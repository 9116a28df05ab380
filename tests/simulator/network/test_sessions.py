"""Sessions: who gets in, how many, how long."""

import pytest
import trio

from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.sessions import (
    ANONYMOUS_MAX,
    PER_ORIGINATOR_MAX,
    PER_USER_MAX,
    Sessions,
)
from recorder.simulator.users import UserSpec
from recorder.simulator.values import Fault
from tests.simulator.network.support import PASSWORD


class Clock:
    now_s = 1_795_452_672.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def front(clock: Clock) -> Front:
    spec = PoolSpec(hosts=1, vms=1, speed=0.0, password=PASSWORD)
    return Front(SimulatedPool.build(spec, now_s=clock), now_s=clock)


def _login(sessions: Sessions, originator: str = "tests") -> str:
    return sessions.login("root", PASSWORD, originator=originator, trusted=False)


@pytest.mark.parametrize(("user", "password"), [("root", "no"), ("toor", PASSWORD), ("", "")])
def test_login_needs_user_and_password(front: Front, user: str, password: str) -> None:
    """Anything but the right pair is refused with the user's name."""
    with pytest.raises(Fault) as error:
        front.sessions.login(user, password, originator="", trusted=False)
    assert error.value.code == "SESSION_AUTHENTICATION_FAILED"
    assert error.value.params == (user, "Authentication failure")


def test_an_idle_session_ends_after_a_day(front: Front, clock: Clock) -> None:
    """A session in use stays; one without calls for 24 h is collected."""
    idle, busy = _login(front.sessions), _login(front.sessions)
    clock.now_s += 86_000.0
    front.sessions.check(busy)
    clock.now_s += 500.0
    front.sessions.collect()
    assert front.sessions.refs() == [busy]
    with pytest.raises(Fault, match=f"SESSION_INVALID {idle}"):
        front.sessions.check(idle)


def test_the_use_of_a_session_is_noted_every_ten_minutes(front: Front, clock: Clock) -> None:
    """last_active may be too old by 600 s, so a session may end that much earlier."""
    ref = _login(front.sessions)
    clock.now_s += 599.0
    front.sessions.check(ref)
    clock.now_s += 86_400.0 - 599.0 + 1.0
    front.sessions.collect()
    assert front.sessions.refs() == []


@pytest.mark.parametrize(
    ("originator", "count_max"), [("tests", PER_ORIGINATOR_MAX), ("", ANONYMOUS_MAX)]
)
def test_too_many_sessions_push_out_the_oldest(
    front: Front, clock: Clock, originator: str, count_max: int
) -> None:
    """Each originator has its number; the next collection ends those longest unused."""
    refs = []
    for _ in range(count_max + 2):
        refs.append(_login(front.sessions, originator))
        clock.now_s += 1.0
    other = _login(front.sessions, "other")
    front.sessions.collect()
    assert front.sessions.refs() == [*refs[2:], other]


def test_a_user_has_a_limit_whatever_the_originator(clock: Clock) -> None:
    """Users of the directory are counted by name, root by originator."""
    spec = PoolSpec(hosts=1, vms=1, users=(UserSpec("ann", "s", "read-only"),))
    front = Front(SimulatedPool.build(spec, now_s=clock), now_s=clock)
    refs = []
    for number in range(PER_USER_MAX + 2):
        originator = f"tests {number % 7}"
        refs.append(front.sessions.login("ann", "s", originator=originator, trusted=False))
        clock.now_s += 1.0
    front.sessions.collect()
    assert front.sessions.refs() == refs[2:]


def test_a_session_whose_task_goes_on_stays(front: Front, clock: Clock) -> None:
    """However long it is idle, it ends only after its tasks."""
    ref = _login(front.sessions)
    task = front.pool.tasks.begin("long")
    front.sessions.own(task, ref)
    clock.now_s += 100_000.0
    front.sessions.collect()
    assert front.sessions.refs() == [ref]
    front.pool.tasks.succeed(task, "")
    front.sessions.collect()
    assert front.sessions.refs() == []


def test_live_sessions_are_counted_for_event_from(front: Front) -> None:
    """valid_ref_counts holds the number of sessions."""
    ref = _login(front.sessions)
    _login(front.sessions)
    front.sessions.expire(ref)
    front.sessions.expire(ref)
    assert front.pool.database.row_counts()["session"] == 1


def test_sessions_of_another_run_are_unknown(front: Front, clock: Clock) -> None:
    """The same pool started again gives other references, although it is otherwise the same."""
    before = _login(front.sessions)
    clock.now_s += 1.0
    again = Front(front.pool, now_s=clock)
    assert _login(again.sessions) != before


async def test_sessions_are_collected_while_the_pool_runs(
    front: Front, clock: Clock, autojump_clock: trio.testing.MockClock
) -> None:
    """The garbage collection passes every 30 s."""
    _login(front.sessions)
    clock.now_s += 90_000.0
    async with trio.open_nursery() as nursery:
        await nursery.start(front.run)
        await trio.sleep(31)
        assert front.sessions.refs() == []
        nursery.cancel_scope.cancel()
