"""The kinds of steps against a simulated pool: what is done, in which order, and how it ends."""

from collections import defaultdict
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.model import MarkName
from recorder.workloads.inventory import NEVER
from recorder.workloads.scripts import Expect, Kind, Script, Select, Step, Timeouts, script_in
from tests.workloads.theatre import Theatre, Told, script, step, theatre

Clock = trio.testing.MockClock
ROUND = ["start", "suspend", "resume", "clean_shutdown"]


def by_vm(told: Told) -> dict[str, list[str]]:
    """Return the methods of each VM in the order in which they ended."""
    found = defaultdict(list)
    for name, method, _ in told.ended():
        found[name].append(method)
    return found


async def bring(play: Theatre, name: str, method: str) -> None:
    """Start a VM if it is halted, and pause or suspend it."""
    if play.field(play.vm(name), "power_state") == "Halted":
        await play.do("VM.start", name, False, False)
        await trio.sleep(10)
    await play.do(method, name)


async def test_powercycle_takes_vms_from_any_power_state_through_their_rounds(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The order of the sample: to Halted first, then start, suspend, resume, clean shutdown."""
    async with theatre(tmp_path, vms=4) as play:
        await bring(play, "vm-001", "VM.pause")
        await bring(play, "vm-002", "VM.suspend")
        before = {name: str(play.field(ref, "power_state")) for name, ref in play.vms().items()}
        assert set(before.values()) == {"Running", "Paused", "Suspended", "Halted"}
        told = await play.run(script(step("powercycle", iterations=2)))
        states = {play.field(ref, "power_state") for ref in play.vms().values()}
    openings = {
        "Halted": [],
        "Running": ["clean_shutdown"],
        "Paused": ["unpause", "clean_shutdown"],
        "Suspended": ["resume", "clean_shutdown"],
    }
    assert by_vm(told) == {name: openings[state] + ROUND * 2 for name, state in before.items()}
    assert states == {"Halted"}
    assert told.over.held


@pytest.mark.parametrize(
    ("variant", "middle"),
    [
        ("clean-reboot", ["clean_reboot"]),
        ("hard-reboot", ["hard_reboot"]),
        ("pause", ["pause", "unpause"]),
    ],
)
async def test_powercycle_variants(
    tmp_path: Path, autojump_clock: Clock, variant: str, middle: list[str]
) -> None:
    """Between start and clean shutdown VMs reboot or pause instead."""
    async with theatre(tmp_path, vms=1) as play:
        told = await play.run(script(step("powercycle", variant=variant)))
    (done,) = by_vm(told).values()
    assert done[-len(middle) - 2 :] == ["start", *middle, "clean_shutdown"]
    assert told.over.held


async def test_permute_moves_running_vms_to_each_others_hosts(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Rotated hosts, round by round, live, all at the same time; who stays is skipped and told."""
    async with theatre(tmp_path, vms=6) as play:
        running = {
            name: str(play.field(ref, "resident_on"))
            for name, ref in sorted(play.vms().items())
            if play.field(ref, "power_state") == "Running"
        }
        told = await play.run(script(step("permute", iterations=3, concurrency=10)))
        now = {name: play.field(play.vm(name), "resident_on") for name in running}
        intended = play.marks(MarkName.STEP_INTENDED)
        skipped = [mark for mark in play.marks(MarkName.STEP_ENDED) if mark["why"]]
    hosts = list(running.values())
    stays = 0
    for _ in range(3):
        rotated = [hosts[-1], *hosts[:-1]]
        stays += sum(one == other for one, other in zip(hosts, rotated, strict=True))
        hosts = rotated
    assert list(now.values()) == hosts
    assert stays > 0, "this pool has to have a VM that would move to itself"
    assert told.over.parts[0].outcomes == {"success": 3 * len(hosts) - stays, "skipped": stays}
    assert len(skipped) == stays
    assert all(str(mark["why"]).endswith("already") for mark in skipped)
    live = [mark["params"] for mark in intended if '"live":"true"' in str(mark["params"])]
    assert len(live) == 3 * len(hosts) - stays


async def test_rounds_of_a_permute_do_not_overlap(tmp_path: Path, autojump_clock: Clock) -> None:
    """A round begins when the last VM of the one before it has arrived."""
    async with theatre(tmp_path, vms=6) as play:
        await play.run(script(step("permute", order="shuffle", iterations=3, concurrency=10)))
        marks = play.marks()
    rounds = {m["step"]: m["round"] for m in marks if m["mark"] == "step-intended"}
    assert set(rounds.values()) == {1, 2, 3}
    order = [rounds[m["step"]] for m in marks if m["mark"] in {"step-called", "step-ended"}]
    assert order == sorted(order)  # type: ignore[type-var]  # numbers, in a detail


async def test_clone_shuts_down_clones_and_starts_both(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A VM that runs is halted for it and runs again afterwards, as its clone does; others not."""
    async with theatre(tmp_path) as play:
        before = {name: play.field(ref, "power_state") for name, ref in play.vms().items()}
        told = await play.run(script(step("clone")))
        now = {name: play.field(ref, "power_state") for name, ref in play.vms().items()}
    assert now == before | {f"clone of {name}": state for name, state in before.items()}
    for name, state in before.items():
        done = [method for vm, method, _ in told.ended() if vm == name]
        runs = ["clean_shutdown", "clone", "start"]
        assert done == (runs if state == "Running" else ["clone"])
    assert told.over.held


async def test_start_async_starts_what_is_halted_and_nothing_else(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Also with a count: then so many, by the seed."""
    async with theatre(tmp_path, vms=8) as play:
        halted = {n for n, ref in play.vms().items() if play.field(ref, "power_state") == "Halted"}
        chosen = {"names": ["*"], "power_states": ["Halted"], "count": 1}
        first = await play.run(script(step("start_async", vms=chosen)))
        rest = await play.run(script(step("start_async")))
        states = {play.field(ref, "power_state") for ref in play.vms().values()}
    assert len(first.ended()) == 1
    assert set(by_vm(first)) | set(by_vm(rest)) == halted
    assert states == {"Running"}


async def test_evacuate_empties_a_host_and_enables_it_again(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Disable, evacuate, enable, one host after the other."""
    async with theatre(tmp_path, vms=4) as play:
        told = await play.run(script(step("evacuate", hosts=["host-1"])))
        (host,) = play.pool.database.find("host", "name_label", "host-1")
        left = [ref for ref in play.vms().values() if play.field(ref, "resident_on") == host]
        enabled = play.pool.database.record("host", host)["enabled"]
    assert by_vm(told) == {"host-1": ["disable", "evacuate", "enable"]}
    assert (left, enabled, told.over.held) == ([], True, True)


async def test_host_with_a_protected_vm_is_not_evacuated(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """XAPI would move all VMs of the host; so the host is left as it is, and that is said."""
    async with theatre(tmp_path, vms=4) as play:
        ref = next(r for r in play.vms().values() if play.field(r, "power_state") == "Running")
        play.pool.database.write("VM", ref, "tags", [NEVER])
        name = play.hosts()[str(play.field(ref, "resident_on"))]
        told = await play.run(script(step("evacuate", hosts=[name])))
        (ended,) = play.marks(MarkName.STEP_ENDED)
    assert told.ended() == [(name, "evacuate", "skipped")]
    assert "it has the tag xentrail:never" in str(ended["why"])


async def test_host_is_enabled_again_when_its_vms_cannot_leave_it(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A failure ends the run, but not before the host is back."""
    async with theatre(tmp_path, vms=4) as play:
        fault = {"effect": "task_failure", "code": "HOST_NOT_ENOUGH_FREE_MEMORY"}
        play.rules({"match": "Async.host.evacuate", **fault})
        told = await play.run(script(step("evacuate", hosts=["host-1"]), step("permute")))
    assert [end[1:] for end in told.ended()] == [
        ("disable", "success"),
        ("evacuate", "failure"),
        ("enable", "success"),
    ]
    assert (told.over.status, told.over.held) == ("stopped", False)


CUSTOM = "tests.workloads.breathing:"


async def test_custom_function_makes_its_calls_by_the_same_rules(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """All of them are in the journal."""
    async with theatre(tmp_path) as play:
        running = {"names": ["*"], "power_states": ["Running"]}
        own = {"call": CUSTOM + "breathe", "args": {"times": 2}}
        told = await play.run(script(step("custom", vms=running, **own)))
        intended = play.marks(MarkName.STEP_INTENDED)
    for done in by_vm(told).values():
        assert done == ["pause", "unpause"] * 2
    assert len(intended) == len(told.ended()) > 0
    assert told.over.held


async def test_mistake_of_a_custom_function_ends_its_run_and_not_the_recorder(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """It may not touch what was not chosen, and whatever it raises is told."""
    async with theatre(tmp_path) as play:
        one, other, *_ = sorted(play.vms())
        own = {"vms": {"names": [one]}, "args": {"ref": play.vm(other)}}
        for function, error in {
            "stray": "is not among the objects of this step",
            "stumble": "KeyError(1)",
        }.items():
            later = step("powercycle", vms={"names": [other]})
            told = await play.run(script(step("custom", call=CUSTOM + function, **own), later))
            assert (told.over.status, told.over.held, told.ended()) == ("failed", False, [])
            assert error in told.over.error
        told = await play.run(script(step("custom", call=CUSTOM + "give_up", **own)))
        assert (told.over.status, told.over.held) == ("stopped", False)


SCRIPTS = Path(__file__).parents[2] / "config" / "workloads"
EXAMPLES = sorted(SCRIPTS.glob("*.toml"))
TEXTS = {example.stem: example.read_text(encoding="utf-8") for example in EXAMPLES}


def test_there_is_an_example_of_every_kind() -> None:
    """Each is in a file of its own name."""
    assert [example.stem for example in EXAMPLES] == sorted(kind.value for kind in Kind)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
async def test_example_runs_and_what_it_expects_holds(
    tmp_path: Path, autojump_clock: Clock, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What config/workloads shows can be tried on any pool."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    text = TEXTS[example.stem]
    async with theatre(tmp_path, vms=5) as play:
        told = await play.run(text)
    assert told.over.held, told.over
    assert all(part.made >= part.planned for part in told.over.parts)


def test_annotated_example_explains_every_key() -> None:
    """All keys are in one of the examples; those with a default are shown with it."""
    texts = "".join(TEXTS.values())
    for struct in (Script, Step, Select, Expect, Timeouts):
        assert [name for name in struct.__struct_fields__ if name not in texts] == []
    (step,) = script_in(TEXTS["powercycle"], "x").steps
    assert (step.timeouts, step.concurrency, step.pause_s) == (Timeouts(), 4, 0.0)
