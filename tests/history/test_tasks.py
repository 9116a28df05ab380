"""The outcome of every task, whatever became of it."""

from pathlib import Path

import pytest

from query.load.tasks import result_of
from query.questions.tasks_listed import Wanted, tasks
from tests.history.journals import Pool, Told, loaded, record, ref_of

CREATED, FINISHED, NEVER = "20231114T22:13:20Z", "20231114T22:13:50Z", "19700101T00:00:00Z"


def task(name: str, status: str = "pending", **fields: object) -> dict[str, object]:
    base = {"created": CREATED, "finished": NEVER, "progress": 0.5, "result": "", "error_info": []}
    return {**record(name), **base, "status": status, "subtask_of": "OpaqueRef:NULL", **fields}


def test_tasks_have_one_row_with_their_outcome(tmp_path: Path) -> None:
    """Success, failure, cancelled, still pending, deleted before its end, and lost in a gap."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("task", {})
    lab.done()
    firsts = [lab.event("add", "task", f"t{n}", task(f"op{n}")) for n in range(6)]
    end = {"finished": FINISHED, "progress": 1.0}
    good = lab.event(
        "mod", "task", "t0", task("op0", "success", result="<value>OpaqueRef:new</value>", **end)
    )
    failed = lab.event(
        "mod",
        "task",
        "t1",
        task(
            "op1",
            "failure",
            error_info=["VM_BAD_POWER_STATE", "OpaqueRef:vm", "halted", "running"],
            subtask_of=ref_of("t0"),
            **end,
        ),
    )
    cancelled = lab.event("mod", "task", "t2", task("op2", "cancelled", **end))
    deleted = lab.event("del", "task", "t3", task("op3"))
    gap = lab.lose()
    lab.register()
    lab.chunk("task", {f"t{n}": task(f"op{n}") for n in (0, 1, 2, 5)}, low=0, high=0)
    done = lab.done()
    lab.close(gap)
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = tasks(history)
        assert [(row.name_label, row.first_seq, row.status) for row in found] == [
            ("op0", firsts[0], "pending"),
            ("op1", firsts[1], "pending"),
            ("op2", firsts[2], "pending"),
            ("op3", firsts[3], "vanished"),
            ("op4", firsts[4], "vanished"),
            ("op5", firsts[5], "pending"),
        ]
        assert [row.last_seq for row in found][3:] == [deleted, done, firsts[5]]
    before = [entry for entry in told.entries if entry.seq < gap]
    with loaded(tmp_path / "before.duckdb", before) as history:
        found = tasks(history)
        assert [(row.status, row.last_seq, row.duration_s, row.progress) for row in found] == [
            ("success", good, 30.0, 1.0),
            ("failure", failed, 30.0, 1.0),
            ("cancelled", cancelled, 30.0, 1.0),
            ("vanished", deleted, None, 0.5),
            ("pending", firsts[4], None, 0.5),
            ("pending", firsts[5], None, 0.5),
        ]
        assert found[0].result == "OpaqueRef:new"
        assert (found[1].error_code, found[1].error_params, found[1].subtask_of) == (
            "VM_BAD_POWER_STATE",
            ["OpaqueRef:vm", "halted", "running"],
            "OpaqueRef:t0",
        )
        assert [row.name_label for row in tasks(history, Wanted(failed=True))] == [
            "op1",
            "op2",
            "op3",
        ]
        assert [row.name_label for row in tasks(history, Wanted(status="success"))] == ["op0"]


def test_task_of_another_release_keeps_what_can_be_read(tmp_path: Path) -> None:
    """A field of another type, or none at all, does not lose the task."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.event("add", "task", "t", {"name_label": "op", "status": "success", "progress": "half"})
    lab.event("del", "task", "unknown")
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        found = tasks(history)
    assert [(row.name_label, row.status, row.progress) for row in found] == [
        ("op", "success", 0.0),
        (None, "vanished", 0.0),
    ]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", None),
        ("<value></value>", None),
        ("<value/>", None),
        ("<value>OpaqueRef:1</value>", "OpaqueRef:1"),
        ("<value>a &amp; b &lt;c&gt;</value>", "a & b <c>"),
        ("<value><string>text</string></value>", "text"),
        (
            "<value><array><data><value>a</value><value>b</value></data></array></value>",
            '["a","b"]',
        ),
        (
            "<value><struct><member><name>k</name><value>v</value></member></struct></value>",
            '{"k":"v"}',
        ),
        ("plain text", "plain text"),
        ("<value>cut sho", "<value>cut sho"),
        ('<value><!DOCTYPE x [<!ENTITY e "e">]>&e;</value>', None),
    ],
)
def test_result_is_read_as_the_xml_that_it_is(text: str, result: str | None) -> None:
    """Results are XML-RPC text whatever the transport; what is not is kept as it is."""
    assert result_of(text) == (text if "DOCTYPE" in text else result)
