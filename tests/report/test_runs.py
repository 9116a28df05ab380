"""Runs of workloads in a report: a picture of their calls, the outcomes, and the audit."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from query.audit.judge import Verdict
from query.history.database import History
from query.report.gather import Report
from query.report.page import page
from query.report.period import Period
from query.report.pictures import Lane
from query.report.runpart import runs_part
from query.report.runs import RunTold, runs_of
from recorder.model import Mark, MarkName
from tests.audit import lies
from tests.audit.plays import Liar, history_of
from tests.report.audit import audited
from tests.report.chromium import ready_chromium
from tests.report.stories import EVIL_NAMES, MAKER, UNVERIFIED, canvas_of, reported
from tests.report.test_browser import LIGHT, measured
from tests.report.test_pictures import PLOT_PX, boxes, texts

EVIL = EVIL_NAMES[0]


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    """A run with a failure on one pool, and one of which lies are told on another."""
    with history_of({"east": Liar(lies.failure()), "west": _liar()}) as told:
        yield told


@pytest.fixture(scope="module")
def report(history: History) -> Report:
    """The report on both."""
    return reported(history)[0]


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    """The page of it."""
    return page(report, UNVERIFIED, canvas_of(report.period), MAKER)


def _liar() -> Liar:
    """A success is called a failure, somebody else changes a VM, and names are hostile."""
    liar = Liar(lies.cycle())
    lies.failure_for_a_success(liar)
    lies.foreign_change(liar)
    for seq, _ in liar.tale.marks(MarkName.STEP_INTENDED):
        liar.mark(seq, name=EVIL)
    ((seq, detail),) = liar.tale.marks(MarkName.RUN_STARTED)
    plan = {**json.loads(str(detail["plan"])), "script": EVIL}
    liar.mark(seq, script=EVIL, who=EVIL_NAMES[4], plan=json.dumps(plan))
    ended = lies.call_of(liar, "VM.suspend")["ended"]
    liar.mark(int(str(ended)), why=EVIL_NAMES[2], error=json.dumps([EVIL, EVIL_NAMES[6]]))
    return liar


def run_on(report: Report, pool: str) -> RunTold:
    (one,) = [one for one in report.pools if one.facts.pool == pool]
    (run,) = one.runs.rows
    return run


def test_run_is_told_with_its_calls_and_what_the_audit_comes_to(report: Report) -> None:
    """By its own account, and by that of the record; with what others did meanwhile."""
    east, west = run_on(report, "east"), run_on(report, "west")
    assert (east.status, east.held, east.verdict) == ("completed", False, Verdict.PROVEN)
    (failed,) = [call for call in east.calls if call.outcome == "failure"]
    assert failed.error == '["HOST_NOT_ENOUGH_FREE_MEMORY","1","2"]'
    assert failed.end_us is not None
    assert failed.begin_us < failed.end_us
    assert {call.verdict for call in east.calls} == {Verdict.PROVEN}
    assert (east.strangers, east.findings) == ([], [])
    assert east.followed > 10
    assert west.verdict is Verdict.CONTRADICTED
    assert [call.outcome for call in west.calls if "status" in call.rules] == ["failure"]


def test_runs_outside_of_the_period_are_left_out(history: History, report: Report) -> None:
    """One that reaches into it counts."""
    run, period = run_on(report, "east"), report.period
    begin_us, end_us = run.calls[0].begin_us, run.calls[-1].end_us or 0
    earlier = msgspec.structs.replace(period, end_us=begin_us - 1, last_seq=run.first_seq - 1)
    later = msgspec.structs.replace(period, begin_us=end_us + 60_000_000)
    within = msgspec.structs.replace(period, begin_us=begin_us + 1)
    assert [len(runs_of(history, "east", one).rows) for one in (earlier, later, within)] == [
        0,
        0,
        1,
    ]


def test_many_runs_are_told_from_the_newest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is audited, which takes a while; how many are left out is said."""
    monkeypatch.setattr("query.report.runs.RUNS_MAX", 2)
    liar = Liar(lies.clones())
    ((seq, _),) = liar.tale.marks(MarkName.RUN_STARTED)
    begun = liar.body(seq)
    assert isinstance(begun, Mark)
    more = [Mark(begun.name, {**begun.detail, "run": f"later-{number}"}) for number in range(4)]
    liar.add(liar.tale.entries[-1].seq, *more)
    with history_of({"lab": liar}) as told:
        report, canvas = reported(told)
    (pool,) = report.pools
    assert [row.run for row in pool.runs.rows] == ["later-2", "later-3"]
    assert pool.runs.left_out == 3
    part = runs_part(pool.runs, canvas)
    assert part is not None
    assert "; 3 older ones: " in part.text


