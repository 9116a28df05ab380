"""Marks of a run, read: what they claim, and which of them say nothing sensible."""

import json
from collections.abc import Mapping

from query.audit.claims import Claims, Mark, claims_in
from query.audit.finding import Finding, Rule
from query.audit.recorded import Recorded, TaskRecord, TaskSeen
from query.audit.tasks import entry_tells_the_end

STARTED: Mapping[str, object] = {
    "script": "a test",
    "text": 'name = "a test"\nsteps = [{kind = "start_async", vms = {names = ["*"]}}]',
    "seed": 1,
    "calls": 0,
    "plan": json.dumps(
        {
            "script": "a test",
            "pool": "lab",
            "seed": 1,
            "restore": False,
            "parts": [],
            "found": {},
            "hosts": {},
        }
    ),
}
INTENDED: Mapping[str, object] = {
    "part": 0,
    "kind": "start_async",
    "round": 0,
    "class": "VM",
    "ref": "OpaqueRef:1",
    "uuid": "u",
    "name": "web1",
    "method": "VM.start",
    "params": "[]",
}


def read(*marks: tuple[str, Mapping[str, object]]) -> Claims:
    """Read marks, of which the first entry has the number 1; a second passes between two."""
    told = [("run-started", STARTED), *marks]
    claims = claims_in(
        "lab",
        "r",
        [
            Mark(seq, seq * 1_000_000, name, json.dumps({"run": "r", **detail}))
            for seq, (name, detail) in enumerate(told, 1)
        ],
    )
    assert claims is not None
    return claims


def intended(step: int) -> tuple[str, Mapping[str, object]]:
    return "step-intended", {**INTENDED, "step": step}


def ended(step: int, outcome: str, **detail: object) -> tuple[str, Mapping[str, object]]:
    return "step-ended", {"step": step, "outcome": outcome, "duration_s": 1.0, **detail}


RESUMED = "run-resumed", {"step": 1}
RUN_ENDED = "run-ended", {"status": "completed", "held": True, "parts": "[]"}


def rules(claims: Claims) -> list[tuple[Rule, int | None, list[int]]]:
    return [(one.rule, one.step, one.seqs) for one in claims.flaws]


def test_claims_are_what_the_marks_say() -> None:
    """Intent, task and outcome of each call, in the order of the intents."""
    claims = read(
        intended(1),
        ("step-called", {"step": 1, "task": "OpaqueRef:t"}),
        ended(1, "success", task="OpaqueRef:t", record='{"result": "<value>OpaqueRef:2</value>"}'),
        intended(2),
        RUN_ENDED,
    )
    one, other = claims.steps
    assert (one.task, one.outcome, one.created_ref, one.seqs) == (
        *("OpaqueRef:t", "success", "OpaqueRef:2"),
        [2, 3, 4],
    )
    assert (other.outcome, other.task, other.seqs) == (None, None, [5])
    assert (claims.ended is not None, claims.flaws, claims.seqs) == (True, [], range(1, 7))


def test_marks_that_say_nothing_sensible_are_findings() -> None:
    """Twice the same, what was not intended, what cannot be read, and what comes after the end."""
    assert rules(read(intended(1), intended(1))) == [(Rule.MARKS, 1, [2, 3])]
    assert rules(read(ended(7, "success"))) == [(Rule.MARKS, 7, [2])]
    assert rules(read(("step-intended", {"step": "one"}))) == [(Rule.MARKS, None, [2])]
    assert rules(read(("step-intended", {**INTENDED, "step": 1, "params": "{}"}))) == [
        (Rule.MARKS, 1, [2])
    ]
    assert rules(read(RUN_ENDED, intended(1))) == [(Rule.MARKS, None, [2, 3])]
    assert claims_in("lab", "r", [Mark(1, 0, "run-started", '{"run": "r"}')]) is None


def test_outcome_is_told_anew_only_once_a_run_goes_on() -> None:
    """What was left open by a stop has another outcome then; before that it is a second one."""
    stopped = ended(1, "interrupted", stopped=True)
    again = read(intended(1), stopped, RUN_ENDED, RESUMED, ended(1, "success"))
    assert (again.flaws, again.steps[0].outcome, again.ended) == ([], "success", None)
    assert rules(read(intended(1), stopped, ended(1, "success"))) == [(Rule.MARKS, 1, [3, 4])]


def test_call_that_was_cancelled_by_a_stop_has_no_place_once_it_is_made_anew() -> None:
    """Another one stands in its place; one that was cancelled otherwise keeps it."""
    cancelled = ended(1, "cancelled")
    anew = read(intended(1), cancelled, RESUMED, intended(2))
    assert [step.number for step in anew.of_part(0)] == [2]
    assert [step.number for step in read(intended(1), cancelled).of_part(0)] == [1]


def test_state_of_an_object_may_tell_that_a_call_was_done() -> None:
    """Its task is gone then; it counts as done, and what it has made is said beside."""
    claims = read(intended(1), ended(1, "vanished", source="state", made="OpaqueRef:9"))
    (step,) = claims.steps
    assert step.ended is not None
    assert (step.is_done, step.succeeded, step.ended.has_failed) == (True, False, False)
    assert claims.made == {"OpaqueRef:9": step}
    (lost,) = read(intended(1), ended(1, "vanished")).steps
    assert lost.ended is not None
    assert (lost.is_done, lost.ended.has_failed) == (False, True)


def entry_findings(*, readings: list[range], end_seq: int) -> list[Finding]:
    """Check an outcome that names entry 20, of which the history has no row."""
    claims = read(intended(1), ended(1, "success", task="OpaqueRef:t", source="events", entry=20))
    end = TaskSeen(end_seq, 0, "OpaqueRef:t", "mod", "live", TaskRecord(status="success"))
    recorded = Recorded(tasks={"OpaqueRef:t": [end]}, readings=readings)
    return list(entry_tells_the_end(claims, recorded))


def test_baseline_that_repeats_the_end_of_a_task_is_an_entry_that_tells_it() -> None:
    """Only if the end was told before, and a baseline was read then."""
    assert entry_findings(readings=[range(15, 25)], end_seq=10) == []
    (none,) = entry_findings(readings=[range(21, 25)], end_seq=10)
    (later,) = entry_findings(readings=[range(15, 25)], end_seq=22)
    assert none.rule is later.rule is Rule.ENTRY
