"""Workloads that a recorder runs by itself: when, and what is written where it does not."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from recorder.config import Config, Reading
from recorder.errors import TransportError
from recorder.model import MarkName
from recorder.timetable import Schedule
from tests.cli.programs import pool_table, write_config, xentrail
from tests.cli.questions import Program
from tests.daemon.clients import ask, pool_status, refusal
from tests.truth.world import World, now_ns, world
from tests.workloads.theatre import CarelessDisk, Theatre, script, step, theatre

Clock = trio.testing.MockClock
HOUR_S = 3600.0
SKIPPED, MISSED = MarkName.SCHEDULE_SKIPPED, MarkName.SCHEDULE_MISSED
ROUNDS = script(step("permute", iterations=3), name="rounds")
LONG = script(step("powercycle", iterations=40, concurrency=1), name="long")
"""More than half an hour. Virtual time begins at 14:13:20."""


def schedule(folder: Path, text: str = ROUNDS, **keys: object) -> Schedule:
    """Write a script and return a schedule that runs it on `lab` at each full hour."""
    told = {"name": "hourly", "cron": "0 * * * *", "pools": ("lab",), **keys}
    file = folder / f"{told['name']}.toml"
    file.write_text(text, encoding="utf-8")
    return msgspec.convert({**told, "script": file}, Schedule)


def started(play: Theatre) -> list[tuple[object, object]]:
    return [(mark["script"], mark["who"]) for mark in play.marks(MarkName.RUN_STARTED)]


def times(play: Theatre) -> list[str]:
    """Return when runs began, on the minute."""
    rows = [mark["run"] for mark in play.marks(MarkName.RUN_STARTED)]
    return [str(run)[9:13] for run in rows]


async def test_runs_when_it_is_due_and_says_who_asked(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Each time once, with the seed of the schedule; the run is one like any other."""
    hourly = schedule(tmp_path, seed=9)
    async with theatre(tmp_path, schedules=[hourly]) as play:
        await trio.sleep(3 * HOUR_S)
        marks = play.marks(MarkName.RUN_STARTED)
        assert times(play) == ["1500", "1600", "1700"]
        assert {(mark["who"], mark["seed"], mark["script"]) for mark in marks} == {
            ("schedule hourly", 9, "rounds")
        }
        assert [mark["status"] for mark in play.marks(MarkName.RUN_ENDED)] == ["completed"] * 3
        assert play.marks(SKIPPED, MISSED) == []


async def test_schedule_at_rest_runs_nothing(tmp_path: Path, autojump_clock: Clock) -> None:
    """Neither is it missed."""
    async with theatre(tmp_path, schedules=[schedule(tmp_path, enabled=False)]) as play:
        await trio.sleep(3 * HOUR_S)
        assert play.marks(MarkName.RUN_STARTED, SKIPPED, MISSED) == []


