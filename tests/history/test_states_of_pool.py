"""A whole pool at an instant: the same answer as object by object."""

import pytest
from msgspec.structs import replace

from query.errors import NoSuchPool
from query.history.database import History
from query.questions.objects import Found
from query.questions.states import state_of, states_of_class, states_of_pool
from recorder.instant import Instant
from tests.history.journals import loaded
from tests.history.stories import STORY


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return loaded(tmp_path_factory.mktemp("story") / "history.duckdb", STORY.entries)


@pytest.mark.parametrize("seq", [1, 6, 9, 14, 17, 26, 33, len(STORY.entries)])
@pytest.mark.parametrize("pool", ["lab", "east"])
def test_pool_is_all_its_objects(pool: str, seq: int, history: History) -> None:
    """No object is left out, none is there twice, and each has the state that it has alone."""
    at = Instant(seq=seq)
    whole = states_of_pool(history, pool, at)
    sql = "SELECT pool, class, ref, uuid, name, gone FROM objects WHERE pool = $pool"
    alone = [state_of(history, found, at) for found in history.all(Found, sql, {"pool": pool})]
    there = [replace(state, found_after=None) for state in alone if state.exists]
    assert whole.states == sorted(there, key=lambda state: (state.cls, state.name or "", state.ref))
    vms = states_of_class(history, "vm", at, pool=pool)
    assert vms.states == [state for state in whole.states if state.cls == "vm"]
    assert (vms.verdicts, len(vms.verdicts)) == (whole.verdicts, 1)


def test_pool_that_was_never_recorded_is_named(history: History) -> None:
    """The answer says which there are."""
    with pytest.raises(NoSuchPool, match="no pool is called 'west'; the history has east, lab"):
        states_of_pool(history, "west", Instant(seq=1))
