"""Tales of runs, and lies about them: each a function that changes what is told."""

import json
from collections.abc import Callable
from functools import cache

from recorder.model import Event, Heartbeat, Mark, MarkName, Operation
from tests.audit.plays import Liar, Tale, played
from tests.workloads.theatre import script, step

ENDED, INTENDED, CALLED = MarkName.STEP_ENDED, MarkName.STEP_INTENDED, MarkName.STEP_CALLED
FAILS = {"effect": "task_failure", "code": "HOST_NOT_ENOUGH_FREE_MEMORY", "params": ["1", "2"]}
TWO = {"names": ["*"], "count": 2}
Lie = Callable[[Liar], None]


@cache
def cycle() -> Tale:
    """Two VMs, one after the other, through one round."""
    return played(script(step("powercycle", vms=TWO, concurrency=1)), vms=4)


@cache
def moves() -> Tale:
    """Running VMs swap their hosts."""
    return played(script(step("permute", iterations=2, concurrency=10)), vms=6)


@cache
def clones() -> Tale:
    """A halted VM is cloned."""
    halted = {"names": ["*"], "power_states": ["Halted"]}
    return played(script(step("clone", vms=halted)), vms=4)


@cache
def evacuation() -> Tale:
    """A host is emptied."""
    return played(script(step("evacuate", hosts=["host-1"])))


@cache
def failure() -> Tale:
    """A start fails, and more than may."""
    rule = {"match": "Async.VM.start", **FAILS, "count": 1}
    return played(script(step("powercycle", on_failure="continue")), rule, vms=3)


def call_of(liar: Liar, method: str, place: int = 0) -> dict[str, object]:
    """Return what is told of one call: the details of its marks, and their numbers."""
    intents = [(seq, d) for seq, d in liar.tale.marks(INTENDED) if d["method"] == method]
    seq, told = intents[place]
    marks = {"intended": seq}
    for name, key in ((CALLED, "called"), (ENDED, "ended")):
        for at, detail in liar.tale.marks(name):
            if detail["step"] == told["step"]:
                marks[key] = at
                told = {**detail, **told}
    return {**told, **marks}


def at(call: dict[str, object], key: str) -> int:
    found = call[key]
    assert isinstance(found, int)
    return found


def retell_end(liar: Liar, **counts: int) -> None:
    """Let the end of the run agree with what is told of its calls."""
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_ENDED)
    (report, *rest) = json.loads(str(detail["parts"]))
    outcomes = {**report["outcomes"], **counts}
    outcomes = {name: number for name, number in outcomes.items() if number}
    told = {**report, "outcomes": outcomes, "made": sum(outcomes.values())}
    liar.mark(seq, parts=json.dumps([told, *rest]), **counts)


# -- the lies: of what a call came to --------------------------------------------------------------


def failure_for_a_success(liar: Liar) -> None:
    liar.mark(at(call_of(liar, "VM.suspend"), "ended"), outcome="failure")


def success_for_a_failure(liar: Liar) -> None:
    ((seq, _),) = [(s, d) for s, d in liar.tale.marks(ENDED) if d["outcome"] == "failure"]
    liar.mark(seq, outcome="success", error=None)


def task_that_failed(liar: Liar) -> None:
    """The task itself is told to have failed, the outcome is left."""
    liar.event(at(call_of(liar, "VM.resume"), "entry"), status="failure", error_info=["X"])


def another_error(liar: Liar) -> None:
    ((seq, _),) = [(s, d) for s, d in liar.tale.marks(ENDED) if d["outcome"] == "failure"]
    liar.mark(seq, error='["HOST_OFFLINE"]')


def nobody_knows(liar: Liar) -> None:
    """What the record knows well is said to have vanished."""
    end = at(call_of(liar, "VM.start"), "ended")
    liar.mark(end, outcome="vanished", entry=None, source=None, record=None)


def entry_of_another(liar: Liar) -> None:
    other = call_of(liar, "VM.resume")
    liar.mark(at(call_of(liar, "VM.suspend"), "ended"), entry=at(other, "entry"))


def task_of_another(liar: Liar) -> None:
    call, other = call_of(liar, "VM.start"), call_of(liar, "VM.start", 1)
    task = str(other["task"])
    liar.mark(at(call, "called"), task=task)
    liar.mark(at(call, "ended"), task=task, entry=at(other, "entry"))


def task_before_the_intent(liar: Liar) -> None:
    """It was called before it was intended: the first event of its task moves to the front."""
    call = call_of(liar, "VM.suspend")
    seqs = [seq for seq, _ in liar.tale.events("task", str(call["task"]))]
    body = liar.body(seqs[0])
    liar.forget(seqs[0])
    liar.add(at(call, "intended") - 1, body)


