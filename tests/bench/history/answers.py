"""Who answers: the history of xentrail, SQLite with indices, and a walk over lines of JSON."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import msgspec

from query.history.database import History
from query.questions.objects import Found
from query.questions.states import state_of, states_of_pool
from query.questions.timeline import life_of
from recorder.instant import Instant
from tests.bench.history.made import Line
from tests.bench.history.questions import HOUR_US, POOL

POWER_STATES = """
SELECT seq, received_at, name, old, new FROM changes
WHERE class = 'vm' AND field = 'power_state'
    AND received_at >= make_timestamptz($since) AND received_at < make_timestamptz($until)
ORDER BY seq
"""
COUNTS = """
SELECT class, epoch_us(received_at) // 3600000000 AS hour, count(*) FROM events GROUP BY ALL
"""


class Ours:
    """The history, asked as the commands and notebooks ask it: long answers are Arrow tables."""

    def __init__(self, history: History) -> None:
        self._history = history
        sql = "SELECT pool, class, ref, uuid, name, gone, first_seq FROM objects WHERE class = 'vm'"
        self._vms = {found.ref: found for found in history.all(Found, sql)}

    @property
    def vms(self) -> list[str]:
        """The references of all VMs."""
        return list(self._vms)

    def object_at(self, ref: str, at_us: int) -> int:
        """Return the number of fields."""
        return len(state_of(self._history, self._vms[ref], Instant(at_us=at_us)).fields)

    def life_of(self, ref: str) -> int:
        """Return the number of changes."""
        return sum(len(step.changes) for step in life_of(self._history, self._vms[ref]).steps)

    def pool_at(self, at_us: int) -> int:
        """Return the number of fields of all objects."""
        states = states_of_pool(self._history, POOL, Instant(at_us=at_us)).states
        return sum(len(state.fields) for state in states)

    def power_states(self, since_us: int, until_us: int) -> int:
        """Return the number of changes."""
        params = {"since": since_us, "until": until_us}
        return int(self._history.table(POWER_STATES, params).num_rows)

    def counts(self) -> int:
        """Return the number of events."""
        events: int = sum(self._history.table(COUNTS).column(2).to_pylist())
        return events


class Sqlite:
    """The same rows in SQLite, found by its indices."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._all = connection.execute

    @property
    def vms(self) -> list[str]:
        """The references of all VMs."""
        return [ref for (ref,) in self._all("SELECT ref FROM objects WHERE class = 'vm'")]

    def object_at(self, ref: str, at_us: int) -> int:
        """Return the number of fields."""
        sql = """
            SELECT operation, origin, uuid, name, snapshot FROM events
            WHERE pool = ? AND class = 'vm' AND ref = ? AND seq <= ? ORDER BY seq DESC LIMIT 1
        """
        (*_, snapshot) = self._all(sql, (POOL, ref, self._seq_at(at_us))).fetchone()
        return len(msgspec.json.decode(snapshot))

    def life_of(self, ref: str) -> int:
        """Return the number of changes."""
        told = """
            SELECT seq, received_at, operation, origin, gap, name, epoch FROM events
            WHERE pool = ? AND class = 'vm' AND ref = ?
                AND (changed_fields IS NULL OR changed_fields <> '[]') ORDER BY seq
        """
        changed = """
            SELECT seq, field, old, new FROM changes WHERE pool = ? AND class = 'vm' AND ref = ?
            ORDER BY seq, field
        """
        changes: dict[int, list[tuple[str, str, str]]] = {}
        for seq, *change in self._all(changed, (POOL, ref)):
            changes.setdefault(seq, []).append((change[0], change[1], change[2]))
        steps = [(row, changes.get(row[0], [])) for row in self._all(told, (POOL, ref))]
        return sum(len(of_step) for _, of_step in steps)

    def pool_at(self, at_us: int) -> int:
        """Return the number of fields of all objects."""
        sql = """
            SELECT e.class, e.name, e.snapshot FROM events e JOIN (
                SELECT class, ref, max(seq) AS seq FROM events WHERE pool = ? AND seq <= ?
                GROUP BY class, ref
            ) newest ON e.pool = ? AND e.class = newest.class AND e.ref = newest.ref
                AND e.seq = newest.seq
            WHERE e.operation <> 'del'
        """
        rows = self._all(sql, (POOL, self._seq_at(at_us), POOL))
        return sum(len(msgspec.json.decode(snapshot)) for *_, snapshot in rows)

    def power_states(self, since_us: int, until_us: int) -> int:
        """Return the number of changes."""
        sql = """
            SELECT seq, received_at, name, old, new FROM changes
            WHERE class = 'vm' AND field = 'power_state' AND received_at >= ? AND received_at < ?
            ORDER BY seq
        """
        return len(self._all(sql, (since_us, until_us)).fetchall())

    def counts(self) -> int:
        """Return the number of events."""
        sql = f"SELECT class, received_at / {HOUR_US}, count(*) FROM events GROUP BY 1, 2"  # noqa: S608  # a constant
        return sum(count for *_, count in self._all(sql))

    def _seq_at(self, at_us: int) -> int:
        sql = "SELECT seq FROM events WHERE received_at <= ? ORDER BY received_at DESC LIMIT 1"
        (seq,) = self._all(sql, (at_us,)).fetchone()
        assert isinstance(seq, int)
        return seq


