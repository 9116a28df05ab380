"""`xentrail tasks` and `xentrail task`: what they print of tasks, whatever a pool calls them."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.questions import Program
from tests.cli.test_completion import offered
from tests.history.journals import ref_of, write_journal
from tests.history.taskpools import Lab, iso, task, working

START = "Async.VM.start"
EVIL = "\x1b[2Jevil\n=cmd()</script>"
UUID = "aaaaaaaa-0000-4000-8000-000000000001"


def refused() -> dict[str, object]:
    """Return the record of a start that found its VM running."""
    error = ["VM_BAD_POWER_STATE", ref_of("web1"), "halted", "running"]
    end = {"finished": iso(0), "progress": 1.0, "uuid": "t3-uuid"}
    return {**task(START, "failure", error_info=error), **end}


def gap_in_which_it_ended(lab: Lab) -> None:
    """The recorder looks away while t2 works on web2, and finds it done."""
    lab.add("t2", "Async.VM.resume")
    lab.pool.event("mod", "vm", "web2", working("web2", "t2", does="resume"))
    gap = lab.pool.lose()
    lab.pool.register()
    vms = {"web1": working("web1", power_state="Running"), "web2": working("web2")}
    lab.pool.chunk("vm", vms, low=0, high=0)
    lab.pool.chunk("task", {"t3": refused()}, low=0, high=0)
    lab.pool.done()
    lab.pool.close(gap)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A start with a sub-task, one that is refused, and one whose end nobody saw."""
    lab = Lab()
    lab.add("t1", START)
    lab.pool.event("mod", "vm", "web1", working("web1", "t1"))
    lab.step("t1", START, progress=0.5)
    part: dict[str, object] = {"subtask_of": ref_of("t1")}
    lab.add("sub", "VM.atomic_set_resident_on", **part)
    lab.end("sub", "VM.atomic_set_resident_on", finished=iso(1), **part)
    lab.gone("sub", "VM.atomic_set_resident_on", finished=iso(1), **part)
    lab.pool.event("mod", "vm", "web1", working("web1", "t1", power_state="Running"))
    lab.pool.event("mod", "vm", "web1", working("web1", power_state="Running"))
    lab.end("t1", START, result=f"<value>{ref_of('web1')}</value>", finished=iso(30))
    lab.gone("t1", START, result=f"<value>{ref_of('web1')}</value>", finished=iso(30))
    lab.add("t3", START)
    lab.pool.event("mod", "task", "t3", refused())
    gap_in_which_it_ended(lab)
    lab.pool.event("add", "vm", "evil", working(EVIL, "t4"))
    evil = {**task(EVIL, "failure", error_info=[EVIL, ref_of("evil"), EVIL]), "uuid": UUID}
    lab.pool.event("add", "task", "t4", evil)
    lab.pool.event("mod", "vm", "evil", working(EVIL, "t4", note=EVIL))
    folder = tmp_path_factory.mktemp("data")
    write_journal(folder / "journal", lab.told.drafts())
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(data, capsys, monkeypatch)


def test_tree_and_curve_are_shown(run: Program) -> None:
    """Sub-tasks beneath their parents, the progress as a small picture."""
    ran = run("tasks", "--tree", "--until", "@16")
    header, *lines = [line.rstrip() for line in ran.out.splitlines()]
    assert header.endswith("  object   uuid      status   took  curve  result or error")
    assert [line.removeprefix("2023-11-14T22:13:20Z  lab   ") for line in lines] == [
        "Async.VM.start               vm:web1  t1-uuid   success  30 s  ▁▅▅▅█  web1",
        "  VM.atomic_set_resident_on  -        sub-uuid  success   1 s  -",
    ]
    assert (ran.err, ran.code) == ("", 0)


def test_filters_add_up(run: Program) -> None:
    """By call, object, time and outcome; the object of a refused task is in its error."""
    ran = run("tasks", "--failed", "--operation", "vm.start", "--object", "web1")
    (line,) = ran.out.splitlines()[1:]
    assert line.split()[2:] == [
        *(START, "vm:web1", "t3-uuid", "failure", "0", "s"),
        *("VM_BAD_POWER_STATE", "web1", "halted", "running"),
    ]
    assert "no task fits" in run("tasks", "--object", "web1", "--failed", "--until", "@9").err
    ran = run("tasks", "--operation", "VM.strat")
    assert (ran.out, ran.code) == ("", 60)
    assert ran.err == (
        "xentrail: no task for the call 'VM.strat' was recorded; did you mean 'VM.start'?\n"
    )


def test_more_tasks_than_are_shown_are_counted(run: Program) -> None:
    """The newest are shown; who gets them as JSON is told, too, but not in the answer."""
    everything = json.loads(run("tasks", "--format", "json").out)["rows"]
    told = f"the newest 1 of {len(everything)} tasks; --limit shows more, --until earlier ones"
    ran = run("tasks", "--limit", "1", "--format", "json")
    assert json.loads(ran.out)["rows"] == everything[-1:]
    assert told in ran.err
    ran = run("tasks", "--limit", "1")
    assert len(ran.out.splitlines()) == 2
    assert told in ran.err


