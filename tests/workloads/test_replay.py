"""A run once more: on a pool that is as it was, on one that is not, and on a simulated one."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from msgspec.structs import replace

from query.load.loader import refresh
from query.questions.replay import compared, pool_at_start, recorded_run
from query.questions.runs import run_called, runs
from recorder.control.running import RunReport
from recorder.errors import WorkloadError
from recorder.model import MarkName
from recorder.past.rehearsal import Rehearsed, rehearse
from recorder.simulator.image import PoolImage
from recorder.workloads.plan import Lane, Plan
from recorder.workloads.recorded import RecordedRun, plan_in
from tests.workloads.theatre import Theatre, Told, script, step, theatre

Clock = trio.testing.MockClock
Change = Callable[[Theatre], Awaitable[None]]

FAILS = {"effect": "task_failure", "code": "SR_BACKEND_FAILURE_46", "params": ["a", "b"]}
ONE_BY_ONE = {"on_failure": "continue", "concurrency": 2}
BREATHES = {"call": "tests.workloads.breathing:breathe", "args": {"times": 2}}


@dataclass(frozen=True)
class Life:
    """A run in life, and what is known of it afterwards."""

    report: RunReport
    run: RecordedRun
    image: PoolImage

    def again(self, **changes: object) -> Rehearsed:
        return rehearse(self.run, replace(self.image, **changes))


async def _nothing(_play: Theatre) -> None:
    pass


def lived(
    data: Path,
    text: str,
    *rules: Mapping[str, object],
    before: Change = _nothing,
    vms: int = 6,
    seed: int = 1,
) -> Life:
    """Run a workload on a pool in which these things go wrong, and look it up in the history."""

    async def live() -> RunReport:
        async with theatre(data, vms=vms, seed=seed) as play:
            await before(play)
            play.rules(*rules)
            told = await play.run(text)
            await trio.sleep(60)  # Until events tell that nothing was missed.
            return told.over

    report = trio.run(live, clock=Clock(autojump_threshold=0))
    with refresh(data).open() as history:
        run = recorded_run(history, run_called(history, report.run))
        past = pool_at_start(history, run)
    assert past.caveats == ()
    return Life(report, run, past.image)


def ends(run: RecordedRun) -> list[tuple[str, str, str | None, tuple[str, ...]]]:
    """Return of each call by object and method how it ended."""
    return sorted((one.name, one.method, one.outcome, one.error[:1]) for one in run.steps)


@pytest.mark.parametrize(
    ("keys", "rules", "injected"),
    [
        ({"kind": "powercycle"}, [], 0),
        ({"kind": "permute", "iterations": 3, "order": "shuffle"}, [], 0),
        ({"kind": "clone"}, [], 0),
        ({"kind": "start_async"}, [], 0),
        ({"kind": "evacuate", "hosts": ["host-2"]}, [], 0),
        (
            {"kind": "custom", **BREATHES, "vms": {"names": ["*"], "power_states": ["Running"]}},
            [],
            0,
        ),
        (
            {"kind": "powercycle", **ONE_BY_ONE},
            [{"match": "Async.VM.suspend", "count": 2, "skip": 1, **FAILS}],
            2,
        ),
        ({"kind": "powercycle"}, [{"match": "Async.VM.resume", "count": 1, "skip": 2, **FAILS}], 1),
        pytest.param(
            {"kind": "permute"},
            [{"match": "Async.VM.pool_migrate", "count": 1, **FAILS}],
            1,
            marks=pytest.mark.soak,
        ),
        pytest.param(
            {"kind": "clone", **ONE_BY_ONE},
            [{"match": "Async.VM.clone", "count": 1, **FAILS}],
            1,
            marks=pytest.mark.soak,
        ),
        (
            {"kind": "start_async"},
            [{"match": "Async.VM.start", "effect": "fault", "code": "VM_REQUIRES_SR"}],
            2,
        ),
        pytest.param(
            {"kind": "evacuate", "hosts": ["host-2"]},
            [{"match": "Async.host.evacuate", **FAILS}],
            1,
            marks=pytest.mark.soak,
        ),
        (
            {"kind": "powercycle", **ONE_BY_ONE},
            [{"match": "Async.VM.start", "count": 1, "effect": "task_vanish", "lasts_s": 1}],
            1,
        ),
        (
            {"kind": "powercycle", **ONE_BY_ONE, "timeouts": {"start": 20}},
            [{"match": "Async.VM.start", "count": 1, "effect": "pace", "factor": 30}],
            1,
        ),
        (
            {"kind": "powercycle", **ONE_BY_ONE},
            [{"match": "Async.VM.start", "count": 1, "effect": "pace", "agent": False}],
            1,
        ),
        (
            {"kind": "powercycle", **ONE_BY_ONE},
            [{"match": "Async.VM.start", "skip": 1, "count": 1, **FAILS, "code": "TASK_CANCELLED"}],
            1,
        ),
        (
            {"kind": "powercycle", "on_failure": "roll-back"},
            [{"match": "Async.VM.resume", "count": 1, **FAILS}],
            1,
        ),
    ],
)
def test_run_of_each_kind_goes_as_in_life_on_a_simulated_pool(
    tmp_path: Path, keys: dict[str, object], rules: list[dict[str, object]], injected: int
) -> None:
    """Every call ends as it did; what a fault did is done again, call by call, and said."""
    life = lived(tmp_path, script(step(**keys)), *rules)  # type: ignore[arg-type]  # a kind, and keys
    again = life.again()
    told = compared(life.run, again.run, injected=again.injected)
    assert [row for row in told.rows if not row.same] == []
    assert told.same
    assert ends(again.run) == ends(life.run)
    assert (again.run.status, again.run.held) == (life.report.status, life.report.held)
    assert len(again.injected) == injected
    assert len(told.rows) >= 2
    assert [row.after_s for row in told.rows] == pytest.approx(
        [row.before_s for row in told.rows], abs=0.001
    )


def timeline(run: RecordedRun) -> list[tuple[str, str, float]]:
    """Return of each call by object and method when its task was known, from the first one on."""
    times = [one.called_ns or 0 for one in run.steps]
    return sorted(
        (one.name, one.method, round((at - min(times)) / 1e9, 2))
        for one, at in zip(run.steps, times, strict=True)
    )


def test_everything_happens_when_it_did_in_life(tmp_path: Path) -> None:
    """Operations last as long, and agents take as long to report, guest by guest."""
    rules = [
        {"match": "Async.VM.start", "count": 1, "effect": "pace", "factor": 7.5, "agent_s": 41},
        {"match": "Async.VM.start", "count": 1, "effect": "pace", "factor": 0.25, "agent_s": 0.5},
        {"match": "Async.VM.suspend", "effect": "pace", "factor": 1.7},
    ]
    life = lived(tmp_path, script(step("powercycle", concurrency=3)), *rules)
    again = life.again()
    assert timeline(again.run) == timeline(life.run)
    assert again.injected == {}


def limit_memory(play: Theatre, free_mib: int) -> None:
    """Let all hosts have little room for more VMs."""
    database = play.pool.database
    for host in database.refs("host"):
        metrics = str(database.field("host", host, "metrics"))
        free = play.pool.toolstack.free_memory_bytes(host) - free_mib * 1024**2
        total = database.field("host_metrics", metrics, "memory_total")
        assert isinstance(total, int)
        database.write("host_metrics", metrics, "memory_total", total - free)


async def little_memory(play: Theatre) -> None:
    limit_memory(play, 100)


async def mute(play: Theatre) -> None:
    """Let the guests of running VMs have told of nothing that they can do."""
    database = play.pool.database
    for ref in play.vms().values():
        guest = str(database.field("VM", ref, "guest_metrics"))
        if database.exists("VM_guest_metrics", guest):
            database.write("VM_guest_metrics", guest, "other", {})
        play.pool.toolstack.update_allowed(ref)


@pytest.mark.parametrize(
    ("keys", "change", "error"),
    [
        ({"kind": "start_async"}, little_memory, "NO_HOSTS_AVAILABLE"),
        ({"kind": "powercycle", "timeouts": {"wait": 20}}, mute, ""),
    ],
)
def test_failure_that_the_recorded_state_explains_comes_by_itself(
    tmp_path: Path, keys: dict[str, object], change: Change, error: str
) -> None:
    """A pool without memory, or with guests without agents, fails again; nothing is injected."""
    life = lived(tmp_path, script(step(**keys, on_failure="continue")), before=change)  # type: ignore[arg-type]  # a kind, and keys
    again = life.again()
    failed = [one for one in again.run.steps if one.outcome == "failure"]
    assert failed
    assert {"".join(one.error[:1]) for one in failed} == {error}
    assert compared(life.run, again.run).same
    assert again.injected == {}


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3))]
)
def test_calls_are_made_in_the_order_they_had(tmp_path: Path, seed: int) -> None:
    """Where there is room for some VMs only, those get it that had it; nothing is injected."""

    async def some_room(play: Theatre) -> None:
        limit_memory(play, 0)
        halted = [r for r in play.vms().values() if play.field(r, "power_state") == "Halted"]
        sizes = [int(str(play.field(ref, "memory_static_max"))) for ref in halted]
        limit_memory(play, (max(sizes) >> 20) + 128)

    text = script(step("start_async", on_failure="continue", concurrency=10))
    life = lived(tmp_path, text, before=some_room, vms=24, seed=seed)
    assert {one.outcome for one in life.run.steps} == {"success", "failure"}
    again = life.again()
    assert ends(again.run) == ends(life.run)
    assert again.injected == {}


def test_simulated_pool_that_is_another_gives_other_outcomes(tmp_path: Path) -> None:
    """A VM that is gone, and one that runs already, are told as different."""
    life = lived(tmp_path, script(step("start_async", on_failure="continue")))
    first, second = [one.ref for one in life.run.steps]
    vms = {ref: row for ref, row in life.image.tables["VM"].items() if ref != first}
    again = life.again(tables={**life.image.tables, "VM": vms})
    told = compared(life.run, again.run)
    assert {row.ref: (row.after, row.same) for row in told.rows} == {
        first: ("changed-by-others", False),
        second: ("success", True),
    }
    assert not told.same


async def replayed(play: Theatre, first: Told) -> Told:
    """Repeat a run on the pool itself, as the command has it done."""
    (mark,) = [m for m in play.marks(MarkName.RUN_STARTED) if m["run"] == first.over.run]
    return await play.run(str(mark["text"]), replay={"run": mark["run"], "plan": mark["plan"]})


async def test_same_plan_is_carried_out_and_the_new_run_says_whose_it_is(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It is not planned anew: a newcomer is not touched. Six rounds end where they began."""
    async with theatre(tmp_path) as play:
        first = await play.run(script(step("permute", iterations=6), seed=5))
        halted = next(n for n, r in play.vms().items() if play.field(r, "power_state") == "Halted")
        await play.do("VM.clone", halted, "a newcomer")
        again = await replayed(play, first)
        one, other = play.marks(MarkName.RUN_STARTED)
    assert sorted(again.ended()) == sorted(first.ended())
    assert (other["plan"], other["text"], other["seed"]) == (one["plan"], one["text"], 5)
    assert (one["replay_of"], other["replay_of"]) == (None, first.over.run)
    with refresh(tmp_path).open() as history:
        assert [row.replay_of for row in runs(history)] == [None, first.over.run]


