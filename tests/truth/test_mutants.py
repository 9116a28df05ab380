"""The oracle bites: a recorder that is broken on purpose is caught, by the promise it breaks."""

import re

import pytest

from tests.truth.campaign import failure_of
from tests.truth.mutants import MUTANTS
from tests.truth.plan import plan_of

pytestmark = pytest.mark.seeds

SEEDS_MAX = 5


@pytest.mark.parametrize("name", MUTANTS)
def test_broken_recorder_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a few seeds the oracle says which promise a mutant breaks; unbroken, it keeps it."""
    mutant = MUTANTS[name]
    for seed in range(mutant.first_seed, mutant.first_seed + SEEDS_MAX):
        plan = plan_of(seed, kinds=mutant.shown_by, strokes_max=3, shape=mutant.shape)
        with monkeypatch.context() as patch:
            mutant.breaks(patch)
            caught = failure_of(plan)
        if caught:
            break
    else:
        pytest.fail(f"{name} was not caught")
    assert re.search(f"^{mutant.promise}:", caught, re.MULTILINE), caught
    assert not failure_of(plan)