def test_everything_of_a_task_is_told(run: Program) -> None:
    """Here the task is named by an entry that came under it."""
    ran = run("task", "@16", "--all")
    assert ran.out.splitlines() == [
        "lab/task:Async.VM.start (uuid t1-uuid)",
        "status    success",
        "result    web1",
        "created   2023-11-14T22:13:20Z",
        "finished  2023-11-14T22:13:50Z, took 30 s",
        "progress  ▁▁▁▅▅▅▅▅▅▅▅▅▅▅▅█ 0% at @10 50% at @12 100% at @18",
        "recorded  @10 to @19",
        "gone      destroyed after completion",
        "objects",
        "  vm web1: start: carried it @11 to @17 [@11]",
        "  vm web1: in its result [@19]",
        "tree",
        "  Async.VM.start  t1-uuid  success  web1",
        "    VM.atomic_set_resident_on  sub-uuid  success",
        "changes under it",
        (
            "2023-11-14T22:13:31Z       @11  vm web1: current_operations: +Async.VM.start=start"
            "  [carried it]"
        ),
        "2023-11-14T22:13:36Z       @16  vm web1: power_state: (missing) → Running  [carried it]",
        (
            "2023-11-14T22:13:37Z       @17  vm web1: current_operations: -Async.VM.start"
            "  [carried it]"
        ),
    ]
    assert (ran.err, ran.code) == ("", 0)
    ran = run("task", "t1-uuid", "--pool", "lab")
    assert "current_operations" not in ran.out
    assert ran.err == (
        "xentrail: 2 changes of allowed or current operations are not shown; --all shows them\n"
    )


def test_error_is_told_in_words(run: Program) -> None:
    """With the names of what it speaks of."""
    ran = run("task", "t3-uuid")
    assert ran.out.splitlines()[2] == (
        "error     VM_BAD_POWER_STATE: web1 is running, but has to be halted"
    )
    assert ran.out.splitlines()[-3:] == [
        "objects",
        "  vm web1: in its error [@21]",
        "no change under it",
    ]


def test_gap_in_the_life_of_a_task_is_said(run: Program) -> None:
    """In its place, on stderr, and in the exit code if that is asked for."""
    ran = run("task", "Async.VM.resume", "--strict", "--all")
    assert ran.out.splitlines()[-8:] == [
        "recorded  @22 to @32",
        "gone      lost in a gap @24",
        "objects",
        "  vm web2: resume: carried it @23 to @29 (across gap @24) [@23]",
        "changes under it",
        (
            "2023-11-14T22:13:43Z       @23  vm web2: current_operations: +Async.VM.resume=resume"
            "  [carried it]"
        ),
        "-- gap @24 (connection-lost): what came in it is not known --",
        (
            "2023-11-14T22:13:49Z       @29  vm web2: current_operations: -Async.VM.resume"
            "  [across a gap]"
        ),
    ]
    assert "gap @24 of pool lab (connection-lost): events may be missing" in ran.err
    assert ran.code == 1


def test_task_as_json_and_csv(run: Program) -> None:
    """JSON has everything as values, CSV a row for each changed field."""
    told = json.loads(run("task", "@16", "--format", "json").out)
    assert set(told) == {
        *("task", "tree", "spans", "changes", "error_in_words", "names"),
        *("gaps", "last_states_only", "unrecorded"),
    }
    assert [(one["seq"], one["how"]) for one in told["changes"]] == [
        (seq, "carried it") for seq in (11, 16, 17)
    ]
    assert told["changes"][1]["changes"] == [
        {"field": "power_state", "old": None, "new": "Running"}
    ]
    assert told["task"]["result"] == ref_of("web1")
    assert told["names"][ref_of("web1")] == "web1"
    table = list(csv.DictReader(io.StringIO(run("task", "@16", "--format", "csv").out)))
    assert [(row["pool"], row["seq"], row["how"], row["field"]) for row in table] == [
        ("lab", "11", "carried it", "current_operations"),
        ("lab", "16", "carried it", "power_state"),
        ("lab", "17", "carried it", "current_operations"),
    ]
    gone = list(csv.DictReader(io.StringIO(run("task", ref_of("t2"), "--format", "csv").out)))
    assert [(row["seq"], row["gap"], row["range_gaps"]) for row in gone] == [
        ("23", "", "[24]"),
        ("29", "24", "[24]"),
    ]
    words = json.loads(run("task", "t3-uuid", "--format", "json").out)["error_in_words"]
    assert words == "web1 is running, but has to be halted"


def test_names_of_a_hostile_pool_break_nothing(run: Program) -> None:
    """On the screen no escape and no line break; in JSON and CSV exactly what was told."""
    out = run("task", UUID[:8], "--all").out
    assert "\x1b" not in out
    assert out.splitlines()[0] == f"lab/task:\\x1b[2Jevil\\n=cmd()</script> (uuid {UUID})"
    assert [line for line in out.splitlines() if line.startswith("=cmd()")] == []
    task_ = json.loads(run("task", UUID, "--format", "json").out)["task"]
    assert (task_["name_label"], task_["error_params"]) == (EVIL, [ref_of("evil"), EVIL])
    table = list(csv.DictReader(io.StringIO(run("task", UUID, "--format", "csv").out)))
    assert {row["name"] for row in table} == {EVIL}


def test_unknown_task_is_told_what_to_do(run: Program) -> None:
    """One line on stderr, and the exit code of questions."""
    ran = run("task", "nobody")
    assert (ran.out, ran.code) == ("", 60)
    assert ran.err == "xentrail: no task answers to 'nobody'; xentrail tasks lists them\n"


def test_tasks_and_calls_are_offered_to_the_shell(run: Program, data: Path) -> None:
    """By the beginning of the uuid, with what the task was; calls in whatever case was begun."""
    run("tasks")
    told = offered("task", UUID[:6], protocol="fish", data=data)
    assert told == [f"{UUID}\ttask of lab, failure"]
    assert offered("tasks", "--operation", "vm.st", data=data) == ["vm.start"]
