"""Which number the rows of an object have, by which they are found."""

import pytest

from query.history.database import History
from query.questions.objects import Found, find, number_of
from tests.history.journals import Pool, Told, loaded, rows
from tests.history.stories import STORY
from tests.history.taskpools import working


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    told = Told([*STORY.entries])
    west = Pool(told, "west")
    west.register()
    west.event("add", "vm", "web9", working("web9"))
    west.event("mod", "vm", "web9", working("web9", "t1"))
    return loaded(tmp_path_factory.mktemp("story") / "history.duckdb", told.entries)


def test_rows_have_the_number_of_their_object_and_of_no_other(history: History) -> None:
    """A number that two objects had, or that a row lacked, would tell of one what the other did."""
    numbered = """(
        SELECT 'events' AS kept, pool, class, ref, object FROM events
        UNION ALL SELECT 'changes', pool, class, ref, object FROM changes
        UNION ALL SELECT 'carried', pool, class, ref, object FROM carried
    )"""
    assert rows(history, f"SELECT count(DISTINCT kept) FROM {numbered}") == [(3,)]  # noqa: S608  # ours
    wrong = f"""
        SELECT n.* FROM {numbered} n LEFT JOIN objects o ON o.first_seq = n.object
        WHERE (n.pool, n.class, n.ref) IS DISTINCT FROM (o.pool, o.class, o.ref)
    """  # noqa: S608  # ours
    assert rows(history, wrong) == []
    assert rows(history, "SELECT first_seq FROM objects GROUP BY ALL HAVING count(*) > 1") == []


def test_number_is_looked_up_where_it_is_not_known(history: History) -> None:
    """An object that was never recorded has none."""
    web1 = find(history, "web1")
    asked = Found(web1.pool, web1.cls, web1.ref, None, None, gone=False)
    assert number_of(history, asked) == web1.first_seq
    never = Found(web1.pool, "host", web1.ref, None, None, gone=False)
    assert number_of(history, never) == 0
