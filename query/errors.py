"""What can go wrong with a question about the past."""

from collections.abc import Sequence

from recorder.errors import QueryError


class HistoryUnreadable(QueryError):
    """The history file cannot be opened."""


class HistoryBusy(QueryError):
    """Another process keeps the history file to itself."""


class HistoryOfAnother(QueryError):
    """The history file that was named is that of another journal."""


class BadSql(QueryError):
    """DuckDB refused a statement."""


class TooLarge(QueryError):
    """A question needs more memory and disk than it may have."""


class NoSuchObject(QueryError):
    """No recorded object bears this name, reference or uuid."""


class NoSuchTable(QueryError):
    """The history has no table or view of this name."""


class NotWritten(QueryError):
    """What was to be exported cannot be put where it was to be."""


class NoSuchField(QueryError):
    """No record that was asked for has a field of this name."""


class NoSuchPool(QueryError):
    """No pool of this name was ever recorded."""


class NoSuchRun(QueryError):
    """No run of a workload of this name was ever recorded."""


class UnknownStart(QueryError):
    """Nobody knows what a pool was like when a run began."""


class AmbiguousObject(QueryError):
    """Several recorded objects answer to this name; `choices` says which."""

    def __init__(self, text: str, choices: Sequence[str]) -> None:
        super().__init__(text)
        self.choices = tuple(choices)
