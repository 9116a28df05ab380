"""The tables of the history and the shape of the rows that are inserted in bulk.

The history is derived: it can be deleted at any time and is rebuilt from the journal. A change of
the tables needs no migration, only a new SCHEMA_VERSION.
"""

import re
from collections.abc import Mapping
from importlib.resources import files

import msgspec
import pyarrow as pa

SCHEMA_VERSION = 9

_TIME = pa.timestamp("us", tz="UTC")

EVENTS = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("epoch", pa.int64()),
        ("received_at", _TIME),
        ("server_at", _TIME),
        ("event_id", pa.int64()),
        ("class", pa.string()),
        ("operation", pa.string()),
        ("ref", pa.string()),
        ("uuid", pa.string()),
        ("name", pa.string()),
        ("origin", pa.string()),
        ("gap", pa.int64()),
        ("changed_fields", pa.list_(pa.string())),
        ("snapshot", pa.string()),
        ("object", pa.int64()),
    ]
)
CHANGES = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("received_at", _TIME),
        ("class", pa.string()),
        ("ref", pa.string()),
        ("uuid", pa.string()),
        ("name", pa.string()),
        ("field", pa.string()),
        ("old", pa.string()),
        ("new", pa.string()),
        ("origin", pa.string()),
        ("gap", pa.int64()),
        ("object", pa.int64()),
    ]
)
CARRIED = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("received_at", _TIME),
        ("task", pa.string()),
        ("class", pa.string()),
        ("ref", pa.string()),
        ("name", pa.string()),
        ("operation", pa.string()),
        ("part", pa.string()),
        ("tasks", pa.int32()),
        ("origin", pa.string()),
        ("gap", pa.int64()),
        ("object", pa.int64()),
    ]
)
OBJECTS = pa.schema(
    [
        ("pool", pa.string()),
        ("class", pa.string()),
        ("ref", pa.string()),
        ("uuid", pa.string()),
        ("name", pa.string()),
        ("first_seq", pa.int64()),
        ("first_at", _TIME),
        ("first_origin", pa.string()),
        ("first_operation", pa.string()),
        ("last_seq", pa.int64()),
        ("last_at", _TIME),
        ("gone", pa.bool_()),
        ("gone_origin", pa.string()),
        ("gap", pa.int64()),
        ("seen_seq", pa.int64()),
        ("chunk_seq", pa.int64()),
        ("event_seq", pa.int64()),
        ("event_id", pa.int64()),
    ]
)
CURRENT_STATE = pa.schema(
    [
        ("pool", pa.string()),
        ("class", pa.string()),
        ("ref", pa.string()),
        ("snapshot", pa.string()),
    ]
)
POOLS = pa.schema(
    [
        ("pool", pa.string()),
        ("pool_uuid", pa.string()),
        ("first_seq", pa.int64()),
        ("first_at", _TIME),
        ("last_seq", pa.int64()),
        ("last_at", _TIME),
        ("baselined_seq", pa.int64()),
        ("done_seq", pa.int64()),
        ("epoch", pa.int64()),
        ("stream", pa.string()),
        ("anchor_seq", pa.int64()),
        ("certain_seq", pa.int64()),
        ("certain_at", _TIME),
        ("gap", pa.int64()),
        ("facts", pa.string()),
        ("readings", pa.string()),
        ("classes", pa.string()),
    ]
)
GAP_SPANS = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("cause", pa.string()),
        ("told_cause", pa.string()),
        ("detail", pa.string()),
        ("stream", pa.string()),
        ("since", _TIME),
        ("since_seq", pa.int64()),
        ("opened_at", _TIME),
        ("last_event_id", pa.int64()),
        ("last_event_at", _TIME),
        ("first_event_id", pa.int64()),
        ("first_event_at", _TIME),
        ("ids_missed", pa.int64()),
        ("rolled_back_from", pa.int64()),
        ("rolled_back_to", pa.int64()),
        ("blind_until", _TIME),
        ("closed_at", _TIME),
        ("closed_seq", pa.int64()),
    ]
)
MARKS = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("received_at", _TIME),
        ("name", pa.string()),
        ("epoch", pa.int64()),
        ("detail", pa.string()),
    ]
)
TASKS = pa.schema(
    [
        ("pool", pa.string()),
        ("ref", pa.string()),
        ("uuid", pa.string()),
        ("name_label", pa.string()),
        ("created", _TIME),
        ("finished", _TIME),
        ("duration_s", pa.float64()),
        ("status", pa.string()),
        ("progress", pa.float64()),
        ("result", pa.string()),
        ("error_code", pa.string()),
        ("error_params", pa.list_(pa.string())),
        ("first_seq", pa.int64()),
        ("last_seq", pa.int64()),
        ("subtask_of", pa.string()),
        ("operation", pa.string()),
        ("mentions", pa.list_(pa.string())),
    ]
)
AUDIT_LINES = pa.schema(
    [
        ("seq", pa.int64()),
        ("pool", pa.string()),
        ("received_at", _TIME),
        ("host", pa.string()),
        ("imported", pa.bool_()),
        ("written_at", _TIME),
        ("thread", pa.string()),
        ("client", pa.string()),
        ("listener", pa.string()),
        ("task_name", pa.string()),
        ("mark_kind", pa.string()),
        ("mark", pa.string()),
        ("trackid", pa.string()),
        ("sid", pa.string()),
        ("username", pa.string()),
        ("internal", pa.bool_()),
        ("verdict", pa.string()),
        ("result", pa.string()),
        ("error_code", pa.string()),
        ("error_params", pa.list_(pa.string())),
        ("api", pa.string()),
        ("call", pa.string()),
        ("field", pa.string()),
        ("target", pa.string()),
        ("targets", pa.list_(pa.string())),
        ("arguments", pa.string()),
        ("line", pa.string()),
    ]
)
TABLES = {
    "audit_lines": AUDIT_LINES,
    "events": EVENTS,
    "changes": CHANGES,
    "carried": CARRIED,
    "objects": OBJECTS,
    "current_state": CURRENT_STATE,
    "pools": POOLS,
    "gap_spans": GAP_SPANS,
    "marks": MARKS,
    "tasks": TASKS,
}


