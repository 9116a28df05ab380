"""How calls end. Plain data, and the reading of task records; no I/O."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

import msgspec

from ..errors import ProtocolError


class Outcome(StrEnum):
    """What became of a call."""

    SUCCESS = "success"  # its task says so
    FAILURE = "failure"  # its task says so, or it was refused, or its VM was never ready for it
    CANCELLED = "cancelled"  # its task was cancelled, or it was not made because the run was
    VANISHED = "vanished"  # its task is gone, and nobody knows how it ended
    INTERRUPTED = "interrupted"  # the driver had to leave it: nobody knows how it ends
    SKIPPED = "skipped"  # it was not made, on purpose
    CHANGED = "changed-by-others"  # somebody else did something to its object


class TaskRecord(msgspec.Struct, frozen=True):
    """The fields of a task record that tell how it stands."""

    status: str = "pending"
    progress: float = 0.0
    result: str = ""
    error_info: list[str] = []

    @property
    def is_complete(self) -> bool:
        """Only the status decides: `finished` and `progress` are written before it."""
        return self.status in {"success", "failure", "cancelled"}


_TASK = msgspec.json.Decoder(TaskRecord)


def task_in(snapshot: bytes) -> TaskRecord:
    """Read a task record from JSON text. Raises ProtocolError."""
    try:
        return _TASK.decode(snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a task record cannot be read: {error}") from error


Source = Literal["events", "record", "state", ""]
"""What told the end of a call: an event of its task in the journal, `task.get_record`, the state of
its object where the task is gone, or nothing."""


class Ended(msgspec.Struct, frozen=True):
    """How a call ended.

    `error` is an error of XAPI, its code and parameters; `why` is a sentence of ours. `record` is
    the JSON text of the task's last record, without secrets, and `seq` the journal's entry of it,
    0 if no event told it. `made` is what a call has made whose task is gone. `stopped` says that it
    ended like this because its run was stopped: a resumed run makes it anew, or asks again.
    """

    outcome: Outcome
    why: str = ""
    error: Sequence[str] = ()
    duration_s: float = 0.0
    record: bytes | None = None
    source: Source = ""
    seq: int = 0
    made: str | None = None
    stopped: bool = False

    @property
    def is_proven(self) -> bool:
        """Whether the task is gone, and its object is as the call was to leave it."""
        return self.outcome is Outcome.VANISHED and self.source == "state"

    @property
    def has_failed(self) -> bool:
        """Whether what was intended was not done, as far as anybody knows."""
        return self.outcome not in {Outcome.SUCCESS, Outcome.SKIPPED} and not self.is_proven

    @property
    def created_ref(self) -> str | None:
        """The reference of what the call has made, if it did."""
        if self.record is None:
            return self.made
        text = task_in(self.record).result.removeprefix("<value>").removesuffix("</value>")
        return text if text.startswith("OpaqueRef:") else None


def ended_as(record: TaskRecord, snapshot: bytes, *, source: Source, seq: int = 0) -> Ended:
    """Return how a complete task ended."""
    assert record.is_complete
    outcome = Outcome(record.status)
    return Ended(outcome, error=record.error_info, record=snapshot, source=source, seq=seq)
