"""Honest runs: what they claim is found to be so, whatever went wrong in them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from query.audit.finding import Level, Rule
from query.audit.judge import Verdict
from recorder.model import MarkName
from tests.audit.plays import Liar, audited, played
from tests.workloads.theatre import Theatre, script, step

ONE = {"names": ["*"], "count": 1}
SCRIPTS = Path(__file__).parents[2] / "config" / "workloads"
RUNS = {
    **{file.stem: file.read_text(encoding="utf-8") for file in sorted(SCRIPTS.glob("*.toml"))},
    "reboots": script(
        *(step("powercycle", variant=one, vms=ONE) for one in ("clean-reboot", "hard-reboot"))
    ),
    "pause": script(step("powercycle", variant="pause"), restore=True),
    "shuffle": script(step("permute", order="shuffle", iterations=3, concurrency=10)),
    "two-clones": script(step("clone", iterations=2)),
    "later-hosts": script(step("powercycle"), step("start_async"), step("permute", iterations=2)),
}
Rules = Mapping[str, object]
FAILS: Rules = {
    "effect": "task_failure",
    "code": "HOST_NOT_ENOUGH_FREE_MEMORY",
    "params": ["1", "2"],
}
TROUBLES: dict[str, tuple[str, list[Rules]]] = {
    "failure": (script(step("powercycle")), [{"match": "Async.VM.start", **FAILS, "count": 1}]),
    "roll-back": (
        script(step("powercycle", on_failure="roll-back")),
        [{"match": "Async.VM.suspend", **FAILS, "count": 1, "skip": 1}],
    ),
    "going-on": (
        script(step("powercycle", on_failure="continue", iterations=2)),
        [{"match": "Async.VM.*", **FAILS, "probability": 0.2}],
    ),
    "evacuation": (
        script(step("evacuate", hosts=["host-1"])),
        [{"match": "Async.host.evacuate", **FAILS}],
    ),
    "no-clone": (
        script(step("clone", on_failure="continue")),
        [{"match": "Async.VM.clone", **FAILS, "count": 1}],
    ),
    "too-slow": (script(step("permute", timeouts={"pool_migrate": 3})), []),
    "refusal": (
        script(step("start_async", on_failure="continue")),
        [{"match": "Async.VM.start", "effect": "fault", "code": "LICENCE_RESTRICTION", "count": 1}],
    ),
}


@pytest.mark.parametrize("kind", RUNS)
def test_run_without_trouble_is_proven(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call; and nothing changed that does not follow from it."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    told = audited(Liar(played(RUNS[kind])))
    assert (told.verdict, told.findings) == (Verdict.PROVEN, [])
    assert {row.verdict for row in told.steps} == {Verdict.PROVEN}
    assert all(row.seqs for row in told.steps)
    assert [change for change in told.changes if change.chain is None] == []
    assert {change.cls for change in told.changes} >= {"task"}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_run_with_failures_is_proven_if_it_tells_of_them(trouble: str) -> None:
    """A failure is as good as a success, where it is one."""
    text, rules = TROUBLES[trouble]
    told = audited(Liar(played(text, *rules, vms=6)))
    assert (told.verdict, told.findings) == (Verdict.PROVEN, [])
    assert any(row.outcome not in {"success", "skipped"} for row in told.steps)


def test_call_whose_interval_touches_a_gap_is_unproven_and_the_others_are_not() -> None:
    """Where the recorder was blind nobody can say that nothing else happened."""
    rule = {"match": "event.next", "effect": "reset", "count": 1, "skip": 20}
    told = audited(Liar(played(script(step("powercycle", concurrency=1)), rule)))
    assert told.verdict is Verdict.NOT_PROVABLE
    assert {one.rule for one in told.findings} == {Rule.GAP}
    assert {row.verdict for row in told.steps} == {Verdict.PROVEN, Verdict.NOT_PROVABLE}


def test_vm_that_others_halted_is_laid_at_their_door_with_reason() -> None:
    """The run says so itself, and the record bears it out."""
    done: list[str] = []

    def halt(play: Theatre) -> None:
        ref = play.vm("vm-001")
        if not done and play.field(ref, "power_state") == "Suspended":
            done.append(ref)
            play.pool.database.write("VM", ref, "power_state", "Halted")

    text = script(step("powercycle", on_failure="continue", concurrency=1))
    told = audited(Liar(played(text, among=halt)))
    assert done
    assert (told.verdict, told.findings) == (Verdict.PROVEN, [])
    assert "changed-by-others" in {row.outcome for row in told.steps}


def test_run_that_died_is_told_as_far_as_it_got() -> None:
    """What has an outcome is proven; of the rest the record is told, and nothing is made up."""
    tale = played(script(step("powercycle")))
    ends = tale.marks(MarkName.STEP_ENDED)
    last, claim = ends[-1]
    liar = Liar(tale)
    for entry in tale.entries[last - 1 :]:
        liar.forget(entry.seq)
    told = audited(liar)
    assert told.verdict is Verdict.NOT_PROVABLE
    assert {(one.rule, one.level) for one in told.findings} == {(Rule.END, Level.UNPROVEN)}
    (row,) = [row for row in told.steps if row.outcome is None]
    assert (row.step, row.verdict) == (claim["step"], Verdict.NOT_PROVABLE)
    (why,) = [one.text for one in told.findings if one.step == row.step]
    assert why == f"its outcome was not recorded; its task ended with success (@{claim['entry']})"