def faster_than_it_was(liar: Liar) -> None:
    liar.mark(at(call_of(liar, "VM.suspend"), "ended"), duration_s=500.0)


# -- of what it did --------------------------------------------------------------------------------


def vm_elsewhere(liar: Liar) -> None:
    """The VM never left the host that it was on."""
    call = call_of(liar, "VM.pool_migrate")
    events = liar.tale.events("vm", str(call["ref"]))
    before = [record for seq, record in events if seq < at(call, "intended")]
    host = before[-1]["resident_on"] if before else _host_found(liar, str(call["ref"]))
    for seq, _ in events:
        if seq > at(call, "intended"):
            liar.event(seq, resident_on=host)


def _host_found(liar: Liar, ref: str) -> object:
    ((_, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    return json.loads(str(detail["plan"]))["found"][ref]["host"]


def power_state_never_reached(liar: Liar) -> None:
    call = call_of(liar, "VM.suspend")
    for seq, record in liar.tale.events("vm", str(call["ref"])):
        if record["power_state"] == "Suspended":
            liar.event(seq, power_state="Running")


def clone_that_does_not_exist(liar: Liar) -> None:
    """Task and outcome agree on it; but there never was such a VM."""
    call = call_of(liar, "VM.clone")
    result = "<value>OpaqueRef:00000000-nobody</value>"
    for seq, record in liar.tale.events("task", str(call["task"])):
        if record["result"]:
            liar.event(seq, result=result)
    record = json.loads(str(call["record"]))
    liar.mark(at(call, "ended"), record=json.dumps({**record, "result": result}))


def another_result(liar: Liar) -> None:
    call = call_of(liar, "VM.clone")
    record = {**json.loads(str(call["record"])), "result": f"<value>{call['ref']}</value>"}
    liar.mark(at(call, "ended"), record=json.dumps(record))


# -- of what was called ----------------------------------------------------------------------------


def host_never_disabled(liar: Liar) -> None:
    call = call_of(liar, "host.disable")
    for seq, record in liar.tale.events("host", str(call["ref"])):
        if not record["enabled"]:
            liar.event(seq, enabled=True)


def blamed_on_others(liar: Liar) -> None:
    """A failure is laid at the door of others, who did nothing."""
    ((seq, _),) = [(s, d) for s, d in liar.tale.marks(ENDED) if d["outcome"] == "failure"]
    liar.mark(seq, outcome="changed-by-others", why="the VM is Running, not Halted")


def step_removed(liar: Liar) -> None:
    """No mark tells of the last call any more, and the end of the run counts as many."""
    call = call_of(liar, "VM.clean_shutdown", -1)
    for key in ("intended", "called", "ended"):
        liar.forget(at(call, key))
    told = sum(detail["outcome"] == "success" for _, detail in liar.tale.marks(ENDED))
    retell_end(liar, success=told - 1)


def step_added(liar: Liar) -> None:
    """A call that no plan has, complete in itself."""
    call = call_of(liar, "VM.clean_shutdown", -1)
    number = len(liar.tale.marks(INTENDED)) + 1
    bodies = []
    for key in ("intended", "called", "ended"):
        body = liar.body(at(call, key))
        assert isinstance(body, Mark)
        bodies.append(Mark(body.name, {**body.detail, "step": number, "method": "VM.pause"}))
    liar.add(at(call, "ended"), *bodies)
    told = sum(detail["outcome"] == "success" for _, detail in liar.tale.marks(ENDED))
    retell_end(liar, success=told + 1)


def other_parameters(liar: Liar) -> None:
    liar.mark(at(call_of(liar, "VM.start"), "intended"), params="[true,true]")


def round_missing(liar: Liar) -> None:
    """Of the second round nothing is told; its calls have the last numbers."""
    number = 0
    for seq, detail in liar.tale.marks(INTENDED):
        if detail["round"] == 2:
            number += 1
            liar.forget(seq)
            for name in (CALLED, ENDED):
                for other, one in liar.tale.marks(name):
                    if one["step"] == detail["step"]:
                        liar.forget(other)
    ended = [d for _, d in liar.tale.marks(ENDED)]
    left = [d["outcome"] for seq, d in liar.tale.marks(ENDED) if liar.body(seq) != Heartbeat()]
    assert len(ended) == len(left) + number > number > 0
    retell_end(liar, success=left.count("success"), skipped=left.count("skipped"))


def order_changed(liar: Liar) -> None:
    """A VM is said to be resumed before it was suspended."""
    one, other = call_of(liar, "VM.suspend"), call_of(liar, "VM.resume")
    swap(liar, at(one, "intended"), at(other, "intended"))


def number_skipped(liar: Liar) -> None:
    """The last call has another number, as if there had been more before it."""
    call = call_of(liar, "VM.clean_shutdown", -1)
    for key in ("intended", "called", "ended"):
        liar.mark(at(call, key), step=99)


def swap(liar: Liar, one: int, other: int) -> None:
    bodies = liar.body(one), liar.body(other)
    liar.bodies[one], liar.bodies[other] = bodies[1], bodies[0]


def began_too_early(liar: Liar) -> None:
    """A VM is said to be resumed before its suspension had ended."""
    first = call_of(liar, "VM.suspend")
    ((seq, _),) = [
        (seq, one)
        for seq, one in liar.tale.marks(INTENDED)
        if (one["ref"], one["method"]) == (first["ref"], "VM.resume")
    ]
    swap(liar, at(first, "ended"), seq)


def round_too_early(liar: Liar) -> None:
    """A VM begins the second round before another has ended the first."""
    intents = {d["step"]: d for _, d in liar.tale.marks(INTENDED)}
    begin, begun = next((s, d) for s, d in liar.tale.marks(INTENDED) if d["round"] == 2)
    ends = [(s, intents[d["step"]]) for s, d in liar.tale.marks(ENDED) if s < begin]
    swap(liar, next(s for s, d in reversed(ends) if d["ref"] != begun["ref"]), begin)


def retell_script(liar: Liar, old: str, new: str, **keys: object) -> None:
    """Change the text of the script, and the plan with it."""
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    plan = json.loads(str(detail["plan"]))
    plan["parts"][0]["step"].update(keys)
    text = str(detail["text"]).replace(old, new)
    assert text != detail["text"]
    liar.mark(seq, text=text, plan=json.dumps(plan))


def more_at_a_time_than_allowed(liar: Liar) -> None:
    retell_script(liar, "concurrency = 10", "concurrency = 1", concurrency=1)


def went_on_after_a_failure(liar: Liar) -> None:
    """The script is said to have ended the run, which it did not."""
    retell_script(liar, '"continue"', '"stop"', on_failure="stop")


# -- of what others did, and what was missed -------------------------------------------------------


def foreign_change(liar: Liar) -> None:
    """Somebody gives a VM of the plan a tag, which no call does."""
    call = call_of(liar, "VM.suspend")
    last = [seq for seq, _ in liar.tale.events("vm", str(call["ref"])) if seq < at(call, "ended")]
    body = liar.body(last[-1])
    assert isinstance(body, Event)
    record = {**json.loads(body.snapshot or b""), "tags": ["mine"]}
    told = json.dumps(record).encode()
    liar.add(last[-1], Event(body.id, body.server_at_s, "vm", Operation.MOD, body.ref, told))


def gap_over_a_step(liar: Liar) -> None:
    liar.gap(at(call_of(liar, "VM.suspend"), "intended") + 1)


# -- of the run itself -----------------------------------------------------------------------------


def stopped_by_nothing(liar: Liar) -> None:
    ((seq, _),) = liar.tale.marks(MarkName.RUN_ENDED)
    liar.mark(seq, status="stopped", held=False)


def outcome_removed(liar: Liar) -> None:
    """The run ended, but of one of its calls nobody says how it did."""
    liar.forget(at(call_of(liar, "VM.clean_shutdown", -1), "ended"))


def held_though_it_did_not(liar: Liar) -> None:
    ((seq, _),) = liar.tale.marks(MarkName.RUN_ENDED)
    liar.mark(seq, held=True)


def nothing_was_broken(liar: Liar) -> None:
    """The report says so, too."""
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_ENDED)
    (report,) = json.loads(str(detail["parts"]))
    liar.mark(seq, held=True, parts=json.dumps([{**report, "broken": []}]))


def seed_changed(liar: Liar) -> None:
    ((seq, _),) = liar.tale.marks(MarkName.RUN_STARTED)
    liar.mark(seq, seed=99)


def script_changed(liar: Liar) -> None:
    """The text allows as many failures as there were."""
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    liar.mark(seq, text=str(detail["text"]).replace("powercycle", "clone"))


def plan_changed(liar: Liar) -> None:
    """The plan is about other hosts than the script gives."""
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    plan = json.loads(str(detail["plan"]))
    for lane in plan["parts"][0]["lanes"]:
        lane["hosts"] = lane["hosts"][::-1]
    liar.mark(seq, plan=json.dumps(plan))


def found_otherwise(liar: Liar) -> None:
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    plan = json.loads(str(detail["plan"]))
    for found in plan["found"].values():
        found["power_state"], found["host"] = "Paused", ""
    liar.mark(seq, plan=json.dumps(plan))
