"""Which tasks fit a question, what they had to do with, and how they went away."""

from pathlib import Path

import pytest

from query.errors import NoSuchObject
from query.questions.objects import find
from query.questions.tasks_listed import Target, TaskRow, Wanted, as_tree, number_of_tasks, tasks
from recorder.instant import Instant
from recorder.model import Stream
from tests.history.journals import Pool, Told, loaded, record, ref_of
from tests.history.journals import rows as rows_of
from tests.history.taskpools import Lab, iso, task, working

UUID = "11111111-0000-4000-8000-000000000001"


def names(rows: list[TaskRow]) -> list[str | None]:
    return [row.name_label for row in rows]


def test_objects_of_a_task_are_found_in_five_ways(tmp_path: Path) -> None:
    """By current_operations, error, result, and by reference or uuid in what it says of itself."""
    lab = Lab()
    lab.pool.event("add", "vm", "web3", {**record("web3"), "uuid": UUID})
    add = lab.add("t1", "Async.VM.clone", other_config={"source": ref_of("web2")})
    begins = lab.pool.event("mod", "vm", "web1", working("web1", "t1", does="clone"))
    lab.pool.event("mod", "vm", "web1", working("web1"))
    done = lab.end(
        "t1",
        "Async.VM.clone",
        result=f"<value>{ref_of('web2')}</value>",
        other_config={"source": ref_of("web2")},
    )
    lab.add("t2", f"backup of {UUID}")
    lab.add("t3", "Async.VM.start")
    error = ["VM_BAD_POWER_STATE", ref_of("web1"), "halted", "running"]
    refused = lab.end("t3", "Async.VM.start", "failure", error_info=error)
    lab.add("t4", "Async.VM.start")
    lost = ["HANDLE_INVALID", "VM", ref_of("nobody")]
    invalid = lab.end("t4", "Async.VM.start", "failure", error_info=lost)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        clone, backup, start, start_none = tasks(history)
        assert clone.targets == [
            Target("vm", ref_of("web2"), "web2", "mentioned", None, add),
            Target("vm", ref_of("web1"), "web1", "carried", "clone", begins),
            Target("vm", ref_of("web2"), "web2", "result", None, done),
        ]
        assert clone.objects == ["vm:web1", "vm:web2"]
        assert [(one.name, one.how) for one in backup.targets] == [("web3", "mentioned")]
        assert start.targets == [Target("vm", ref_of("web1"), "web1", "error", None, refused)]
        assert start_none.targets == [Target(None, ref_of("nobody"), None, "error", None, invalid)]
        assert start_none.objects == ["unknown:OpaqueRef:nobody"]


def test_error_that_names_other_tasks_is_no_work_on_them(tmp_path: Path) -> None:
    """A cancelled task names itself, a blocked one who stands in its way."""
    lab = Lab()
    lab.add("t1", "Async.VM.start")
    lab.add("t2", "Async.VM.start")
    blocked = ["OTHER_OPERATION_IN_PROGRESS", "VM", ref_of("web1"), "start", ref_of("t1")]
    lab.end("t2", "Async.VM.start", "failure", error_info=blocked)
    lab.end("t1", "Async.VM.start", "failure", error_info=["TASK_CANCELLED", ref_of("t1")])
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        assert [row.objects for row in tasks(history)] == [[], ["vm:web1"]]


def test_progress_is_a_curve_and_the_end_is_where_the_status_said_so(tmp_path: Path) -> None:
    """`finished` and a progress of 1 come before it, and decide nothing."""
    lab = Lab()
    add = lab.add("t1", "Async.VM.start")
    third = lab.step("t1", "Async.VM.start", progress=1 / 3)
    early: dict[str, object] = {"progress": 1.0000000000000002, "finished": iso(9)}
    full = lab.step("t1", "Async.VM.start", **early)
    end = lab.end("t1", "Async.VM.start", **early)
    lab.pool.event("add", "task", "t2", task("quick", "success"))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        row, quick = tasks(history)
    curve = [(point.seq, point.progress) for point in row.curve]
    assert curve == [(add, 0.0), (third, 1 / 3), (full, 1.0000000000000002)]
    assert (row.ended_seq, row.end_seq, row.duration_s) == (end, end, 9.0)
    assert (quick.curve, quick.ended_seq, quick.end_seq) == ([], None, quick.last_seq)


@pytest.fixture
def filtered(tmp_path: Path) -> Lab:
    """Four tasks in a row, of three calls; the second is part of the first."""
    lab = Lab()
    lab.add("t1", "Async.VM.start")
    lab.add("t2", "VM.atomic_set_resident_on", subtask_of=ref_of("t1"))
    lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    lab.end("t2", "VM.atomic_set_resident_on", subtask_of=ref_of("t1"))
    lab.end("t1", "Async.VM.start")
    lab.add("t3", "Async.VM.pool_migrate")
    lab.end("t3", "Async.VM.pool_migrate", "cancelled")
    lab.add("t4", "VM.start")
    return lab


