"""Event listings: what a real xapi told of a call, and what the simulator tells, one line an event.

A line is the object (`vm#2`: the second VM that the listing meets), then `add`, `del` or the
fields that changed. Values are kept where they tell how far a call is; `REF` stands for any
reference, and of a long `allowed_operations` the first two names are kept.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from recorder.simulator.events import EventRow
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Record, Value

FOLDER = Path(__file__).parents[2] / "golden" / "simulator" / "listings"

_REF = re.compile(r"OpaqueRef:[0-9a-f-]+")
_SHOWN_OF_TASKS = ("progress", "status")


def golden(name: str) -> Mapping[str, list[str]]:
    """Return the listings of a file by their names; lines that begin with # are remarks."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            lines = found[line.removeprefix("== ")] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


class Narrator:
    """Tells events in the words of the listings; begins with the rows as they are now."""

    def __init__(self, pool: SimulatedPool) -> None:
        self._last: dict[str, Record] = {
            ref: row.record
            for table in pool.hub.rows.tables.values()
            for ref, row in table.rows.items()
        }
        self._labels: dict[tuple[str, str], str] = {}

    def tell(self, events: Iterable[EventRow]) -> list[str]:
        """Return a line an event."""
        return [self._line(event) for event in events]

    def _line(self, event: EventRow) -> str:
        assert event.record is not None
        label = self._label(event.cls, event.ref)
        before = self._last.get(event.ref, {})
        self._last[event.ref] = event.record
        if event.operation == "add":
            return f"{label} add {self._name(event.cls, event.record)}".rstrip()
        if event.operation == "del":
            return f"{label} del"
        changed = [name for name, value in event.record.items() if before.get(name) != value]
        return " ".join([label, *(_shown(event.cls, name, event.record[name]) for name in changed)])

    def _name(self, cls: str, record: Record) -> str:
        return str(record["name_label"]) if cls == "task" else ""

    def _label(self, cls: str, ref: str) -> str:
        count = sum(known == cls for known, _ref in self._labels)
        return self._labels.setdefault((cls, ref), f"{cls}#{count + 1}")


def _shown(cls: str, field: str, value: Value) -> str:
    """Return a changed field, with its value where that matters."""
    if cls == "task" and field in _SHOWN_OF_TASKS:
        return f"{field}={value}"
    shown = _text(field, value) if cls == "task" or field != "other_config" else None
    return field if shown is None else f"{field}={shown}"


def _text(field: str, value: Value) -> str | None:
    text: str | None = None
    match field, value:
        case "current_operations", dict():
            text = f"{{{','.join(map(str, value.values()))}}}"
        case "allowed_operations", list():
            names = [str(name) for name in value[:2]] + ["..."] * (len(value) > 2)
            text = f"[{','.join(names)}]"
        case "error_info", list():
            text = str(value[0])
        case "resident_on", str():
            text = "NULL" if value.endswith("NULL") else "REF"
        case ("power_state", str()) | ("domid", -1):
            text = str(value)
        case "result", str():
            text = _REF.sub("REF", value)
        case "other_config", dict():
            text = json.dumps(value)
    return text
