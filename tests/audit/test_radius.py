"""What changed while a run was on, besides what it planned: what followed, and what did not."""

import json

import pytest

from query.audit.judge import Audit, Verdict
from query.audit.radius import Change
from recorder.model import BaselineRecord, Event, MarkName, Operation
from recorder.pools.trail.rounds import TASK
from tests.audit.lies import cycle
from tests.audit.plays import Liar, audited, played
from tests.workloads.theatre import script, step


def by_class(told: Audit) -> dict[str, set[str | None]]:
    """Return the chains of the changes by class, without the numbers of calls."""
    found: dict[str, set[str | None]] = {}
    for change in told.changes:
        is_call = change.chain is not None and " call " in change.chain
        words = change.chain.rstrip("0123456789 ") if is_call and change.chain else change.chain
        found.setdefault(change.cls, set()).add(words)
    return found


@pytest.fixture(scope="module")
def cloned() -> Audit:
    running = {"names": ["*"], "power_states": ["Running"], "count": 1}
    return audited(Liar(played(script(step("clone", vms=running)))))


def test_what_follows_from_a_run_is_told_with_its_chain(cloned: Audit) -> None:
    """Its tasks and those below them, devices of its VMs and clones, and messages about them."""
    chains = by_class(cloned)
    assert None not in set().union(*chains.values())
    assert "is the task of call" in chains["task"]
    of_devices = {f"belongs to {name}" for name in _names(cloned)} | {"carried the task of call"}
    assert chains["vbd"] | chains["vif"] <= of_devices
    assert all(str(chain).startswith("is about ") for chain in chains["message"])
    assert "vm" not in chains, "what was planned, and what it made, is no change besides"


def _names(told: Audit) -> set[str]:
    names = {row.name for row in told.steps}
    return names | {f"clone of {name}" for name in names}


def test_strangers_come_first_with_their_fields_and_do_not_touch_the_verdict() -> None:
    """Somebody else's VM gets a tag, a network comes, and a task of nobody's runs; the recorder's
    own, by which it reads the audit trail, is none."""
    liar = Liar(cycle())
    planned = {str(detail["ref"]) for _, detail in liar.tale.marks(MarkName.STEP_INTENDED)}
    ((begun, _),) = liar.tale.marks(MarkName.RUN_STARTED)
    records = [one.body for one in liar.tale.entries if isinstance(one.body, BaselineRecord)]
    others = [one for one in records if one.cls == "vm" and one.ref not in planned]
    record = json.loads(others[0].snapshot)
    events = [
        _event("vm", others[0].ref, Operation.MOD, {**record, "tags": ["mine"]}),
        _event("network", "OpaqueRef:n", Operation.ADD, {"uuid": "n", "name_label": "storage"}),
        _event("task", "OpaqueRef:t", Operation.ADD, {"uuid": "t", "name_label": "Async.VM.copy"}),
        _event("task", "OpaqueRef:o", Operation.ADD, {"uuid": "o", "name_label": TASK}),
    ]
    last = liar.tale.marks(MarkName.STEP_ENDED)[-1][0]
    liar.add(last, *events)
    told = audited(liar)
    strangers = told.changes[:3]
    assert told.verdict is Verdict.PROVEN, told.why
    assert [one.cls for one in strangers] == ["vm", "network", "task"]
    assert {one.chain for one in strangers} == {None}
    assert (strangers[0].name, strangers[0].fields) == (record["name_label"], ["tags"])
    assert all(begun < one.first_seq <= one.last_seq for one in strangers)
    assert _rest(told, strangers) == [one for one in told.changes if one.chain is not None]


def _event(cls: str, ref: str, operation: Operation, record: dict[str, object]) -> Event:
    return Event(0, 0.0, cls, operation, ref, json.dumps(record).encode())


def _rest(told: Audit, strangers: list[Change]) -> list[Change]:
    return [one for one in told.changes if one not in strangers]
