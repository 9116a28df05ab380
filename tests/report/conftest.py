"""Pages that many tests look at."""

import pytest

from tests.report.stories import VOUCHED, a_day, evil_day, page_of


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about a day with a gap, a failed task and a journal that is sound."""
    with a_day().history(tmp_path_factory.mktemp("day")) as history:
        return page_of(history, VOUCHED)


@pytest.fixture(scope="session")
def evil(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about a pool that is hostile in every name; its journal was not verified."""
    with evil_day().history(tmp_path_factory.mktemp("evil")) as history:
        return page_of(history)
