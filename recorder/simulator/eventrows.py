"""Events as they go out: the same row is the JSON text and the value for the XML encoder."""

from collections.abc import Sequence

import msgspec

from .values import Record, Value


class EventRow(msgspec.Struct, frozen=True):
    """One event as it goes out.

    `cls` is lower case. `record` is the snapshot: never changed afterwards, None where none is
    sent. `json` is the text of the whole event record, keys in wire order.
    `timestamp` is its text on the wire: '1700000000.' in `next`, '0.0' in `from`.
    """

    id: int
    timestamp: str
    cls: str
    operation: str
    ref: str
    record: Record | None
    json: bytes

    def as_value(self) -> dict[str, Value]:
        """Return the event record with its keys in wire order, for the XML encoder."""
        value: dict[str, Value] = {
            "id": str(self.id),
            "timestamp": self.timestamp,
            "class": self.cls,
            "operation": self.operation,
            "ref": self.ref,
        }
        if self.record is not None:
            value["snapshot"] = self.record
        return value


class FromReply(msgspec.Struct, frozen=True):
    """What event.from answers; `valid_ref_counts` by lower-case class name in wire order."""

    events: Sequence[EventRow]
    valid_ref_counts: dict[str, int]
    token: str


def event_row(
    event_id: int,
    timestamp: str,
    cls: str,
    operation: str,
    ref: str,
    record: Record | None = None,
    snapshot: bytes = b"",
) -> EventRow:
    """Return an event with its text; `snapshot` is the JSON text of `record`."""
    head = (
        f'{{"id":"{event_id}","timestamp":"{timestamp}","class":"{cls}",'
        f'"operation":"{operation}","ref":"{ref}"'
    ).encode()
    tail = b"}" if record is None else b',"snapshot":%b}' % snapshot
    return EventRow(event_id, timestamp, cls, operation, ref, record, head + tail)
