"""Tasks: rows that say how an operation goes. Their fields are written in the order of xapi."""

from collections.abc import Callable

import msgspec
import trio

from .database import Database
from .plaintext import plain_text
from .values import EPOCH, NULL_REF, Fault, Value, datetime_of, map_of, text_of
from .xmlwire import encode_value

COMPLETED_MAX_S = 3900.0
"""Completed tasks older than this are collected (65 minutes)."""
PENDING_MAX_S = 86400.0
"""Pending tasks older than this are collected unless their progress grew since the last pass."""
TASKS_MAX = 200
"""Above this many tasks, completed ones are collected whatever their age, oldest first."""
WITH_OPERATIONS = ("VM", "VBD", "VIF", "VDI", "SR", "host")
"""The classes in whose rows tasks may be under way, in the order in which xapi looks at them."""

_COMPLETE = ("success", "failure", "cancelled")
_BACKTRACE = "(((process xapi)(filename ocaml/xapi/rbac.ml)(line 189)))"
_CANCEL_POINTS = "debug_info:cancel_points_seen"


class _Life(msgspec.Struct):
    """What is known of a task besides its row."""

    cancelled: trio.Event = msgspec.field(default_factory=trio.Event)
    ended: trio.Event = msgspec.field(default_factory=trio.Event)
    progress: Value | None = None