class _Vm(msgspec.Struct):
    """What matters here of a VM, so that the rest of its record need not be kept."""

    power_state: str
    name_label: str


class Walk:
    """Lines of JSON, read from the beginning for every question.

    A line is decoded only if it can matter, and its record only if it does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._decode = msgspec.json.Decoder(Line).decode

    @cached_property
    def vms(self) -> list[str]:
        """The references of all VMs."""
        return sorted({line.ref for line in self._lines(b'"class":"vm"') if line.cls == "vm"})

    def _lines(self, word: bytes = b"", until_us: int | None = None) -> Iterator[Line]:
        with self._path.open("rb") as file:
            for text in file:
                if word in text:
                    line = self._decode(text)
                    if until_us is not None and line.received_at_us > until_us:
                        return
                    yield line

    def object_at(self, ref: str, at_us: int) -> int:
        """Return the number of fields."""
        snapshot = msgspec.Raw(b"{}")
        for line in self._lines(ref.encode(), at_us):
            if line.ref == ref:
                snapshot = line.snapshot
        return len(msgspec.json.decode(snapshot))

    def life_of(self, ref: str) -> int:
        """Return the number of changes."""
        before: dict[str, object] | None = None
        changes = []
        for line in self._lines(ref.encode()):
            if line.ref == ref:
                now = msgspec.json.decode(line.snapshot, type=dict[str, object])
                if before is not None:
                    changes += [(line.seq, name) for name in now if now[name] != before.get(name)]
                before = now
        return len(changes)

    def pool_at(self, at_us: int) -> int:
        """Return the number of fields of all objects."""
        living: dict[tuple[str, str], msgspec.Raw] = {}
        for line in self._lines(until_us=at_us):
            if line.operation == "del":
                living.pop((line.cls, line.ref), None)
            else:
                living[line.cls, line.ref] = line.snapshot
        return sum(len(msgspec.json.decode(snapshot)) for snapshot in living.values())

    def power_states(self, since_us: int, until_us: int) -> int:
        """Return the number of changes."""
        states: dict[str, str] = {}
        changes = []
        for line in self._lines(b'"class":"vm"', until_us - 1):
            if line.cls == "vm":
                vm = msgspec.json.decode(line.snapshot, type=_Vm)
                before = states.get(line.ref, vm.power_state)
                if before != vm.power_state and line.received_at_us >= since_us:
                    changes.append((line.seq, vm.name_label, before, vm.power_state))
                states[line.ref] = vm.power_state
        return len(changes)

    def counts(self) -> int:
        """Return the number of events."""
        counts = Counter((line.cls, line.received_at_us // HOUR_US) for line in self._lines())
        return counts.total()
