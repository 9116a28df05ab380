"""What a line proves, and what it does not: clients may write into its header what they like.

The rules here are the least that a join must ask for before it is sure.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import pytest

from recorder.simulator.errand import mark
from tests.attribution.day import Day, day_of
from tests.attribution.judge import Claim, Judge
from tests.attribution.told import Told, told

pytestmark = pytest.mark.seeds

MS_S = 0.0015
"""Times in lines are cut to milliseconds: a line may look older than what it is about."""
WINDOW_S = 2.0
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 60))]


def _lines_by_mark(day: Day) -> Mapping[str, list[Told]]:
    """Return the lines of all hosts by what their header says the task is, `R:` and `D:` alike.

    What hosts say for themselves is left out: they repeat the marks of tasks of the master.
    """
    found: defaultdict[str, list[Told]] = defaultdict(list)
    for line in _users_lines(day):
        found[line.task.rpartition(" ")[2]].append(line)
    return found


def _users_lines(day: Day) -> list[Told]:
    lines = [told(line) for lines in day.lines.values() for line in lines]
    return [line for line in lines if not line.user.startswith("OpaqueRef:")]


def _tasks(day: Day) -> Iterator[tuple[str, str]]:
    """Yield the reference and name of every task."""
    for change in day.truth.changes:
        if change.cls == "task" and change.operation == "add":
            yield change.ref, str(json.loads(change.snapshot)["name_label"])


def _fits(line: Told, name: str) -> bool:
    return line.task.rpartition(" ")[0] == name and name.removeprefix("Async.") == line.call


def _doubtful_calls(day: Day) -> set[str]:
    """Return the calls of which a line lies: its task is not called so, or not there, or taken."""
    lines, names = _lines_by_mark(day), {mark(task): name for task, name in _tasks(day)}
    return {
        line.call
        for of, told_twice in lines.items()
        for line in told_twice
        if of.startswith("D:") is False
        and (len(told_twice) > 1 or of not in names or not _fits(line, names[of]))
    }


def _claims(day: Day, *, strict: bool) -> list[Claim]:
    """Say of tasks whose they are, by their marks alone or with what else must fit."""
    lines, doubtful = _lines_by_mark(day), _doubtful_calls(day)
    claims = []
    for task, name in _tasks(day):
        candidates = lines.get(mark(task), [])
        is_sure = len(candidates) == 1 and _fits(candidates[0], name)
        if strict and not (is_sure and candidates[0].call not in doubtful):
            continue
        claims += [Claim(task, line.trackid, line.call, "exact") for line in candidates]
    return claims


@pytest.mark.parametrize("seed", SEEDS)
def test_one_fitting_line_tells_whose_a_task_is(seed: int) -> None:
    """Only one has the mark, its header and its call are of the task's name, and no line of such a
    call lies: who hides under a mark of his own making leaves his task to be claimed by others.
    """
    day = day_of(seed)
    claims = _claims(day, strict=True)
    assert Judge(day).wrong(claims) == []
    assert len(claims) > (0 if day.plan.forgers else 40)


@pytest.mark.parametrize("seed", [1, 3])
def test_where_nobody_lies_every_task_is_told(seed: int) -> None:
    """A join that is sure of less asks for too much."""
    day = day_of(seed)
    assert Judge(day).share_told(_claims(day, strict=True)) == 1.0


def test_a_mark_alone_proves_nothing() -> None:
    """Some tasks have the lines of others, and some days would be told wrong by them."""
    days = [day_of(seed) for seed in range(4)]
    assert any(Judge(day).wrong(_claims(day, strict=False)) for day in days)


def test_who_cancels_is_proven_by_the_key_in_the_task() -> None:
    """The mark of a task.cancel is that of the dummy task in current_operations."""
    claims = {seed: list(_cancels(day_of(seed))) for seed in range(8)}
    assert sum(map(len, claims.values())) > 20
    for seed, made in claims.items():
        assert Judge(day_of(seed)).wrong(made) == []


def _cancels(day: Day) -> Iterator[Claim]:
    """Say of the first event with a key who has put it there, where one line has its mark."""
    lines, seen = _lines_by_mark(day), set[str]()
    for index, change in enumerate(day.truth.changes):
        if change.cls == "task" and change.operation == "mod":
            keys = json.loads(change.snapshot)["current_operations"].keys() - seen
            seen |= keys
            for key in keys:
                found = lines.get(mark(key), [])
                if len(found) == 1 and found[0].call == "task.cancel":
                    yield Claim(index, found[0].trackid, "task.cancel", "exact")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_setter_is_known_by_its_target_and_its_field(seed: int) -> None:
    """Where only one session has set this field of the object at about that time, it was that one;
    nothing in a header matters, and no setter that went well is without a line.
    """
    day = day_of(seed)
    claims = list(_setters(day))
    assert Judge(day).wrong(claims) == []
    assert len(claims) > 30


def _setters(day: Day) -> Iterator[Claim]:
    """Say of changes by whose setter they are, where no other comes into question."""
    lines: defaultdict[str, list[Told]] = defaultdict(list)
    for line in _users_lines(day):
        if line.result == "OK":
            for argument in filter(lambda text: text.startswith("OpaqueRef:"), line.arguments):
                lines[argument].append(line)
    indexes = {id(change): index for index, change in enumerate(day.truth.changes)}
    for write in day.truth.writes():
        change = write.change
        if change.event_id is None or change.operation != "mod":
            continue
        if change.cls == "task" or "platform" in write.fields:
            continue  # The server writes here, too: which write is whose, nobody can say.
        found = {
            (line.trackid, line.call)
            for line in lines[change.ref]
            if _field_of(line.call) in write.fields
            and change.at_s - MS_S <= line.at_s <= change.at_s + WINDOW_S
        }
        if len(found) == 1:
            (trackid, call) = next(iter(found))
            yield Claim(indexes[id(change)], trackid, call, "exact")
        by = change.by
        if by is not None and by.ended_s is not None and _field_of(by.call) in write.fields:
            assert found or by.error, f"no line of {by.method} by {by.user}"


def _field_of(call: str) -> str:
    """Return the field that a call sets, nothing if it is no setter of one."""
    found = re.fullmatch(r"\w+\.(?:set|add_to|remove_from|add|remove)_(\w+)", call)
    return found[1] if found else ""