class Tasks:
    """All tasks of a pool, and which of them were asked to stop."""

    def __init__(self, database: Database, master: Callable[[], str]) -> None:
        """`master` tells the host that tasks run on."""
        self._database = database
        self._master = master
        self._lives: dict[str, _Life] = {}

    def begin(
        self,
        name: str,
        *,
        description: str = "",
        parent: str = NULL_REF,
        other_config: dict[str, Value] | None = None,
    ) -> str:
        """Add a pending task and return its reference."""
        return self._database.create(
            "task",
            {
                "name_label": name,
                "name_description": description,
                "created": self._now(),
                "finished": EPOCH,
                "status": "pending",
                "resident_on": self._master(),
                "type": "<none/>",
                "subtask_of": parent,
                "other_config": other_config or {},
            },
        )

    def exists(self, task: str) -> bool:
        """Say whether there is such a task."""
        return self._database.exists("task", task)

    def cancelled(self, task: str) -> trio.Event:
        """Return the event that is set once somebody asked the task to stop."""
        return self._life(task).cancelled

    def ended(self, task: str) -> trio.Event:
        """Return the event that is set once the task is complete or gone."""
        life = self._life(task)
        if not self._database.exists("task", task) or self._is_complete(task):
            life.ended.set()
        return life.ended

    def write(self, task: str, field: str, value: Value) -> None:
        """Set a field; the row may be gone (collected or destroyed), which xapi does not mind."""
        if self._database.exists("task", task):
            self._database.write("task", task, field, value)

    def allow_cancel(self, task: str, *, allowed: bool) -> None:
        """Say whether the task may be cancelled from now on (advice only, as in xapi)."""
        self.write(task, "allowed_operations", ["cancel"] if allowed else [])

    def note_cancel_points(self, task: str, seen: int) -> None:
        """Note how often xenopsd would have stopped; a second note of a task is not taken."""
        if self._database.exists("task", task):
            noted = map_of(self._database.record("task", task), "other_config")
            noted.setdefault(_CANCEL_POINTS, str(seen))
            self.write(task, "other_config", noted)

    def succeed(self, task: str, result: Value) -> None:
        """End a task well; its result is kept as XML-RPC text."""
        self.write(task, "allowed_operations", [])
        self.write(task, "finished", self._now())
        self.write(task, "progress", 1.0)
        self.write(task, "result", encode_value(result))
        self.write(task, "status", "success")
        self._end(task)

    def fail(self, task: str, fault: Fault) -> None:
        """End a task with an error; TASK_CANCELLED of itself ends it as cancelled."""
        self.write(task, "progress", 1.0)
        if fault.code == "TASK_CANCELLED" and self.cancelled(task).is_set():
            self.write(task, "finished", self._now())
            self.write(task, "status", "cancelled")
            self.write(task, "allowed_operations", [])
        else:
            self.write(task, "error_info", [fault.code, *map(plain_text, fault.params)])
            self.write(task, "backtrace", _BACKTRACE)
            self.write(task, "finished", self._now())
            self.write(task, "allowed_operations", [])
            self.write(task, "status", "failure")
        self._end(task)

    def remove(self, task: str) -> None:
        """Delete the row if it is still there."""
        if (life := self._lives.pop(task, None)) is not None:
            life.ended.set()
        if self._database.exists("task", task):
            self._database.delete("task", task)

    def cancel(self, task: str, asker: str = "") -> None:
        """Ask a task to stop; xapi writes this even into a completed one. Fault HANDLE_INVALID.

        `asker` is the task (which may be a dummy) of the call that asks.
        """
        self._database.record("task", task)
        if not asker:
            asker = f"DummyRef:|{self._database.new_uuid()}|task.cancel"
        self._database.write("task", task, "current_operations", {asker: "cancel"})
        self.cancelled(task).set()

    def destroy(self, task: str) -> None:
        """Remove a completed task; a pending one is marked and collected when it is complete."""
        record = self._database.record("task", task)
        if self._is_complete(task):
            self.remove(task)
        else:
            marked = map_of(record, "current_operations") | {"task": "destroy"}
            self._database.write("task", task, "current_operations", marked)

    def abandon(self, host: str) -> None:
        """Drop what was under way on a host that has just come back, and its traces in rows.

        The tasks are removed, not ended: xapi cancels them on behalf of the host by destroying
        them. Operations that still run here are asked to stop.
        """
        running = [
            task
            for task in self._database.find("task", "resident_on", host)
            if not self._is_complete(task)
        ]
        for task in running:
            self.cancelled(task).set()
        for cls in WITH_OPERATIONS:
            for ref in self._database.refs(cls):
                self._forget_in(cls, ref, running)
        for task in running:
            self.remove(task)

    def collect(self) -> None:
        """Do one pass of garbage collection."""
        now = self._database.now_s()
        for task in self._database.refs("task"):
            record = self._database.record("task", task)
            if self._is_complete(task):
                marked = "destroy" in map_of(record, "current_operations").values()
                if marked or text_of(record, "finished") < datetime_of(now - COMPLETED_MAX_S):
                    self.remove(task)
            elif text_of(record, "created") < datetime_of(now - PENDING_MAX_S):
                life = self._life(task)
                if life.progress == record["progress"]:
                    self.remove(task)
                life.progress = record["progress"]
        self._trim()

    def _trim(self) -> None:
        tasks = self._database.refs("task")
        if len(tasks) <= TASKS_MAX:
            return
        done = [
            (str(self._database.field("task", task, "finished")), task)
            for task in tasks
            if self._is_complete(task)
        ]
        for _finished, task in sorted(done)[: len(tasks) - TASKS_MAX]:
            self.remove(task)

    def _forget_in(self, cls: str, ref: str, tasks: list[str]) -> None:
        current = map_of(self._database.record(cls, ref), "current_operations")
        left = {task: name for task, name in current.items() if task not in tasks}
        self._database.write(cls, ref, "current_operations", left)

    def _end(self, task: str) -> None:
        if (life := self._lives.get(task)) is not None:
            life.ended.set()

    def _is_complete(self, task: str) -> bool:
        return self._database.field("task", task, "status") in _COMPLETE

    def forget(self) -> None:
        """Forget all tasks after a restart; whoever waits for the end of one waits no longer."""
        for life in self._lives.values():
            life.ended.set()
        self._lives.clear()

    def _life(self, task: str) -> _Life:
        if not self._database.exists("task", task):
            # A task that is gone keeps no life: an operation may still ask after its own.
            return self._lives.get(task) or _Life()
        return self._lives.setdefault(task, _Life())

    def _now(self) -> Value:
        return datetime_of(self._database.now_s())
