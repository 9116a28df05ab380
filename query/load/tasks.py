"""The outcome of a task, read from the last state that its object was seen in."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import msgspec

from ..records import fields_of
from .known import Known
from .rows import Row

PENDING = frozenset({"pending", "cancelling"})
VANISHED = "vanished"
_NEVER_FINISHED = "1970"
_RESULT_CHARS_MAX = 1_000_000
MENTIONS_MAX = 50
_CALL = re.compile(r"(?:InternalAsync\.|Async\.)?([A-Za-z_]+\.[A-Za-z0-9_]+)")
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MENTION = re.compile(f"OpaqueRef:[0-9A-Za-z-]+|{_UUID}")


class _Task(msgspec.Struct):
    """The fields of a task record that its row needs; releases differ in the others."""

    uuid: str = ""
    name_label: str = ""
    created: str = ""
    finished: str = ""
    status: str = "pending"
    progress: float = 0.0
    result: str = ""
    error_info: list[str] = []
    subtask_of: str = "OpaqueRef:NULL"
    name_description: str = ""
    other_config: dict[str, str] = {}


_DECODER = msgspec.json.Decoder(_Task)


def task_row(known: Known) -> Row:
    """Return the row of the table `tasks` for an object of the class task.

    A task that is gone, and whose end was not recorded, has the status `vanished`. Times are the
    server's, in whole seconds.
    """
    task = _read(known.snapshot)
    status = VANISHED if known.gone and task.status in PENDING else task.status
    created_us = _time_us(task.created)
    finished_us = None if task.finished.startswith(_NEVER_FINISHED) else _time_us(task.finished)
    duration_s = None
    if created_us is not None and finished_us is not None:
        duration_s = (finished_us - created_us) / 1e6
    code, params = next(iter(task.error_info), None), task.error_info[1:]
    parent = None if task.subtask_of.endswith("NULL") else task.subtask_of
    return (
        *(known.pool, known.ref, known.uuid, task.name_label or known.name),
        *(created_us, finished_us, duration_s, status, task.progress, result_of(task.result)),
        *(code, params, known.first_seq, known.last_seq, parent),
        *(operation_of(task.name_label), _mentions(known, task)),
    )


def operation_of(name_label: str) -> str | None:
    """Return the call that a task was made for, such as `VM.start` for `Async.VM.start`.

    None for a label that is no call: clients and some handlers name their tasks in plain words.
    """
    call = _CALL.fullmatch(name_label)
    return None if call is None else call[1]


def _mentions(known: Known, task: _Task) -> list[str]:
    """Return the references and uuids, but its own, in what a task says of itself."""
    texts = [task.name_label, task.name_description]
    texts += [text for pair in task.other_config.items() for text in pair]
    own = {known.ref, known.ref.removeprefix("OpaqueRef:"), known.uuid, "OpaqueRef:NULL"}
    found = dict.fromkeys(word for text in texts for word in _MENTION.findall(text))
    return [word for word in found if word not in own][:MENTIONS_MAX]


def _read(snapshot: bytes | None) -> _Task:
    """Return what a snapshot says; what it says in another shape than ours is left out."""
    if snapshot is None:
        return _Task()
    try:
        return _DECODER.decode(snapshot)
    except msgspec.ValidationError:
        fitting = {name: raw for name, raw in fields_of(snapshot).items() if _fits(name, raw)}
        return msgspec.convert(
            {name: msgspec.json.decode(raw) for name, raw in fitting.items()}, _Task
        )


def _fits(name: str, raw: msgspec.Raw) -> bool:
    try:
        _DECODER.decode(msgspec.json.encode({name: raw}))
    except msgspec.ValidationError:
        return False
    return True


def _time_us(text: str) -> int | None:
    """Read `20261123T17:13:51Z`, as microseconds since 1970 UTC."""
    try:
        at = datetime.strptime(text, "%Y%m%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000


def result_of(text: str) -> str | None:
    """Return what a task returned: XML-RPC text whatever the transport, a list as JSON.

    `<value>OpaqueRef:…</value>` is the reference, `<value></value>` and the empty text are None.
    Text in another shape is returned as it is.
    """
    if not text.startswith("<value") or len(text) > _RESULT_CHARS_MAX or "<!" in text:
        return text or None
    try:
        value = _plain(ElementTree.fromstring(text))  # noqa: S314 - without a DTD nothing expands
    except ElementTree.ParseError:
        return text
    if isinstance(value, str):
        return value or None
    return msgspec.json.encode(value).decode()


Plain = str | list["Plain"] | dict[str, "Plain"]


def _plain(value: ElementTree.Element) -> Plain:
    inner = value[0] if len(value) else None
    if inner is None:
        return value.text or ""
    if inner.tag == "array":
        return [_plain(item) for item in inner.iterfind("data/value")]
    if inner.tag == "struct":
        return {
            member.findtext("name", ""): _plain(member[-1]) for member in inner.iterfind("member")
        }
    return inner.text or ""
