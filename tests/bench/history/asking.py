"""The usual questions, asked of the history, of SQLite, and of lines of JSON."""

from functools import partial
from pathlib import Path

import msgspec

from tests.bench.chapter import OURS, Bench, Chapter, Figure, Limit, Verdict, by_turns, ratio
from tests.bench.child import output_of
from tests.bench.history.loads import LINES, SQLITE
from tests.bench.history.questions import Answered

ANSWER_MS_MAX = {
    "one object at T": 20,
    "the history of one object": 25,
    "a whole pool at T": 200,
    "power-state changes of a day": 50,
    "counts by class and hour": 30,
}
WAYS = {OURS: ("ask", 20), SQLITE: ("ask-sqlite", 20), LINES: ("ask-lines", 2)}
"""The work that asks, and how many questions of each kind: a walk takes its time."""


def ask(bench: Bench, chapter: Chapter, *, factor: int = 1, rivals: bool = True) -> None:
    """Ask what is in the folder of the bench; `factor` times the usual limits are allowed.

    Raises AssertionError if somebody finds something else than the others.
    """
    ways = WAYS if rivals else {OURS: WAYS[OURS]}
    works = [
        (who, partial(_ask, bench.folder, work, bench.of(count, min(count, 5))))
        for who, (work, count) in ways.items()
    ]
    rounds = by_turns(bench, works)
    for what, limit_ms in ANSWER_MS_MAX.items():
        for who in ways:
            values = [answered[what].median_ms for answered in rounds[who]]
            chapter.figures.append(Figure.of(what, who, "ms an answer", values))
            _check(what, rounds[OURS][0][what], rounds[who][0][what])
        ours = chapter.find(what, OURS, "ms an answer")
        limit = Limit("at most", limit_ms * factor)
        chapter.verdicts.append(Verdict(what, "ms", ours.spread, limit))
        for who in ways:
            if who != OURS:
                theirs = chapter.find(what, who, "ms an answer")
                chapter.verdicts.append(ratio(f"{what}, time against {who}", ours, theirs))


def _ask(folder: Path, work: str, count: int) -> dict[str, Answered]:
    told = output_of("tests.bench.history.work", work, folder, count)
    return msgspec.json.decode(told, type=dict[str, Answered])


def _check(what: str, ours: Answered, theirs: Answered) -> None:
    pairs = zip(ours.found, theirs.found, strict=False)
    assert all(a == b for a, b in pairs), f"{what}: {ours.found} and {theirs.found} were found"
