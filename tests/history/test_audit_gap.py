"""Gaps of the audit trail: told in the ledger, and in nothing that is about states."""

from pathlib import Path

from query.questions.certainty import Certainty
from query.questions.gaps import blindness, gaps, gaps_between
from query.questions.objects import find
from query.questions.states import state_of
from recorder.instant import Instant, us_of
from recorder.model import AuditLine, GapCause, GapOpened
from recorder.past.survey import Survey
from tests.history.journals import Pool, Told, loaded, record


def test_gap_of_the_audit_trail_is_in_the_ledger_and_hides_no_state(
    tmp_path: Path,
) -> None:
    """Nobody knows who did what in it; what was done was seen. It closes no gap and opens none."""
    told = Told()
    lab = Pool(told)
    lab.register()
    lab.chunk("vm", {"web1": record("web1")})
    lab.done()
    before = told.seq
    told.write("lab", AuditLine("10.0.0.1", b"a line", False))
    since_ns = told.at_ns(before) + 500
    gap = told.write("lab", GapOpened(GapCause.AUDIT_TRAIL, "lines are lost", None, since_ns))
    lab.event("mod", "vm", "web1", record("web1", memory=2))
    with loaded(tmp_path / "history.duckdb", told.entries) as history:
        (row,) = gaps(history)
        assert (row.seq, row.cause, row.detail, row.open) == (
            gap,
            "audit-trail",
            "lines are lost",
            False,
        )
        assert row.since is not None
        assert row.blind_until is not None
        assert us_of(row.since) == since_ns // 1000
        assert us_of(row.blind_until) == told.at_ns(gap) // 1000
        assert not row.is_blind
        assert gaps_between(history, None, None, pool="lab") == []
        (blind,) = blindness(history, [row], pool="lab")
        assert (blind.gaps, blind.blind_s, blind.open_since) == (0, 0, None)
        found = find(history, "web1")
        for seq in (before, gap, told.seq):
            assert state_of(history, found, Instant(seq=seq)).certainty is Certainty.KNOWN
    survey = Survey.of(iter(told.entries), Instant(seq=told.seq))
    assert list(survey.caveats("lab", Instant(seq=told.seq))) == []
