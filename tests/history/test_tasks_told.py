"""Everything of one task: what changed under it, and how that is known."""

import json
from pathlib import Path

import pytest

from query.errors import AmbiguousObject, NoSuchObject
from query.history.database import History
from query.load.known import Known
from query.load.loader import refresh
from query.load.tasks_carried import Bond, Part, bonds_of
from query.questions.tasks_listed import tasks
from query.questions.tasks_told import TaskStory, find_task, story_of
from query.records import FieldChange
from tests.daemon.recorded import VERSIONS, Recording
from tests.daemon.test_recorded_xapi import xml_value
from tests.history.journals import Pool, Told, loaded, record, ref_of, rows, text
from tests.history.stories import write_more
from tests.history.taskpools import Lab, task, working

START = "Async.VM.start"


def told_of(history: History, word: str) -> TaskStory:
    return story_of(history, find_task(history, word))


def joined(story: TaskStory) -> list[tuple[int, str, str | None, str]]:
    return [
        (one.seq, one.task.removeprefix("OpaqueRef:"), one.name, one.how) for one in story.changes
    ]


def test_changes_are_joined_exactly_while_an_object_carried_the_task(tmp_path: Path) -> None:
    """From the change that it carries the task to the change that it does no more, both included;
    not before it got its lock, not after, and not what came in between for another object."""
    lab = Lab()
    lab.add("t1", START)
    lab.pool.event("mod", "vm", "web1", working("web1", note="it waits"))
    begins = lab.pool.event("mod", "vm", "web1", working("web1", "t1", note="it waits"))
    lab.pool.event("mod", "vm", "web2", working("web2", note="no matter"))
    runs = lab.pool.event("mod", "vm", "web1", working("web1", "t1", power_state="Running"))
    lab.pool.event("mod", "vm", "web1", working("web1", "t1", power_state="Running"))
    ends = lab.pool.event("mod", "vm", "web1", working("web1", power_state="Running"))
    lab.pool.event("mod", "vm", "web1", working("web1", power_state="Paused"))
    lab.end("t1", START)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        story = told_of(history, START)
    assert joined(story) == [(seq, "t1", "web1", "carried it") for seq in (begins, runs, ends)]
    assert [[one.field for one in change.changes] for change in story.changes] == [
        ["current_operations"],
        ["note", "power_state"],
        ["current_operations"],
    ]
    (span,) = story.spans
    assert (span.since_seq, span.until_seq, span.operation, span.origin) == (
        *(begins, ends, "start"),
        "live",
    )


def test_object_that_carries_several_tasks_is_said_to(tmp_path: Path) -> None:
    """A host starts several VMs at once: which start a change is of cannot be told."""
    lab = Lab()
    lab.add("t1", START)
    lab.add("t2", START)
    seqs = [
        lab.pool.event("mod", "host", "h1", working("host1", *carried, load=number))
        for number, carried in enumerate([["t1"], ["t1", "t2"], ["t1", "t2"], ["t2"], []])
    ]
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        found = {ref: joined(told_of(history, ref_of(ref))) for ref in ("t1", "t2")}
    alone, among = "carried it", "carried it among others"
    assert [(seq, how) for seq, _, _, how in found["t1"]] == [
        *((seqs[0], alone), (seqs[1], among), (seqs[2], among), (seqs[3], among)),
    ]
    assert [(seq, how) for seq, _, _, how in found["t2"]] == [
        *((seqs[1], among), (seqs[2], among), (seqs[3], among), (seqs[4], alone)),
    ]


def test_born_and_dying_objects_carry_their_task(tmp_path: Path) -> None:
    """A copy is born with the operation of its source, and what is destroyed dies with it."""
    lab = Lab()
    lab.add("t1", "Async.VM.clone")
    born = lab.pool.event("add", "vm", "copy", working("copy", "t1", does="clone"))
    freed = lab.pool.event("mod", "vm", "copy", working("copy"))
    lab.add("t2", "VM.destroy")
    begins = lab.pool.event("mod", "vm", "copy", working("copy", "t2", does="destroy"))
    dies = lab.pool.event("del", "vm", "copy", working("copy", "t2", does="destroy"))
    lab.pool.event("add", "vm", "copy", working("copy"))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        clone, destroy = (told_of(history, ref_of(ref)) for ref in ("t1", "t2"))
    assert [(one.seq, one.operation, one.how) for one in clone.changes] == [
        (born, "add", "carried it"),
        (freed, "mod", "carried it"),
    ]
    assert [(one.seq, one.operation, one.how) for one in destroy.changes] == [
        (begins, "mod", "carried it"),
        (dies, "del", "carried it"),
    ]
    assert [(one.since_seq, one.until_seq) for one in destroy.spans] == [(begins, dies)]


