"""The lines of a simulated trail say what really happened: each call once, and nothing else."""

import json
from collections import Counter

import pytest

from recorder.simulator.audit import is_audited, trackid
from recorder.simulator.doings import Doing
from recorder.simulator.errand import dummy_label, is_real, stamped
from recorder.simulator.guard import ANY_TASK, error_text
from recorder.simulator.values import Fault
from tests.attribution.day import Day, Plan, day_of, spend
from tests.attribution.people import DEBUG, PEOPLE
from tests.attribution.told import Told, told

pytestmark = pytest.mark.seeds

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 60))]
_BESIDE = frozenset({"Host.call_extension", "session.create", ANY_TASK})
"""Calls that have lines and are no calls of a client: they are said of one, beside its own line."""


def _expected(day: Day, doing: Doing) -> tuple[str, ...]:
    """Return what the line of a call must say: who, from where, in which task, how it went."""
    label = doing.method
    if doing.lent:
        label = _label_of(day, doing.task) if is_real(doing.task) else dummy_label(doing.task)
    task = doing.headers.get(DEBUG) or stamped(label, doing.task)
    fault = Fault(doing.error[0], *doing.error[1:]) if doing.error else None
    # Who meddles with a task of others is refused within the call, which was allowed to begin.
    denied = doing.denied and ANY_TASK not in doing.error
    result = "" if denied else error_text(fault) if fault else "OK"
    verdict = "DENIED" if denied else "ALLOWED"
    return (trackid(doing.session), doing.client, doing.user, verdict, result, doing.call, task)


def _label_of(day: Day, task: str) -> str:
    added = (change for change in day.truth.changes if change.ref == task)
    return str(json.loads(next(added).snapshot)["name_label"])


def _said(line: Told) -> tuple[str, ...]:
    client = line.thread.partition(" ")[2].partition("->")[0]
    result = line.result.replace("\n", " ")
    return (line.trackid, client, line.user, line.verdict, result, line.call, line.task)


def _lines(day: Day, address: str) -> list[Told]:
    return [told(line) for line in day.lines[address]]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_call_has_its_line_and_every_line_its_call(seed: int) -> None:
    """Sync and Async, failed, denied and forged; on the host that is the master then, and once."""
    day = day_of(seed)
    assert not day.bugs
    expected = Counter(
        _expected(day, doing)
        for doing in day.truth.doings
        if is_audited(doing.call) and doing.ended_s is not None
    )
    users = {person.user for person in PEOPLE}
    said = Counter(
        _said(line)
        for address in day.lines
        for line in _lines(day, address)
        if line.user in users and line.call not in _BESIDE
    )
    # A restart ends some calls without a line, or between the line of a refusal and the refusal.
    unended = {trackid(doing.session) for doing in day.truth.doings if doing.ended_s is None}
    refused = {line for line in said if line[0] in unended and line[3] == "DENIED"}
    assert (said - expected).keys() <= refused
    assert expected - said == Counter()
    assert sum(said.values()) > day.plan.calls * 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_other_hosts_write_only_what_was_passed_on_to_them(seed: int) -> None:
    """Under the name of the host, with the mark of a task of the master's, allowed and done."""
    day = day_of(seed)
    master = day.plan.addresses[0]
    tasks = {change.ref for change in day.truth.changes if change.cls == "task"}
    marks = {stamped("", task) for task in tasks}
    for address in () if day.plan.has_restart else day.lines.keys() - {master}:
        for line in _lines(day, address):
            assert line.user.startswith("OpaqueRef:")
            assert (line.verdict, line.result) == ("ALLOWED", "OK")
            assert line.task.rpartition(" ")[2] in marks
            assert f" HTTPS {master}->:::80" in f" {line.thread}"


def test_days_are_as_varied_as_they_should_be() -> None:
    """All kinds of ends, users and marks are met; else the other tests would prove little."""
    days = [day_of(seed) for seed in range(4)]
    doings = [doing for day in days for doing in day.truth.doings]
    codes = Counter(doing.error[0] for doing in doings if doing.error)
    assert {"RBAC_PERMISSION_DENIED", "TASK_CANCELLED", "VM_BAD_POWER_STATE"} <= codes.keys()
    assert {doing.user for doing in doings} == {person.user for person in PEOPLE}
    assert sum(DEBUG in doing.headers for doing in doings) > 10
    assert sum(doing.lent for doing in doings) > 3
    of_nobody = [
        write
        for day in days
        for write in day.truth.writes()
        if write.change.by is None and "power_state" in write.fields
    ]
    assert len([write for write in of_nobody if write.change.operation == "mod"]) > 10


def test_the_same_plan_gives_the_same_day() -> None:
    """To the last byte of the last line."""
    first, second = day_of(0), spend(Plan.of(0))
    assert first.lines == second.lines
    assert [change.snapshot for change in first.truth.changes] == [
        change.snapshot for change in second.truth.changes
    ]