def test_tasks_are_chosen_by_what_is_asked(filtered: Lab, tmp_path: Path) -> None:
    """By call whether or not it was asynchronous, by object, by time; conditions add up."""
    with loaded(tmp_path / "history.duckdb", filtered.told.entries) as history:
        first, part, third, last = tasks(history)
        web1, web2 = find(history, "web1"), find(history, "web2")
        assert tasks(history, Wanted(operation="vm.START")) == [first, last]
        assert tasks(history, Wanted(found=web1)) == [first]
        assert tasks(history, Wanted(found=web2)) == []
        assert tasks(history, Wanted(failed=True)) == [third]
        assert tasks(history, Wanted(failed=True, operation="VM.start")) == []
        since, until = Instant(seq=third.first_seq), Instant(seq=third.last_seq)
        assert tasks(history, Wanted(since=since)) == [third, last]
        assert tasks(history, Wanted(until=until)) == [first, part, third]
        assert tasks(history, Wanted(since=since, until=until)) == [third]
        at_us = filtered.told.at_ns(third.last_seq) // 1000
        assert tasks(history, Wanted(since=Instant(at_us=at_us))) == [third, last]
        assert tasks(history, Wanted(since=Instant(at_us=at_us + 1))) == [last]
        assert tasks(history, Wanted(until=Instant(at_us=at_us))) == [first, part, third]
        assert tasks(history, Wanted(refs=[ref_of("t3"), ref_of("t9")])) == [third]
        with pytest.raises(NoSuchObject, match=r"'VM.strat' was recorded; did you mean 'VM.start'"):
            tasks(history, Wanted(operation="VM.strat"))


def test_tree_brings_the_subtasks_of_what_was_chosen(filtered: Lab, tmp_path: Path) -> None:
    """Beneath their parent, whatever they are; a sub-task alone is a tree of its own."""
    with loaded(tmp_path / "history.duckdb", filtered.told.entries) as history:
        chosen = tasks(history, Wanted(operation="VM.start", subtasks=True))
        assert [(row.name_label, row.depth) for row in chosen] == [
            ("Async.VM.start", 0),
            ("VM.atomic_set_resident_on", 1),
            ("VM.start", 0),
        ]
        alone = tasks(history, Wanted(operation="VM.atomic_set_resident_on", subtasks=True))
        assert [row.depth for row in alone] == [0]


def test_newest_are_kept_with_all_that_is_part_of_them(filtered: Lab, tmp_path: Path) -> None:
    """A limit counts what fits, not what a tree brings with it."""
    with loaded(tmp_path / "history.duckdb", filtered.told.entries) as history:
        first, part, third, last = tasks(history)
        assert tasks(history, Wanted(limit=2)) == [third, last]
        starts = Wanted(operation="VM.start", limit=2, subtasks=True)
        assert [row.ref for row in tasks(history, starts)] == [first.ref, part.ref, last.ref]
        assert number_of_tasks(history, starts) == 2
        assert number_of_tasks(history, Wanted(limit=1)) == 4


def test_ring_of_tasks_is_shown_once(tmp_path: Path) -> None:
    """A pool may tell nonsense: each task is there once, and nothing hangs."""
    lab = Lab()
    lab.add("t1", "a", subtask_of=ref_of("t2"))
    lab.add("t2", "b", subtask_of=ref_of("t1"))
    lab.add("t3", "c", subtask_of=ref_of("t3"))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        rows = tasks(history, Wanted(subtasks=True))
        assert [(row.name_label, row.depth) for row in rows] == [("a", 0), ("b", 1), ("c", 0)]
        assert list(as_tree(rows)) == rows


def test_same_reference_in_two_pools_is_two_tasks(tmp_path: Path) -> None:
    """Neither gets the parent, the objects or the end of the other."""
    told = Told()
    for pool in (Pool(told, "lab"), Pool(told, "east")):
        pool.register()
        pool.event("add", "task", "t1", task("VM.start"))
        pool.event("add", "task", "t2", task("VM.part", subtask_of=ref_of("t1")))
        pool.event("add", "vm", "web1", working(f"{pool.name}1", "t1"))
        vm = {**record(f"{pool.name}2"), "uuid": UUID}
        pool.event("add", "vm", "web2", vm)
        pool.event("add", "task", "t3", task(f"backup of {UUID}"))
    east = Pool(told, "east", next_id=9)
    end = east.event("mod", "task", "t1", task("VM.start", "success"))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        rows = tasks(history, Wanted(subtasks=True))
        assert tasks(history, Wanted(pool="lab", subtasks=True)) == rows[:3]
    assert [(row.pool, row.name_label, row.depth, row.objects, row.ended_seq) for row in rows] == [
        ("lab", "VM.start", 0, ["vm:lab1"], None),
        ("lab", "VM.part", 1, [], None),
        ("lab", f"backup of {UUID}", 0, ["vm:lab2"], None),
        ("east", "VM.start", 0, ["vm:east1"], end),
        ("east", "VM.part", 1, [], None),
        ("east", f"backup of {UUID}", 0, ["vm:east2"], None),
    ]