def test_picture_has_a_bar_for_each_call_where_it_was_under_way(report: Report) -> None:
    """A lane for each VM; a failure has its own colour and height; what has no end is hatched."""
    run = run_on(report, "east")
    lanes: dict[str, Lane] = {}
    for call in run.calls:
        lanes.setdefault(call.name, Lane(call.name)).calls.append(call)
    begin_us = min(call.begin_us for call in run.calls)
    end_us = max(call.end_us or 0 for call in run.calls)
    canvas = canvas_of(Period(begin_us, end_us, 1))
    drawn = canvas.calls([*lanes.values()], "calls")
    assert [text for text in texts(drawn) if text in lanes] == [*lanes]
    done = [call for call in run.calls if call.outcome == "success"]
    (failed,) = [call for call in run.calls if call.outcome == "failure"]
    assert len(boxes(drawn, "var(--running)")) == len(done)
    ((left, width, _),) = boxes(drawn, "var(--bad)")
    scale = PLOT_PX / (end_us - begin_us)
    assert left == pytest.approx((failed.begin_us - begin_us) * scale, abs=0.11)
    assert width == pytest.approx(((failed.end_us or 0) - failed.begin_us) * scale, abs=0.2)
    open_call = msgspec.structs.replace(done[0], outcome=None, end_us=None)
    cut = canvas.calls([Lane("web1", [open_call])], "calls")
    ((left, width, _),) = boxes(cut, "url(#gap)")
    assert left + width == pytest.approx(PLOT_PX, abs=0.2)


def test_page_shows_verdicts_outcomes_and_findings(report: Report, html: str) -> None:
    """The verdict stands out; every row names its entries; hostile names are text."""
    told = audited(html)
    assert told.troubles == []
    assert "Audit: proven: the record shows all that is claimed of " in told.text
    assert "Audit: contradicted: call" in told.text
    assert html.count('class="notice good"') == html.count('class="notice bad"') == 1
    calls = [row for row in told.rows if len(row) == 6 and row[0].isdigit()]
    east = [row for row in calls if row[2].startswith("failure HOST_NOT_ENOUGH_FREE_MEMORY 1 2")]
    assert len(east) == 1
    assert len(calls) == sum(len(run_on(report, pool).calls) for pool in ("east", "west"))
    assert all("@" in row[-1] for row in calls)
    findings = [row for row in told.rows if len(row) == 5 and row[0] == "contradicted"]
    assert ["status", "3"] in [row[1:3] for row in findings]
    assert all("@" in row[-1] for row in findings)
    assert "<script>alert(1)" in told.text


def test_page_without_runs_says_nothing_of_them(day: str) -> None:
    """There is no empty section."""
    assert "Audit:" not in audited(day).text


def test_page_with_runs_fits_every_width(html: str, tmp_path: Path) -> None:
    """No scrolling sideways, and nothing is cut off."""
    ready_chromium()
    (tmp_path / "report.html").write_text(html, "utf-8")
    for one in measured(tmp_path / "report.html", tmp_path, LIGHT):
        assert (one["scroll"] <= one["width"], one["clipped"]) == (True, [])