def test_task_that_never_got_its_lock_is_joined_by_time_only(tmp_path: Path) -> None:
    """On the object that its error names, from the task's first entry to its end."""
    lab = Lab()
    lab.pool.event("mod", "vm", "web1", working("web1", note="before"))
    lab.add("t1", START)
    during = lab.pool.event("mod", "vm", "web1", working("web1", note="during"))
    lab.pool.event("mod", "vm", "web1", working("web1", note="during"))
    error = ["VM_BAD_POWER_STATE", ref_of("web1"), "halted", "running"]
    lab.end("t1", START, "failure", error_info=error)
    lab.pool.event("mod", "vm", "web1", working("web1", note="after"))
    lab.gone("t1", START, "failure", error_info=error)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        story = told_of(history, ref_of("t1"))
    assert joined(story) == [(during, "t1", "web1", "in its time")]
    assert story.spans == []


def test_what_a_gap_hid_is_not_said_to_be_of_the_task(tmp_path: Path) -> None:
    """The object ceased to carry it somewhere in the gap; what else changed there may be of
    anybody."""
    lab = Lab()
    lab.add("t1", START)
    begins = lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    gap = lab.pool.lose()
    lab.pool.register()
    vms = {"web1": working("web1", power_state="Running"), "web2": working("web2")}
    (after, _) = lab.pool.chunk("vm", vms, low=0, high=0)
    lab.pool.chunk("task", {"t1": task(START, "success")}, low=0, high=0)
    lab.pool.done()
    lab.pool.close(gap)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        story = told_of(history, START)
    assert joined(story) == [
        (begins, "t1", "web1", "carried it"),
        (after, "t1", "web1", "across a gap"),
    ]
    assert [one.gap for one in story.changes] == [None, gap]
    assert [(one.until_seq, one.origin, one.gap) for one in story.spans] == [
        (after, "inferred", gap)
    ]