async def test_changed_pool_gives_other_outcomes(tmp_path: Path, autojump_clock: Clock) -> None:
    """A VM that is gone, one that must not be touched any more, and hosts without memory."""
    async with theatre(tmp_path, vms=12) as play:
        vms = {"names": ["*"], "power_states": ["Halted"]}
        first = await play.run(script(step("start_async", vms=vms, on_failure="continue")))
        gone, never, poor = [name for name, _, _ in first.ended()][:3]
        for name, _, _ in first.ended():
            await play.do("VM.hard_shutdown", name)
        play.pool.database.write("VM", play.vm(never), "tags", ["xentrail:never"])
        await play.do("VM.destroy", gone)
        limit_memory(play, 100)
        again = await replayed(play, first)
    with refresh(tmp_path).open() as history:
        one, other = [recorded_run(history, row) for row in runs(history)]
    told = {row.name: (row.after, row.after_why.split(" ")[0]) for row in compared(one, other).rows}
    assert told[gone] == ("changed-by-others", "the")
    assert told[never] == ("skipped", "it")
    assert told[poor] == ("failure", "NO_HOSTS_AVAILABLE")
    assert not compared(one, other).same
    assert again.over.status == "completed"


async def test_plan_may_be_of_a_big_pool(tmp_path: Path, autojump_clock: Clock) -> None:
    """It is a request of megabytes then, which has room on the control socket."""
    async with theatre(tmp_path) as play:
        text = script(step("start_async"))
        first = await play.run(text)
        (mark,) = play.marks(MarkName.RUN_STARTED)
        plan = plan_in(str(mark["plan"]))
        one = next(iter(plan.found.values()))
        strangers = [msgspec.structs.replace(one, ref=f"OpaqueRef:{n}") for n in range(20_000)]
        many = {**plan.found, **{found.ref: found for found in strangers}}
        big = msgspec.structs.replace(plan, found=many).json()
        assert len(big) > 2_000_000
        again = await play.run(text, replay={"run": first.over.run, "plan": big})
    assert again.over.parts[0].made == first.over.parts[0].made


async def test_plan_that_is_none_is_refused(tmp_path: Path, autojump_clock: Clock) -> None:
    """Before anything is done: a plan may name only what it has found."""
    async with theatre(tmp_path) as play:
        text = script(step("start_async"))
        name, (told,) = await play.refusal(text, replay={"run": "x", "plan": "{}"}, origin="run x")
        assert name == "workload-refused"
        assert told.startswith("run x: the plan of the run cannot be read: ")
        assert play.marks() == []


def test_plan_names_only_what_it_found() -> None:
    """A lane of a stranger is told by its reference."""
    plan = Plan("a", "lab", 1, False, (), {}, {})
    assert plan_in(plan.json()) == plan
    text = script(step("start_async"))
    assert "OpaqueRef:x" not in text
    part = {
        "index": 0,
        "step": {"kind": "start_async"},
        "cls": "VM",
        "lanes": [Lane("OpaqueRef:x", ())],
    }
    wrong = msgspec.json.encode({**msgspec.to_builtins(plan), "parts": [part]}).decode()
    with pytest.raises(WorkloadError, match="the plan of the run names OpaqueRef:x, which was not"):
        plan_in(wrong)