_COMMENTED = re.compile(r"((?:^-- .*\n)+)CREATE (TABLE|VIEW) (\w+)", re.MULTILINE)
_COLUMN = re.compile(r"(\w+): (.+)")
_AS_ABOVE = re.compile(r"(\w+)\.\*")


class Described(msgspec.Struct, frozen=True):
    """A table or view of the history: what a row is, and what each column says."""

    name: str
    kind: str
    text: str
    columns: Mapping[str, str]


def statements() -> str:
    """Return the SQL that creates every table and view in an empty history."""
    return files(__package__).joinpath("views.sql").read_text(encoding="utf-8")


def described(sql: str) -> list[Described]:
    """Return what the comments above each CREATE of `sql` say, in its order.

    A line `column: text` begins what is said of a column, and goes on in lines that are indented;
    `table.*` takes over what was said of a table further up. Columns may be described there that a
    table taken over has and this one has not.
    """
    found: dict[str, Described] = {}
    for comment, kind, name in _COMMENTED.findall(sql):
        text: list[str] = []
        columns: dict[str, str] = {}
        column = ""
        for line in comment.splitlines():
            said = line.removeprefix("-- ")
            if above := _AS_ABOVE.fullmatch(said):
                columns |= found[above[1]].columns
            elif begun := _COLUMN.fullmatch(said):
                column = begun[1]
                columns[column] = begun[2]
            elif column:
                columns[column] += f" {said.strip()}"
            else:
                text.append(said)
        found[name] = Described(name, kind, "\n".join(text), columns)
    return list(found.values())