def test_object_first_read_in_the_middle_of_its_task(tmp_path: Path) -> None:
    """When it began is before the record; from then on the bond is exact."""
    told = Told()
    lab = Pool(told)
    lab.register()
    (read,) = lab.chunk("vm", {"web1": working("web1", "t1")})
    (first,) = lab.chunk("task", {"t1": task(START)})
    lab.done()
    runs = lab.event("mod", "vm", "web1", working("web1", "t1", power_state="Running"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        story = told_of(history, START)
    assert joined(story) == [
        (read, "t1", "web1", "across a gap"),
        (runs, "t1", "web1", "carried it"),
    ]
    assert [(one.since_seq, one.until_seq, one.origin) for one in story.spans] == [
        (read, None, "baseline")
    ]
    assert story.task.first_seq == first


def test_story_has_parents_and_subtasks_and_what_changed_under_these(tmp_path: Path) -> None:
    """Not the other sub-tasks of its parents, nor what changed under the parents."""
    lab = Lab()
    lab.add("top", "Async.host.evacuate")
    lab.add("t1", "Async.VM.pool_migrate", subtask_of=ref_of("top"))
    lab.add("other", "Async.VM.pool_migrate", subtask_of=ref_of("top"))
    lab.add("part", "VM.pool_migrate_complete", subtask_of=ref_of("t1"))
    lab.pool.event("mod", "host", "h1", working("host1", "top"))
    lab.pool.event("mod", "vm", "web2", working("web2", "other"))
    own = lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    sub = lab.pool.event("mod", "vm", "web1", working("web1", "part"))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        story = told_of(history, ref_of("t1"))
    assert story.task.ref == ref_of("t1")
    assert [(row.ref, row.depth) for row in story.tree] == [
        (ref_of("top"), 0),
        (ref_of("t1"), 1),
        (ref_of("part"), 2),
    ]
    assert [(seq, by) for seq, by, *_ in joined(story)] == [(own, "t1"), (sub, "part"), (sub, "t1")]


def test_task_is_found_by_an_entry_of_it_or_under_it(tmp_path: Path) -> None:
    """`@SEQ` answers which task did this; where that is not one task, it says so."""
    lab = Lab()
    add = lab.add("t1", START)
    lab.add("t2", START)
    under = lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    both = lab.pool.event("mod", "vm", "web1", working("web1", "t1", "t2"))
    lab.pool.event("mod", "vm", "web1", working("web1"))
    none = lab.pool.event("mod", "vm", "web1", working("web1", note="by hand"))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        assert find_task(history, f"@{add}").ref == ref_of("t1")
        assert find_task(history, f"@{under}", pool="lab").ref == ref_of("t1")
        with pytest.raises(AmbiguousObject, match=f"2 tasks were at work on what @{both} tells of"):
            find_task(history, f"@{both}")
        with pytest.raises(NoSuchObject, match=f"@{none} tells of no task, and of no change under"):
            find_task(history, f"@{none}")
        with pytest.raises(NoSuchObject, match=r"vm:web1 .* is no task; xentrail tasks --object"):
            find_task(history, "vm:web1")


@pytest.mark.parametrize("nonsense", [None, [], "start", 7, {"DummyRef:|1|x": "start"}, {"t": 1}])
def test_current_operations_of_another_shape_carry_nothing(nonsense: object) -> None:
    """A pool may tell what it wants: no bond is made of it, and nothing fails."""
    known = Known("lab", "vm", ref_of("web1"), 1, 0, "live", "add")
    assert bonds_of(known, None, text(record("web1", current_operations=nonsense))) == []
    change = FieldChange(
        "current_operations", json.dumps(nonsense), f'{{"{ref_of("t1")}": "start"}}'
    )
    assert bonds_of(known, (change,), None) == [Bond(ref_of("t1"), "start", Part.BEGINS)]


def test_task_that_is_cancelled_carries_nobody() -> None:
    """Its current_operations name who cancels it: no work is done on it."""
    known = Known("lab", "task", ref_of("t1"), 1, 0, "live", "add")
    cancelled = {ref_of("t2"): "cancel"}
    assert bonds_of(known, None, text(record("t1", current_operations=cancelled))) == []


def test_what_was_there_when_the_recording_began_is_no_change(tmp_path: Path) -> None:
    """A first reading that comes in the time of a task tells nothing new."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("task", {"t1": task(START)})
    lab.chunk("vm", {"web1": working("web1")})
    lab.done()
    changed = lab.event("mod", "vm", "web1", working("web1", note=1))
    lab.event("mod", "task", "t1", task(START, "failure", error_info=["CODE", ref_of("web1")]))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        assert joined(told_of(history, START)) == [(changed, "t1", "web1", "in its time")]


def test_bond_outlives_the_loader(tmp_path: Path) -> None:
    """A loader that finds the object in the history file knows what it carries."""
    lab = Lab()
    lab.add("t1", START)
    lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    seen = lab.told.seq
    lab.pool.event("mod", "vm", "web1", working("web1", "t1", note=1))
    lab.pool.event("del", "vm", "web1")
    write_more(tmp_path, lab.told, 0, seen)
    refresh(tmp_path)
    write_more(tmp_path, lab.told, seen)
    with refresh(tmp_path).open() as history:
        parts = rows(history, "SELECT seq, part FROM carried ORDER BY seq")
    assert parts == [(seen, "begins"), (seen + 1, "during"), (seen + 2, "ends")]


EXPECTED = {
    "VM.start": ["host:localhost", "vm:vm2"],
    "VM.hard_shutdown": ["vm:vm2"],
    "VM.clone": ["vm:vm3", "vm:vm3 clone"],
    "VM.snapshot": ["vm:snap1", "vm:vm3"],
    "network.create": ["network:net1-renamed"],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_tasks_of_a_real_server_have_their_objects_and_changes(
    version: str, tmp_path: Path
) -> None:
    """What a real xapi told while VMs were started, cloned, snapshot and destroyed."""
    told = Told()
    lab = Pool(told)
    lab.register()
    replies = Recording(version).all("xml-event.next")
    for event in (one for reply in replies for one in xml_value(reply)):
        kept = json.loads(json.dumps(event, default=str))
        ref = kept["ref"].removeprefix("OpaqueRef:")
        snapshot = kept.get("snapshot")
        lab.event(kept["operation"], kept["class"], ref, snapshot, id=int(kept["id"]))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        listed = [row for row in tasks(history) if row.operation in EXPECTED]
        assert {row.operation: row.objects for row in listed} == EXPECTED
        last_start = [row for row in listed if row.operation == "VM.start"][-1]
        story = told_of(history, last_start.ref)
        exact = rows(history, "SELECT count(*) FROM task_changes WHERE how = 'carried it'")
    assert [row.operation for row in story.tree] == ["VM.start", "VM.atomic_set_resident_on"]
    assert {change.how for change in story.changes} == {"carried it"}
    fields = [one.field for change in story.changes for one in change.changes]
    assert fields[0] == fields[-1] == "current_operations"
    assert {"power_state", "resident_on", "domid", "allowed_operations"} <= set(fields)
    assert exact == [(69,)]
