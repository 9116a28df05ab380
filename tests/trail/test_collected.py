"""What a pool is asked, what becomes of the answers, and what is said where there is none."""

import json
from itertools import pairwise

import pytest
import trio

from recorder.config import Pool
from recorder.model import GapCause, GapOpened, Mark, MarkName, PoolTail
from recorder.pools.roster import Post, Roster
from recorder.pools.trail.rounds import TASK
from recorder.pools.watch import OpenSession
from recorder.simulator.faults import effects
from tests.trail.office import Day, played
from tests.truth.scene import Scene, Site

READING = "'HTTP' 'http/get_audit_log'"


def marks(one: Day, name: MarkName) -> list[Mark]:
    bodies = [entry.body for entry in one.entries]
    return [body for body in bodies if isinstance(body, Mark) and body.name is name]


def gaps(one: Day) -> list[GapOpened]:
    bodies = [entry.body for entry in one.entries if isinstance(entry.body, GapOpened)]
    return [body for body in bodies if body.cause is GapCause.AUDIT_TRAIL]


async def work(site: Site, count: int = 1) -> None:
    call = site.front.insider()
    for number in range(count):
        await call("VM.set_name_description", [site.pool.database.refs("VM")[0], f"named {number}"])


def test_idle_pool_is_asked_once_in_ten_seconds_and_answers_in_few_bytes() -> None:
    """One question, one line of the trail, no task, and nothing in the journal."""

    async def idle(_scene: Scene, site: Site) -> None:
        await trio.sleep(60)
        tasks.append(site.pool.database.refs("task"))
        seen.append(len(site.pool.truth.changes))
        await trio.sleep(600)
        tasks.append(site.pool.database.refs("task"))
        changed.extend(change.cls for change in site.pool.truth.changes[seen[0] :])

    tasks: list[list[str]] = []
    seen: list[int] = []
    changed: list[str] = []
    one = played(idle)
    asked_s = [at_s for at_s, text in one.written["127.0.1.1"] if READING in text and at_s > 60]
    assert 55 <= len(asked_s) <= 61
    assert min(after - before for before, after in pairwise(asked_s)) > 9
    assert tasks[0] == tasks[1]
    assert len(tasks[0]) == 1
    assert changed.count("task") <= len(asked_s)
    read = marks(one, MarkName.AUDIT_TRAIL_READ)
    assert len(read) == 3, "at the begin, once all were asked, and every ten minutes"
    assert 50 < sum(int(str(mark.detail["own"])) for mark in read) < 80
    assert sum(READING.encode() in line for _, line in one.lines) == 0
    assert gaps(one) == []


def test_busy_pool_is_asked_every_second() -> None:
    """Who asks for the last minute does not want to wait for it."""

    async def busy(_scene: Scene, site: Site) -> None:
        await trio.sleep(30)
        for _ in range(30):
            await work(site)
            await trio.sleep(1)

    one = played(busy)
    asked = [at_s for at_s, text in one.written["127.0.1.1"] if READING in text and 31 < at_s < 60]
    assert 20 <= len(asked) <= 32
    assert one.problems() == []


def test_first_answer_may_be_long() -> None:
    """What a host did before it was recorded is read as well, in pieces."""

    async def long(_scene: Scene, site: Site) -> None:
        await work(site, 3000)
        await trio.sleep(30)

    one = played(long)
    assert one.problems() == []
    assert sum(b"VM.set_name_description" in line for _, line in one.lines) == 3000


def test_syslog_that_is_deaf_is_a_gap_from_the_last_line_that_was_heard() -> None:
    """Nothing says so but that the questions themselves are not in the trail."""

    async def deaf(_scene: Scene, site: Site) -> None:
        await trio.sleep(60)
        site.front.faults.act(effects.Syslog(deaf=True, lasts_s=120.0))
        await work(site, 5)
        await trio.sleep(120)
        await work(site, 5)
        await trio.sleep(60)

    one = played(deaf)
    assert one.problems() == []
    assert sum(b"VM.set_name_description" in line for _, line in one.lines) == 5
    assert [
        since_ns <= one.at_ns(60) and until_ns >= one.at_ns(175) for since_ns, until_ns in one.gaps
    ][-1:] == [True]
    assert "its syslog may be" in gaps(one)[-1].detail


def test_clock_that_goes_back_loses_nothing_and_is_no_gap() -> None:
    """For an hour new lines hide behind old ones; all of them are asked for then."""

    async def back(_scene: Scene, site: Site) -> None:
        await trio.sleep(60)
        await work(site, 20)
        await trio.sleep(15)
        site.jump(-3600.0)
        for _ in range(10):
            await work(site, 2)
            await trio.sleep(15)
        await trio.sleep(60)

    one = played(back)
    assert one.problems() == []
    assert gaps(one) == []
    assert sum(b"VM.set_name_description" in line for _, line in one.lines) == 40


def test_refusal_is_said_once_and_the_pool_recorded_all_the_same() -> None:
    """Who did what stays unknown; what was done does not."""

    async def refused(_scene: Scene, site: Site) -> None:
        for step in range(1000):
            if step % 300 == 299:
                site.front.faults.act(effects.ExpireSessions())
            for session in map(site.front.sessions.get, site.front.sessions.refs()):
                if session is not None and not session.superuser:
                    session.permissions -= {"http/get_audit_log"}
            await trio.sleep(0.1)

    one = played(refused)
    assert len(marks(one, MarkName.REGISTERED)) > 2
    assert len(marks(one, MarkName.AUDIT_TRAIL_REFUSED)) == 1
    assert one.lines == {}
    assert gaps(one) == []


def test_mark_says_how_far_each_host_was_read() -> None:
    """So that whoever comes next goes on there."""

    async def still(_scene: Scene, _site: Site) -> None:
        await trio.sleep(700)

    one = played(still)
    hosts = json.loads(str(marks(one, MarkName.AUDIT_TRAIL_READ)[-1].detail["hosts"]))
    assert set(hosts) == {"127.0.1.1", "127.0.1.2"}
    newest = one.written["127.0.1.1"][-1][1]
    assert hosts["127.0.1.1"][0][:8] in newest


def test_one_task_is_made_for_all_questions() -> None:
    """Without it each would be five events."""

    async def still(_scene: Scene, site: Site) -> None:
        await trio.sleep(100)
        database = site.pool.database
        names.extend(
            str(database.field("task", ref, "name_label")) for ref in database.refs("task")
        )

    names: list[str] = []
    played(still)
    assert names == [TASK]


def test_status_tells_when_the_newest_line_was_written() -> None:
    """By the clock of the pool, which wrote it; our own questions do not count."""

    async def worked(scene: Scene, site: Site) -> None:
        await trio.sleep(60)
        await work(site)
        began_s.append(trio.current_time())
        await trio.sleep(50)
        line_ns.extend(post.watch.vitals.audit_line_at_ns for post in posts.values())

    began_s: list[float] = []
    line_ns: list[int | None] = []
    posts: dict[str, Post] = {}
    with pytest.MonkeyPatch.context() as patch:
        start = Roster.start

        def noting(self: Roster, pool: Pool, opener: OpenSession, tail: PoolTail) -> None:
            start(self, pool, opener, tail)
            posts.update(self._posts)

        patch.setattr(Roster, "start", noting)
        one = played(worked)
    assert line_ns == [one.at_ns(began_s[0])]