GC_S, DAY_S = 3900, 86_400
BY_HAND, BY_RULE = "destroyed after completion", "by the server's garbage collection"


def test_task_went_by_hand_or_by_a_rule_of_the_server(tmp_path: Path) -> None:
    """The server collects what was completed 65 minutes ago, and what does not move for a day.

    Much later than that, nothing can be told.
    """
    completed = {-1: BY_HAND, GC_S - 1: BY_HAND, GC_S: BY_RULE, GC_S + 300: BY_RULE}
    completed[GC_S + 301] = "unknown"
    pending = {DAY_S - 1: "deleted before it was complete", DAY_S: BY_RULE}
    lab = Lab()
    for after_s in completed:
        lab.add(f"c{after_s}", "VM.start")
        deleted_s = lab.told.seq - 1  # when the server deletes it, by the clock of these journals
        end = {"created": iso(-9999), "finished": iso(deleted_s - after_s)}
        lab.gone(f"c{after_s}", "VM.start", "success", **end)
    for after_s in pending:
        lab.add(f"p{after_s}", "VM.start")
        created = iso(lab.told.seq - 1 - after_s)
        lab.gone(f"p{after_s}", "VM.start", "pending", created=created)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        rows = tasks(history)
    assert [row.departure for row in rows] == [*completed.values(), *pending.values()]
    assert [row.status for row in rows] == ["success"] * 5 + ["vanished"] * 2


def test_task_that_is_there_or_was_lost_went_by_nobody(tmp_path: Path) -> None:
    """A gap in which tasks went says no more than that they went in it."""
    lab = Lab()
    lab.add("t1", "there")
    lab.add("t2", "lost")
    gap = lab.pool.lose()
    lab.pool.register()
    lab.pool.chunk("task", {"t1": task("there")}, low=0, high=0)
    lab.pool.done()
    lab.pool.close(gap)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        there, lost = tasks(history)
    assert (there.status, there.departure, there.is_over, there.end_seq) == (
        *("pending", None, False),
        None,
    )
    assert (lost.status, lost.departure, lost.departure_gap) == ("vanished", "lost in a gap", gap)


@pytest.mark.parametrize(("others", "known"), [(199, True), (200, False)])
def test_nobody_is_named_where_the_pool_had_too_many_tasks(
    others: int, known: bool, tmp_path: Path
) -> None:
    """Above 200 the server deletes completed tasks before their time."""
    lab = Lab()
    for number in range(others):
        lab.add(f"o{number}", "other")
    lab.add("t1", "VM.start")
    lab.end("t1", "VM.start")
    lab.gone("t1", "VM.start", finished=iso(lab.told.seq))
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        *_, row = tasks(history)
    assert row.departure == ("destroyed after completion" if known else "unknown")


def test_task_of_a_stream_of_last_states_may_have_ended_untold(tmp_path: Path) -> None:
    """Its deletion does not say that it was not complete."""
    told = Told()
    lab = Pool(told)
    lab.register(Stream.FROM)
    lab.event("add", "task", "t1", task("VM.start"))
    lab.event("del", "task", "t1")
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (row,) = tasks(history)
    assert (row.status, row.departure) == ("vanished", "unknown")


def test_names_of_a_hundred_kilobytes_are_kept_and_searched(tmp_path: Path) -> None:
    """At most 50 references of a text are kept, its own not; a label that is no call has no
    operation."""
    lab = Lab()
    many = " ".join(f"OpaqueRef:{number:08x}" for number in range(6000))
    lab.add("t1", many, name_description=many)
    own = {"name_description": f"{ref_of('t2')} OpaqueRef:NULL"}
    lab.add("t2", "\x1b[31mVM.start", subtask_of="no reference", **own)
    with loaded(tmp_path / "history.duckdb", lab.told.entries) as history:
        row, other = tasks(history)
        assert (row.name_label, row.operation, len(row.targets)) == (many, None, 50)
        assert (other.operation, other.depth) == (None, 0)
        assert rows_of(history, "SELECT mentions FROM tasks ORDER BY first_seq")[1] == ([],)
