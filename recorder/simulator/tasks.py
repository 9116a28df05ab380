"""Tasks: rows that say how an operation goes. Their fields are written in the order of xapi."""

from collections.abc import Callable
from xml.sax.saxutils import escape

import trio

from .database import Database
from .values import EPOCH, NULL_REF, Fault, Value, datetime_of, map_of, text_of

COMPLETED_MAX_S = 3900.0
"""Completed tasks older than this are collected (65 minutes)."""
PENDING_MAX_S = 86400.0
"""Pending tasks older than this are collected unless their progress grew since the last pass."""
TASKS_MAX = 200
"""Above this many tasks, completed ones are collected whatever their age, oldest first."""

_COMPLETE = ("success", "failure", "cancelled")
_BACKTRACE = "(((process xapi)(filename ocaml/xapi/rbac.ml)(line 189)))"


class Tasks:
    """All tasks of a pool, and which of them were asked to stop."""

    def __init__(self, database: Database, master: Callable[[], str]) -> None:
        """`master` tells the host that tasks run on."""
        self._database = database
        self._master = master
        self._cancelled: dict[str, trio.Event] = {}
        self._progress: dict[str, Value] = {}

    def begin(self, name: str, *, description: str = "", parent: str = NULL_REF) -> str:
        """Add a pending task and return its reference."""
        task = self._database.create(
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
            },
        )
        self._cancelled[task] = trio.Event()
        return task

    def cancelled(self, task: str) -> trio.Event:
        """Return the event that is set once somebody asked the task to stop."""
        return self._cancelled.setdefault(task, trio.Event())

    def write(self, task: str, field: str, value: Value) -> None:
        """Set a field; the row may be gone (collected or destroyed), which xapi does not mind."""
        if self._database.exists("task", task):
            self._database.write("task", task, field, value)

    def allow_cancel(self, task: str, *, allowed: bool) -> None:
        """Say whether the task may be cancelled from now on (advice only, as in xapi)."""
        self.write(task, "allowed_operations", ["cancel"] if allowed else [])

    def succeed(self, task: str, result: Value) -> None:
        """End a task well; its result is kept as XML-RPC text."""
        self.write(task, "allowed_operations", [])
        self.write(task, "finished", self._now())
        self.write(task, "progress", 1.0)
        self.write(task, "result", result_text(result))
        self.write(task, "status", "success")

    def fail(self, task: str, fault: Fault) -> None:
        """End a task with an error; TASK_CANCELLED of itself ends it as cancelled."""
        self.write(task, "progress", 1.0)
        if fault.code == "TASK_CANCELLED" and self.cancelled(task).is_set():
            self.write(task, "finished", self._now())
            self.write(task, "status", "cancelled")
            self.write(task, "allowed_operations", [])
            return
        self.write(task, "error_info", [fault.code, *fault.params])
        self.write(task, "backtrace", _BACKTRACE)
        self.write(task, "finished", self._now())
        self.write(task, "allowed_operations", [])
        self.write(task, "status", "failure")

    def remove(self, task: str) -> None:
        """Delete the row if it is still there."""
        self._cancelled.pop(task, None)
        self._progress.pop(task, None)
        if self._database.exists("task", task):
            self._database.delete("task", task)

    def cancel(self, task: str) -> None:
        """Ask a task to stop; xapi writes this even into a completed one. Fault HANDLE_INVALID."""
        self._database.record("task", task)
        asker = f"DummyRef:|{self._database.new_uuid()}|task.cancel"
        self._database.write("task", task, "current_operations", {asker: "cancel"})
        self.cancelled(task).set()

    def interrupt(self, task: str) -> None:
        """Stop a task without a trace in its row: a hard shutdown came first."""
        self.cancelled(task).set()

    def destroy(self, task: str) -> None:
        """Remove a completed task; a pending one is marked and collected when it is complete."""
        record = self._database.record("task", task)
        if text_of(record, "status") in _COMPLETE:
            self.remove(task)
        else:
            marked = map_of(record, "current_operations") | {"task": "destroy"}
            self._database.write("task", task, "current_operations", marked)

    def collect(self) -> None:
        """Do one pass of garbage collection."""
        now = self._database.now_s()
        for task in self._database.refs("task"):
            record = self._database.record("task", task)
            done = text_of(record, "status") in _COMPLETE
            marked = "destroy" in map_of(record, "current_operations").values()
            if done and (
                marked or text_of(record, "finished") < datetime_of(now - COMPLETED_MAX_S)
            ):
                self.remove(task)
            elif not done and text_of(record, "created") < datetime_of(now - PENDING_MAX_S):
                if self._progress.get(task) == record["progress"]:
                    self.remove(task)
                self._progress[task] = record["progress"]
        self._trim()

    def _trim(self) -> None:
        tasks = self._database.refs("task")
        if len(tasks) <= TASKS_MAX:
            return
        done = [
            (text_of(record, "finished"), task)
            for task in tasks
            if text_of(record := self._database.record("task", task), "status") in _COMPLETE
        ]
        for _finished, task in sorted(done)[: len(tasks) - TASKS_MAX]:
            self.remove(task)

    def _now(self) -> Value:
        return datetime_of(self._database.now_s())


def result_text(result: Value) -> str:
    """Return the XML-RPC text of a task's result: text, or a set of texts."""
    if isinstance(result, list):
        items = "".join(result_text(item) for item in result)
        return f"<value><array><data>{items}</data></array></value>"
    assert isinstance(result, str), "operations return text or sets of text"
    return f"<value>{escape(result)}</value>"
