"""The life of one object where it is not plain: in gaps, without a begin, with states taken out."""

from pathlib import Path

import pytest

from query.choices import Format
from query.history.database import History
from query.load.loader import refresh
from query.questions.lacks import Lacks
from query.questions.objects import find
from query.questions.timeline import life_of
from query.render import life as screen
from recorder.instant import Instant
from recorder.journal.redaction import redact
from recorder.journal.store import Journal
from tests.history.journals import START_NS, Pool, Told, loaded, record, ref_of, write_journal


def lines(history: History, name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what the screen tells of an object's life, without times."""
    life = life_of(history, find(history, name, cls="vm"))
    screen.show(life, Format.TABLE, {}, Lacks())
    texts = capsys.readouterr().out.splitlines()[1:]
    return [line if line.startswith("--") else line[22:].strip() for line in texts]


def vm(name: str, power: str, **fields: object) -> dict[str, object]:
    return {**record(name), "power_state": power, **fields}


def test_gap_is_told_where_no_step_is(tmp_path: Path) -> None:
    """A range without a step may lie in a gap; a gap counts until the end of the object."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted"), "web2": vm("web2", "Halted")})
    lab.done()
    gap = lab.lose()
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted"), "web2": vm("web2", "Halted")})
    lab.done()
    closed = lab.close(gap)
    gone = lab.event("del", "vm", "web1", vm("web1", "Halted"))
    later = lab.lose()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        web1, web2 = find(history, "web1"), find(history, "web2")
        inside = life_of(history, web1, since=Instant(seq=gap), until=Instant(seq=gap + 1))
        assert (inside.steps, [one.seq for one in inside.gaps]) == ([], [gap])
        before = life_of(history, web1, until=Instant(seq=closed))
        assert [one.seq for one in before.gaps] == [gap]
        assert [one.seq for one in life_of(history, web1, since=Instant(seq=gone)).gaps] == []
        assert [one.seq for one in life_of(history, web2).gaps] == [gap, later]


def test_tasks_of_a_range_are_those_under_way_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that vanished is over, too; of one that was over at first sight only that is told."""
    told = Told()
    lab = Pool(told)
    lab.register()
    work = {ref_of("t1"): "start", ref_of("t2"): "clone", ref_of("t3"): "export"}
    lab.chunk("vm", {"web1": vm("web1", "Halted", current_operations={})})
    times = {"created": "20231114T22:13:21Z", "finished": "19700101T00:00:00Z"}
    pending = {"status": "pending", **times}
    over = {"status": "success", "created": times["created"], "finished": "20231114T22:13:25Z"}
    lab.chunk("task", {"t2": record("VM.clone", **pending)})
    lab.done()
    lab.event("add", "task", "t1", record("VM.start", **pending))
    lab.event("add", "task", "t3", record("VM.export", **over))
    busy = lab.event("mod", "vm", "web1", vm("web1", "Halted", current_operations=work))
    vanished = lab.event("del", "task", "t1", record("VM.start", **pending))
    end = lab.event("mod", "vm", "web1", vm("web1", "Running", current_operations={}))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        web1 = find(history, "web1", cls="vm")
        tasks = {one.name: one for one in life_of(history, web1).tasks}
        assert [(n, t.seen_begin, t.ended_seq) for n, t in sorted(tasks.items())] == [
            ("VM.clone", False, None),
            ("VM.export", True, tasks["VM.export"].began_seq),
            ("VM.start", True, vanished),
        ]
        late = life_of(history, web1, since=Instant(seq=end)).tasks
        assert [one.name for one in late] == ["VM.clone"]
        shown = [line for line in lines(history, "web1", capsys) if "task" in line]
        assert [line.partition("task ")[2] for line in shown] == [
            "VM.clone was under way when first seen",
            "VM.start began",
            "VM.export: success after 4 s",
            "VM.start vanished before it was over",
        ]
    assert busy < vanished


def test_power_state_found_across_a_gap_has_no_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How long it was so is known only of what was seen to begin and seen to end."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted")})
    lab.done()
    lab.event("mod", "vm", "web1", vm("web1", "Running"))
    lab.event("mod", "vm", "web1", vm("web1", "Paused"))
    gap = lab.lose()
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted")})
    lab.done()
    lab.close(gap)
    lab.event("mod", "vm", "web1", vm("web1", "Running"))
    lab.event("mod", "vm", "web1", vm("web1", "Halted"))
    lab.lose()
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        told_lines = lines(history, "web1", capsys)
    powers = [line.partition("power_state: ")[2] for line in told_lines if "power_state" in line]
    assert powers == [
        "Halted → Running",
        "Running → Paused (after 1 s)",
        "Paused → Halted",
        "Halted → Running",
        "Running → Halted (after 1 s)",
    ]
    assert told_lines[-1] == f"-- gap @{told.seq} is STILL OPEN --"


@pytest.mark.parametrize("load_first", [False, True])
def test_redacted_state_is_a_step_that_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load_first: bool
) -> None:
    """Whether it was loaded before or not; what was taken out never seems to be missing."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": vm("web1", "Halted", note="a")})
    lab.done()
    secret = lab.event("mod", "vm", "web1", vm("web1", "Halted", note="b"))
    after = lab.event("mod", "vm", "web1", vm("web1", "Halted", note="c"))
    write_journal(tmp_path / "journal", told.drafts())
    if load_first:
        refresh(tmp_path)
    with Journal.open(tmp_path / "journal", now_ns=lambda: START_NS) as journal:
        redact(journal, secret, "a password", by="somebody")
    with refresh(tmp_path).open() as history:
        steps = {one.seq: one for one in life_of(history, find(history, "web1")).steps}
        assert steps[secret].told is False
        assert steps[after].told is load_first
        shown = "\n".join(lines(history, "web1", capsys))
    field = " (note)" if load_first else ""
    assert f"changed{field}, but from what to what is not known" in shown
    assert ("note: (redacted) → c" in shown) is load_first
    assert "missing" not in shown
