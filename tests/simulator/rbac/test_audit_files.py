"""What becomes of audit lines once they are written: files, syslog, and rules that fail it."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.auditfiles import FILE_BYTES_MAX, FILES_MAX, AuditFiles
from recorder.simulator.syslog import LINE_BYTES_MAX, Syslog
from tests.simulator.faults.support import MASTER, Stage, a_stage
from tests.simulator.rbac.support import a_bench

LINES = [
    f"Nov 23 17:13:34 host xapi: [20261123T17:13:34.{ms}Z|audit||{'x' * 100}"
    for ms in (250, 251, 252)
]


def _files(*lines: str) -> AuditFiles:
    files = AuditFiles()
    for line in lines:
        files.append(line)
    return files


def test_old_files_go_when_there_are_too_many() -> None:
    """Nothing is kept for ever: ten files of a megabyte, and the oldest goes first."""
    line = "[20261123T17:13:34.250Z|" + "x" * 100_000
    kept = _files(*(f"{line}{number}" for number in range(FILES_MAX * 12))).since("")
    assert len(kept) < FILES_MAX * 11
    assert kept[-1].endswith(f"x{FILES_MAX * 12 - 1}")
    assert sum(map(len, kept)) <= FILES_MAX * (FILE_BYTES_MAX + 200_000)


def test_a_rotation_changes_nothing_that_is_kept() -> None:
    """The older file is sent before the newer one, and what is no more kept is not sent at all."""
    files = _files(LINES[0])
    files.rotate()
    files.append(LINES[1])
    assert files.since("") == LINES[:2]
    files.rotate(files_max=2)
    files.append(LINES[2])
    assert files.since("") == LINES[1:]
    files.rotate(files_max=1)
    assert files.since("") == []


def test_half_a_line_is_a_line_until_the_rest_comes() -> None:
    """The server ends it as any other; the rest comes by itself or with the next line."""
    files = _files(*LINES[:2])
    files.tear(lost=False)
    half = LINES[1][: len(LINES[1]) // 2]
    assert files.since("") == [LINES[0], half]
    files.tear(lost=False)
    assert files.since("") == [LINES[0], half]
    files.mend()
    assert files.since("") == LINES[:2]
    files.tear(lost=False)
    files.append(LINES[2])
    assert files.since("") == LINES


def test_a_line_after_a_power_cut_goes_on_where_the_last_one_stopped() -> None:
    """What was not on disk never comes; two lines look like one."""
    files = _files(*LINES[:2])
    files.tear(lost=True)
    files.mend()
    files.append(LINES[2])
    assert files.since("") == [LINES[0], LINES[1][: len(LINES[1]) // 2] + LINES[2]]
    files.append(LINES[0])
    assert files.since("")[2:] == [LINES[0]]


def test_nothing_is_torn_in_an_empty_file() -> None:
    """Also not the last line of the file before it."""
    files = _files(LINES[0])
    files.rotate()
    files.tear(lost=True)
    files.append(LINES[1])
    assert files.since("") == LINES[:2]


@pytest.mark.parametrize("seed", range(3))
def test_late_lines_overtake_each_other(seed: int) -> None:
    """None is lost, none is later than allowed, and the same seed gives the same order."""

    def sent() -> list[tuple[str, str]]:
        syslog = Syslog(seed, late_s_max=0.004)
        for number in range(100):
            syslog.take(MASTER, str(number), now_s=number * 0.001)
        by_then = syslog.written(now_s=0.099)
        assert {line for _host, line in by_then} >= set(map(str, range(95)))
        return [*by_then, *syslog.written(now_s=0.103)]

    order = [int(line) for _host, line in sent()]
    assert order != sorted(order)
    assert sorted(order) == list(range(100))
    assert sent() == [(MASTER, str(number)) for number in order]


async def test_a_long_line_is_whole_unless_syslog_cuts_it(autojump_clock: MockClock) -> None:
    """xapi sends 20 kB in one datagram; a cut line ends without its parenthesis."""
    async with a_bench() as bench:
        vm, name = bench.vm("vm-003"), "B" * 20_000
        await bench.call("VM.clone", vm, name)
        assert bench.lines()[-1].endswith(f"('new_name' '{name}' '' '')))")
        bench.dispatcher.trail.syslog.line_bytes_max = LINE_BYTES_MAX
        await bench.call("VM.clone", vm, name)
        (*_others, whole, cut) = bench.dispatcher.trail.files("127.0.0.1").since("")
        assert (len(cut), len(whole) - len(cut)) == (LINE_BYTES_MAX, len(whole) - LINE_BYTES_MAX)
        assert cut.endswith("BBB")


async def test_the_files_outlive_xapi(autojump_clock: MockClock) -> None:
    """A restart ends sessions and tasks, not what was written."""
    async with a_bench() as bench:
        await bench.call("event.register", ["*"])
        before = bench.lines()
        bench.pool.restart_toolstack()
        assert bench.lines() == before != []


async def _say(stage: Stage, name: str) -> None:
    client = await stage.login()
    await client.do("pool.set_name_description", stage.pool.pool_ref, name)


def _kept(stage: Stage) -> list[str]:
    return [
        line
        for line in stage.front.trail.files(MASTER).since("")
        if "pool.set_name_description" in line
    ]


async def test_a_rule_makes_syslog_deaf_for_a_while(autojump_clock: MockClock) -> None:
    """Lines of that time never come; those before and after are whole."""
    rule = {"at_s": 10.0, "effect": "syslog", "deaf": True, "lasts_s": 20.0}
    async with a_stage(rule) as stage:
        for _ in range(4):
            await _say(stage, str(trio.current_time()))
            await trio.sleep(11)
        assert len(_kept(stage)) == 2


async def test_a_rule_lets_lines_come_late_and_cut(autojump_clock: MockClock) -> None:
    """For as long as it lasts."""
    rule = {"at_s": 10.0, "effect": "syslog", "bytes": 100, "late_s": 9.0, "lasts_s": 20.0}
    async with a_stage(rule) as stage:
        await trio.sleep(15)
        await _say(stage, "late")
        assert _kept(stage) == []
        await trio.sleep(20)
        assert [len(line) for line in stage.front.trail.files(MASTER).since("")] == [100]
        await _say(stage, "whole")
        assert _kept(stage)[-1].endswith("')))")


async def test_a_rule_rotates_and_one_tears(autojump_clock: MockClock) -> None:
    """The half line is whole again after its time; without a time it never is."""
    rotation = {"at_s": 10.0, "effect": "audit_rotation", "kept": 0}
    torn = {"at_s": 20.0, "effect": "half_line", "lasts_s": 5.0}
    lost = {"at_s": 30.0, "effect": "half_line"}
    async with a_stage(rotation, torn, lost) as stage:
        await _say(stage, "old")
        assert len(_kept(stage)) == 1
        await trio.sleep(15)
        assert stage.front.trail.files(MASTER).since("") == []
        await _say(stage, "new")
        (whole,) = _kept(stage)
        half = whole[: len(whole) // 2]
        for _ in range(4):
            await trio.sleep(4)
            assert stage.front.trail.files(MASTER).since("") in ([half], [whole])
        assert stage.front.trail.files(MASTER).since("") == [half]
