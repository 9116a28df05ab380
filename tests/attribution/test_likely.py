"""What is likely is nearly always right, also of the changes that people ask about."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from query.load.loader import refresh
from tests.attribution.chain import write_journal, written
from tests.attribution.day import Plan, spend
from tests.attribution.judge import Claim, Judge

pytestmark = pytest.mark.seeds

OF_OWN_CHANGES = """
SELECT e.seq, l.trackid, l.call, d.confidence
FROM event_doers d JOIN audit_lines l ON l.seq = d.line_seq JOIN events e ON e.seq = d.seq
WHERE d.confidence = 'likely' AND NOT d.internal AND e.class <> 'task' AND e.event_id IS NOT NULL
    AND NOT list_has_all(['allowed_operations', 'current_operations'], e.changed_fields)
"""


@pytest.mark.parametrize("seeds", [[2, 7], pytest.param(range(40), marks=pytest.mark.soak)])
def test_likely_is_nearly_always_right_of_what_tasks_do_to_objects(
    seeds: Sequence[int], tmp_path: Path
) -> None:
    """Not only of what follows from any task: which operations are allowed, and under way."""
    wrong: list[str] = []
    told = 0
    for seed in seeds:
        day, data = spend(Plan.of(seed)), tmp_path / str(seed)
        data.mkdir()
        journal = written(day)
        write_journal(day, data / "journal")
        with refresh(data).open() as history:
            claims = [
                Claim(journal.changes[about], str(trackid), str(call), str(confidence))
                for about, trackid, call, confidence in history.plain(OF_OWN_CHANGES, {})
                if isinstance(about, int)
            ]
        wrong += Judge(day).wrong(claims)
        told += len(claims)
    assert told > 200 * len(seeds)
    assert len(wrong) <= told / 100, (len(wrong), told, wrong)