async def test_run_that_finds_another_under_way_is_skipped(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Whoever began the other; of two that are due at once the second one, too."""
    both = [schedule(tmp_path, LONG), schedule(tmp_path, name="other")]
    async with theatre(tmp_path, schedules=both) as play:
        await trio.sleep(HOUR_S)
        (mark,) = play.marks(SKIPPED)
        assert len(started(play)) == 1
        loser = {"schedule hourly": "other", "schedule other": "hourly"}[str(started(play)[0][1])]
        winner = {"hourly": "rounds", "other": "long"}[loser]
        assert (mark["schedule"], mark["due"]) == (loser, "2026-09-21T15:00:00Z")
        assert mark["why"] == f"{winner} runs on pool lab already; wait for its end"


async def test_pool_that_is_not_recorded_or_does_not_fit_is_skipped(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """With the reason that a person would get."""
    nobody = {"vms": {"names": ["nobody"]}}
    hourly = schedule(tmp_path, script(step("clone", **nobody), name="none"))
    async with theatre(tmp_path, schedules=[hourly]) as play:
        await trio.sleep(HOUR_S)
        (mark,) = play.marks(SKIPPED)
        assert mark["why"] == f"{hourly.script}: steps[0].vms: no VM of pool lab fits"
        play.rules({"at_s": play.front.faults.now_s() + 60, "effect": "silence"})
        await trio.sleep(HOUR_S)
        later = play.marks(SKIPPED)[-1]
    assert str(later["why"]).startswith("pool lab is not recorded just now, so nothing is run on")


async def record(stage: World, hours: float, schedules: Sequence[Schedule]) -> None:
    stage.schedules = schedules
    async with stage.recording(disk=CarelessDisk()):
        await trio.sleep(hours * HOUR_S)


async def test_time_at_which_no_recorder_ran_is_missed_and_not_made_up_for(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """One mark tells how many there were; what is due next is run as ever."""
    hourly = schedule(tmp_path)
    async with world(1, tmp_path) as stage:
        await stage.add_pool("lab", vms=3, per_minute=0)
        await record(stage, 0.5, [hourly])  # until 14:43
        await trio.sleep(5 * HOUR_S)  # until 19:43
        await record(stage, 0.1, [hourly])
        play = Theatre(stage, tmp_path, lambda: None)
        (mark,) = play.marks(MISSED)
        assert times(play) == []
        assert (mark["first_due"], mark["last_due"], mark["count"], mark["why"]) == (
            *("2026-09-21T15:00:00Z", "2026-09-21T19:00:00Z", 5),
            "no recorder ran",
        )
        await record(stage, 0.5, [hourly])
        assert times(play) == ["2000"]
        assert len(play.marks(MISSED)) == 1


async def test_time_that_is_noticed_too_late_is_missed(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A machine that slept over it does not begin at once when it wakes up."""
    async with theatre(tmp_path, schedules=[schedule(tmp_path)]) as play:
        await trio.sleep(10)
        autojump_clock.jump(1.5 * HOUR_S)
        await trio.sleep(10)
        (mark,) = play.marks(MISSED)
        assert times(play) == []
        assert mark["first_due"] == mark["last_due"] == "2026-09-21T15:00:00Z"
        assert str(mark["why"]).startswith("it was noticed too late")
        await trio.sleep(HOUR_S)
        assert times(play) == ["1600"]


async def test_hour_that_the_clock_has_twice_is_run_once(
    tmp_path: Path, autojump_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sets the clock of the machine back: what was run is not run again."""
    back_s = 0.0
    monkeypatch.setattr("tests.truth.world.now_ns", lambda: now_ns() - int(back_s * 1e9))
    async with theatre(tmp_path, schedules=[schedule(tmp_path)]) as play:
        await trio.sleep(HOUR_S)
        back_s = HOUR_S
        await trio.sleep(2 * HOUR_S)
        assert times(play) == ["1500", "1600"]
        assert play.marks(SKIPPED, MISSED) == []


async def test_reload_adds_changes_and_removes_schedules(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Those that stay do not notice; a changed script is taken over; a mistake changes nothing."""
    kept, gone = schedule(tmp_path), schedule(tmp_path, name="gone", cron="30 * * * *")
    config: list[Config] = []
    async with theatre(
        tmp_path, schedules=[kept, gone], reread=lambda: Reading(config[-1])
    ) as play:
        await trio.sleep(10)
        base = play.stage.config()
        broken = schedule(tmp_path, "name = 3", name="broken")
        config.append(msgspec.structs.replace(base, schedules=(kept, broken)))
        name, texts = await refusal(tmp_path, {"command": "reload"})
        assert (name, texts) == (
            "config-refused",
            [
                f"schedule broken: script: {broken.script}: name: Expected `str`, got `int`",
                f"schedule broken: script: {broken.script}: steps: is missing",
            ],
        )
        new = schedule(tmp_path, name="new", cron="45 * * * *")
        schedule(tmp_path, script(step("permute"), name="changed"))
        config.append(msgspec.structs.replace(base, schedules=(kept, new)))
        told = (await ask(tmp_path, {"command": "reload"}))["reload"]
        assert isinstance(told, dict)
        assert told["schedules"] == [
            {"schedule": "hourly", "action": "changed"},
            {"schedule": "new", "action": "added"},
            {"schedule": "gone", "action": "removed"},
        ]
        await trio.sleep(HOUR_S)
        assert started(play) == [("rounds", "schedule new"), ("changed", "schedule hourly")]
        assert times(play) == ["1445", "1500"]


async def test_status_tells_what_runs_and_what_comes_next(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Of each pool: the run, how far it is, since when; and the next schedule."""
    hourly = schedule(tmp_path, LONG)
    async with theatre(tmp_path, schedules=[hourly]) as play:
        await trio.sleep(10)
        before = await pool_status(tmp_path)
        await trio.sleep(HOUR_S)
        during = await pool_status(tmp_path)
        (mark,) = play.marks(MarkName.RUN_STARTED)
        made = len(play.marks(MarkName.STEP_INTENDED))
    assert before["run"] is None
    assert before["schedule"] == {
        "schedule": "hourly",
        "script": "long",
        "at": "2026-09-21T15:00:00Z",
        "in_s": 2790.0,
    }
    assert during["run"] == {
        "run": mark["run"],
        "script": "long",
        "who": "schedule hourly",
        "step": made,
        "steps": mark["calls"],
        "since": "2026-09-21T15:00:00Z",
        "age_s": 810.0,
    }
    assert 0 < made < int(str(mark["calls"]))


def test_start_with_a_broken_script_is_refused(tmp_path: Path) -> None:
    """In one line with the file, before anything is recorded."""
    table = pool_table("http://127.0.0.1:1")
    config = write_config(tmp_path, table)
    text = f'[[schedules]]\nname = "x"\ncron = "0 3 * * *"\nscript = "{tmp_path}/no.toml"\n'
    config.write_text(f'{config.read_text()}\n{text}pools = ["lab"]\n', encoding="utf-8")
    done = xentrail("record", "--config", str(config))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"xentrail: schedule x: script: {tmp_path}/no.toml: cannot be read: No such file or"
        " directory"
    )
    assert not (tmp_path / "data").exists()


def test_command_lists_schedules_without_a_recorder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next times in the zone of each; a mistake is told as at a start."""
    monkeypatch.setattr("recorder.clock.wall_ns", lambda: 1_790_000_000 * 10**9)
    run = Program(tmp_path / "data", capsys, monkeypatch)
    hourly = schedule(tmp_path)
    config = write_config(tmp_path, pool_table("http://127.0.0.1:1"))
    tables = (
        f'[[schedules]]\nname = "night"\ncron = "30 3 * * *"\nscript = "{hourly.script}"\n'
        'pools = ["lab"]\ntime_zone = "Europe/Berlin"\nseed = 5\n'
        f'[[schedules]]\nname = "rest"\ncron = "@"\nscript = "{hourly.script}"\n'
        'pools = ["lab"]\nenabled = false\n'
    )
    text = config.read_text(encoding="utf-8")
    assert run("workload", "schedules", "--config", str(config)).out == (
        f"{config} has no [[schedules]]\n"
    )
    config.write_text(text + tables, encoding="utf-8")
    refused = run("workload", "schedules", "--config", str(config))
    assert refused.code == 2
    assert refused.err.startswith(f"xentrail: {config}: schedules[1].cron: write 5 fields, ")
    config.write_text(text + tables.replace("@", "0 1 * * *"), encoding="utf-8")
    nights = [f"2026-09-{day}T03:30:00+02:00" for day in (22, 23, 24)]
    assert run("workload", "schedules", "--config", str(config)).out.splitlines() == [
        f"night: rounds ({hourly.script}), seed 5, on lab",
        f"   30 3 * * * (Europe/Berlin): {', '.join(nights)}",
        f"rest: rounds ({hourly.script}), seed 1, on lab",
        "   0 1 * * * (UTC): not enabled",
    ]
    told = json.loads(run("workload", "schedules", "--config", str(config), "--format", "json").out)
    assert [(one["schedule"], len(one["next"]), one["seed"]) for one in told] == [
        ("night", 3, 5),
        ("rest", 0, 1),
    ]


async def test_recorder_that_is_there_for_another_workload_begins_none(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Nobody asked it to; the time that passed is in the journal all the same."""
    async with world(1, tmp_path) as stage:
        await stage.add_pool("lab", vms=3, per_minute=0)
        stage.schedules = [schedule(tmp_path)]
        async with stage.recording(disk=CarelessDisk(), begins_due=False):
            await trio.sleep(HOUR_S)
        play = Theatre(stage, tmp_path, lambda: None)
        (mark,) = play.marks(SKIPPED)
    assert started(play) == []
    assert mark["why"] == "the recorder runs only for as long as a workload does"


def test_command_that_records_while_its_workload_runs_knows_the_schedules_of_its_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of other pools are none of its business: their times are not passed over unseen."""
    told: list[Config] = []

    def recording(config: Config, _data: Path) -> None:
        told.append(config)
        raise TransportError("that is all")

    monkeypatch.setattr("recorder.service.alone.recording", recording)
    hourly = schedule(tmp_path)
    table = pool_table("http://127.0.0.1:1")
    config = write_config(tmp_path, table, table.replace("lab", "prod"))
    schedules = [
        f'[[schedules]]\nname = "{name}"\ncron = "0 3 * * *"\nscript = "{hourly.script}"\n'
        f"pools = {json.dumps(pools)}\n"
        for name, pools in {"both": ["prod", "lab"], "other": ["prod"]}.items()
    ]
    config.write_text("\n".join([config.read_text(encoding="utf-8"), *schedules]), encoding="utf-8")
    run = Program(tmp_path / "data", capsys, monkeypatch)
    words = ("workload", "run", str(hourly.script), "--pool", "lab", "--config", str(config))
    assert run(*words).code == 10
    assert [(one.name, one.pools) for one in told[0].schedules] == [("both", ("lab",))]
