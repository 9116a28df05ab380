"""The history in Python, for notebooks and scripts: every answer is an Arrow table.

    import query
    with query.open_history("xentrail-data") as history:
        vms = history.at("-2h", class_="VM", fields=["power_state"]).to_pandas()

What there is to know of an answer as a whole (how certain it is in each pool, which gaps it
touches) is JSON in the metadata of its schema, under `xentrail`: see `notes_of`.
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import msgspec
import pyarrow as pa

from recorder.clock import wall_ns
from recorder.instant import BadInstant, Instant, us_of

from .errors import NoSuchField
from .history.database import History, history_file
from .history.turns import to_read
from .load import loader
from .questions import drift, instants, objects, states, timeline
from .questions.answers import one_statement
from .questions.lacks import Lacks, lacks_between
from .records import Json

When = str | datetime | Instant
"""`-2h`, `2026-11-23T03:12` (UTC unless it says otherwise), `@SEQ`, or a datetime with a zone."""

_KEY = b"xentrail"
_TIME = pa.timestamp("us", tz="UTC")
_AT = pa.schema(
    [
        *((name, pa.string()) for name in ("pool", "class", "ref", "uuid", "name", "certainty")),
        ("exists", pa.bool_()),
        ("reason", pa.string()),
        ("gap", pa.int64()),
        ("seq", pa.int64()),
        ("told_at", _TIME),
        ("origin", pa.string()),
        ("stream", pa.string()),
    ]
)
_HISTORY = pa.schema(
    [
        ("seq", pa.int64()),
        ("received_at", _TIME),
        *((name, pa.string()) for name in ("class", "ref", "operation", "origin")),
        ("gap", pa.int64()),
        *((name, pa.string()) for name in ("stream", "field", "old", "new")),
    ]
)
_DIFF = pa.schema(
    [
        *((name, pa.string()) for name in ("pool", "class", "ref", "uuid", "name", "what")),
        *((name, pa.string()) for name in ("field", "old", "new")),
        ("seq_before", pa.int64()),
        ("seq_after", pa.int64()),
    ]
)


def open_history(
    data: str | Path, *, database: str | Path | None = None, refresh: bool = True
) -> "OpenHistory":
    """Open the history of a recorder for reading; `data` is its folder, as with `--data`.

    It is kept in the file `database`, or in `data`. With `refresh` it is brought up to date first,
    which needs the journal; without, it is read as it lies there. What stands in the way of that is
    a warning of Python.

    While it is open no other process can add to it: close it, or use it as a context. Raises
    JournalError if there is no journal, QueryError if the history cannot be used.
    """
    file = None if database is None else Path(database)
    if refresh:
        loaded = loader.refresh(Path(data), database=file)
        for text in loaded.warnings:
            warnings.warn(text, stacklevel=2)
        return OpenHistory(loaded.open())
    return OpenHistory(to_read(history_file(Path(data), file)))


def notes_of(table: pa.Table) -> dict[str, Json]:
    """Return what there is to know of an answer as a whole."""
    metadata = table.schema.metadata or {}
    notes: dict[str, Json] = msgspec.json.decode(metadata.get(_KEY, b"{}"))
    return notes


class OpenHistory:
    """An open history. Wherever an object is named, it is as on the command line."""

    def __init__(self, history: History) -> None:
        self._history = history

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._history.close()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection of DuckDB with all tables and views: read-only, and locked in the file."""
        return self._history.connection

    def sql(self, statement: str) -> pa.Table:
        """Return the answer to one statement. Raises BadSql, TooLarge."""
        return self._history.table(one_statement(statement))

    def at(
        self,
        instant: When,
        object_: str | None = None,
        *,
        class_: str | None = None,
        pool: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return an object, or all objects of a class, as they were at an instant: a row each.

        Each row says how certain it is, and which entry (`seq`) told it. The record is JSON text in
        the column `fields`; if some `fields` are named, each has a column of its own, in which text
        is as it is and anything else JSON. Notes: `at`, and `verdicts` for the pools.

        Raises BadInstant, NoSuchObject, AmbiguousObject, NoSuchPool, NoSuchField; ValueError for
        neither an object nor a class.
        """
        moment = self._instant(instant, pool)
        if object_ is not None:
            found = objects.find(self._history, object_, pool=pool, cls=class_)
            told = [states.state_of(self._history, found, moment)]
            notes: dict[str, object] = {"at": str(moment)}
        elif class_ is not None:
            all_told = states.states_of_class(self._history, class_, moment, pool=pool)
            told = all_told.states
            notes = {"at": all_told.at, "verdicts": all_told.verdicts}
        else:
            raise ValueError("name an object, or a class_ for all its objects")
        wanted = None if fields is None else [name for name in fields if name not in _AT.names]
        _check_fields(wanted or [], told)
        names = ["fields"] if wanted is None else wanted
        schema = pa.schema([*_AT, *((name, pa.string()) for name in names)])
        return _table([_state_row(one, wanted) for one in told], schema, notes)

    def history(
        self,
        object_: str,
        *,
        class_: str | None = None,
        pool: str | None = None,
        since: When | None = None,
        until: When | None = None,
    ) -> pa.Table:
        """Return the life of an object, oldest first: a row a changed field.

        `old` and `new` are JSON text; a step that changed no field has a row without. Notes: the
        `object`, and what the range may lack. Raises as `at`.
        """
        found = objects.find(self._history, object_, pool=pool, cls=class_)
        begin, end = self._range(since, until, found.pool)
        life = timeline.life_of(self._history, found, since=begin, until=end)
        lacks = lacks_between(self._history, begin, end, pool=found.pool)
        rows = [
            {**step, **change}
            for one in life.steps
            for step in (_plain(one),)
            for change in (_changes(one) or [{}])
        ]
        return _table(rows, _HISTORY, {"object": life.object, **_plain(lacks)})

    def diff(
        self,
        before: When,
        after: When,
        object_: str | None = None,
        *,
        class_: str | None = None,
        pool: str | None = None,
        everything: bool = False,
    ) -> pa.Table:
        """Return what differs between two instants: a row a field, or an object that came or went.

        Notes: the verdicts at both instants, which pools were `not_compared`, and how many
        `volatile` differences were left out, which come by themselves; `everything` has them, too.
        Raises as `at`, and BadInstant where nothing can be compared.
        """
        found = None
        if object_ is not None:
            found = objects.find(self._history, object_, pool=pool, cls=class_)
            pool = found.pool
        first, second = self._instant(before, pool), self._instant(after, pool)
        told = drift.drift(
            self._history, first, second, found=found, cls=class_, pool=pool, everything=everything
        )
        notes = _plain(told)
        rows = notes.pop("differences")
        assert isinstance(rows, list)
        return _table(rows, _DIFF, notes)

    def lacks(
        self, since: When | None = None, until: When | None = None, *, pool: str | None = None
    ) -> Lacks:
        """Return what any answer about a range may lack; None is all that was recorded."""
        begin, end = self._range(since, until, pool)
        return lacks_between(self._history, begin, end, pool=pool)

    def _range(
        self, since: When | None, until: When | None, pool: str | None
    ) -> tuple[Instant | None, Instant | None]:
        begin = None if since is None else self._instant(since, pool)
        return begin, None if until is None else self._instant(until, pool)

    def _instant(self, when: When, pool: str | None) -> Instant:
        if isinstance(when, Instant):
            return when
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise BadInstant(f"{when} has no time zone: write datetime(…, tzinfo=UTC)")
            return Instant(at_us=us_of(when))
        found = instants.read_instant(when, now_ns=wall_ns(), zone=UTC)
        return instants.place_of(self._history, when, pool=pool) if found is None else found


def _plain(value: msgspec.Struct) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(value, builtin_types=(datetime,))
    return plain


def _changes(step: timeline.Step) -> list[dict[str, object]]:
    return [{"field": one.field, "old": one.old, "new": one.new} for one in step.changes]


def _state_row(state: states.State, fields: Sequence[str] | None) -> dict[str, object]:
    row = _plain(state)
    if fields is None:
        return row | {"fields": msgspec.json.encode(state.fields).decode()}
    return row | {name: _text(state.fields.get(name)) for name in fields}


def _check_fields(fields: Sequence[str], told: Sequence[states.State]) -> None:
    """Raise NoSuchField for a name that no record has, unless there is no record at all."""
    known = {name for state in told for name in state.fields}
    for name in fields:
        if known and name not in known:
            raise NoSuchField(f"no field is called {name!r}; there are {', '.join(sorted(known))}")


def _text(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _table(
    rows: Sequence[Mapping[str, object]], schema: pa.Schema, notes: Mapping[str, object]
) -> pa.Table:
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    metadata = {_KEY: msgspec.json.encode(notes)}
    return pa.Table.from_arrays(columns, schema=schema.with_metadata(metadata))
