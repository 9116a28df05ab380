"""The questions bite: a history that is broken on purpose is caught, by a promise it breaks."""

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from query.history.database import History
from tests.truth.inquiry import Question, Remembering, differences, grown, questions
from tests.truth.loader_mutants import (
    ANSWER_MUTANTS,
    AS_KNOWN_MUTANTS,
    LOADER_MUTANTS,
    HistoryMutant,
)
from tests.truth.plan import plan_of
from tests.truth.simulate import Outcome, simulate
from tests.truth.verdict import Broken

pytestmark = pytest.mark.seeds

SEEDS_MAX = 5

ASKED_MAX = 200
"""So many questions, drawn from all, show what is wrong, or those of the next seed do."""


@dataclass
class Bench:
    """Whole histories, each with its outcome, for all mutants that may show there."""

    folder: Path
    stack: ExitStack
    outcomes: dict[object, Outcome] = field(default_factory=dict)
    histories: dict[object, History] = field(default_factory=dict)

    def outcome(self, mutant: HistoryMutant, seed: int) -> Outcome:
        """Return what a seed comes to where the mutant shows."""
        key = mutant.shape, mutant.shown_by, seed
        if key not in self.outcomes:
            plan = plan_of(seed, kinds=mutant.shown_by, shape=mutant.shape)
            self.outcomes[key] = simulate(plan)
        return self.outcomes[key]

    def whole(self, mutant: HistoryMutant, seed: int) -> History:
        """Return the history that nothing has broken."""
        key = mutant.shape, mutant.shown_by, seed
        if key not in self.histories:
            folder = self.folder / str(len(self.histories))
            path = grown(self.outcome(mutant, seed), folder, random.Random(seed))
            self.histories[key] = self.stack.enter_context(Remembering(path))
        return self.histories[key]

    def asked(self, mutant: HistoryMutant, seed: int, history: History) -> Sequence[Question]:
        """Return the same questions for each history of a seed."""
        outcome = self.outcome(mutant, seed)
        return questions(history, outcome, "pool-1", random.Random(seed))[:ASKED_MAX]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path_factory.mktemp("whole"), stack)


def first_wrong(asked: Sequence[Question]) -> tuple[int, str] | None:
    """Return which question is answered wrongly, and what is wrong."""
    for number, ask in enumerate(asked):
        try:
            ask()
        except Broken as broken:
            return number, str(broken)
    return None


@pytest.mark.parametrize("name", LOADER_MUTANTS)
def test_history_that_was_loaded_wrongly_is_caught(
    name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Within a few seeds some answer is wrong; from a whole history the same one is right."""
    mutant = LOADER_MUTANTS[name]
    for seed in range(mutant.first_seed, mutant.first_seed + SEEDS_MAX):
        with monkeypatch.context() as patch:
            mutant.breaks(patch)
            path = grown(bench.outcome(mutant, seed), tmp_path / str(seed), random.Random(seed))
        with Remembering(path) as broken:
            found = first_wrong(bench.asked(mutant, seed, broken))
        if found is not None:
            number, told = found
            assert told.startswith("P3: ")
            bench.asked(mutant, seed, bench.whole(mutant, seed))[number]()
            return
    pytest.fail(f"{name} was not caught")


@pytest.mark.parametrize("name", ANSWER_MUTANTS)
def test_history_that_is_read_wrongly_is_caught(
    name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a few seeds some answer is wrong; unbroken, the same one is right."""
    mutant = ANSWER_MUTANTS[name]
    for seed in range(mutant.first_seed, mutant.first_seed + SEEDS_MAX):
        asked = bench.asked(mutant, seed, bench.whole(mutant, seed))
        with monkeypatch.context() as patch:
            mutant.breaks(patch)
            found = first_wrong(asked)
        if found is not None:
            number, told = found
            assert told.startswith("P3: ")
            asked[number]()
            return
    pytest.fail(f"{name} was not caught")


@pytest.mark.parametrize("name", AS_KNOWN_MUTANTS)
def test_answer_that_uses_later_entries_is_caught(
    name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Within a few seeds an answer as known differs from that of a history which ends there."""
    mutant = AS_KNOWN_MUTANTS[name]
    mutant.breaks(monkeypatch)
    for seed in range(mutant.first_seed, mutant.first_seed + SEEDS_MAX):
        outcome, history = bench.outcome(mutant, seed), bench.whole(mutant, seed)
        if next(differences(history, outcome, tmp_path, random.Random(seed)), None):
            return
    pytest.fail(f"{name} was not caught")
