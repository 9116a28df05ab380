"""What is asked once of a history that stays as it is, and anew of one that is being loaded."""

from pathlib import Path

from query.history.database import History, open_for_loading, open_for_reading
from query.load.known import Memory
from query.load.loading import load
from query.questions.pool_facts import facts_of
from recorder.model import Stream
from tests.history.journals import Pool, Told


def _streams(history: History) -> list[str | None]:
    return [one.stream for one in facts_of(history, "lab").registrations]


def test_facts_are_asked_once_while_nothing_can_change_them(tmp_path: Path) -> None:
    """Whoever may write sees at once what was written."""
    told, path = Told(), tmp_path / "history.duckdb"
    lab = Pool(told)
    lab.register()
    load(path, told.entries, Memory(), loaded_at_us=0)
    with open_for_reading(path) as history:
        assert _streams(history) == [Stream.REGISTER]
        assert facts_of(history, "lab") is facts_of(history, "lab")
    again = (
        'INSERT INTO marks SELECT seq + 1, pool, received_at, name, epoch, \'{"stream": "from"}\''
    )
    with open_for_loading(path) as history:
        assert _streams(history) == [Stream.REGISTER]
        history.connection.execute(f"{again} FROM marks WHERE name = 'registered'")
        assert _streams(history) == [Stream.REGISTER, Stream.FROM]


def test_facts_of_a_pool_are_not_those_of_another(tmp_path: Path) -> None:
    """Nor is anything known of one that was never recorded."""
    told, path = Told(), tmp_path / "history.duckdb"
    Pool(told, "lab").register()
    Pool(told, "east").register(Stream.FROM)
    load(path, told.entries, Memory(), loaded_at_us=0)
    with open_for_reading(path) as history:
        assert _streams(history) == [Stream.REGISTER]
        (east,) = facts_of(history, "east").registrations
        assert east.stream == Stream.FROM
        never = facts_of(history, "west")
        assert (never.reach, never.registrations, never.epoch_at(9)) == (None, [], None)
