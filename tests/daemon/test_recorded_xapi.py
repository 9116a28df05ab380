"""Bytes recorded from a real xapi go through the recorder and come out of the history unchanged."""

import json
import xmlrpc.client
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from query.load import loader
from recorder.config import Config, Pool
from recorder.journal.scan import scan
from recorder.model import Event, Stream
from recorder.service.daemon import Seams, serve
from tests.daemon.recorded import VERSIONS, RecordedServer, Recording, body_of

Version = pytest.mark.parametrize("version", VERSIONS)


async def record(server: RecordedServer, data: Path, stream: Stream) -> None:
    """Record until every recorded event was handed out and is durable, then stop."""
    seen = trio.Event()
    wanted = sum(events_in(server, reply) for reply in server.events)
    count = 0

    def observe(_seqs: range, drafts: Sequence[object]) -> None:
        nonlocal count
        count += sum(isinstance(getattr(draft, "body", None), Event) for draft in drafts)
        if count >= wanted:
            seen.set()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        config = Config(pools=(Pool(name="lab", addresses=(address,), stream=stream),))
        seams = Seams(observer=observe, password=lambda _pool: "x")
        with trio.fail_after(20):
            await nursery.start(partial(start, config, data, seams))
            await server.drained.wait()
            await seen.wait()
        nursery.cancel_scope.cancel()


async def start(
    config: Config, data: Path, seams: Seams, *, task_status: trio.TaskStatus[None]
) -> None:
    await serve(config, data, seams=seams, task_status=task_status)


def events_in(server: RecordedServer, reply: bytes) -> int:
    if server.xml:
        return len(xml_value(reply))
    return len(json.loads(body_of(reply))["result"]["events"])


def xml_value(reply: bytes) -> list[dict[str, object]]:
    """Decode a reply with the decoder of the standard library."""
    (answer,), _ = xmlrpc.client.loads(body_of(reply).decode())
    assert isinstance(answer, dict)
    value = answer["Value"]
    assert isinstance(value, list)
    return value


class LastRow(msgspec.Struct):
    """What the history says last of one object."""

    ref: str
    operation: str
    snapshot: str


def last_states(data: Path, cls: str) -> dict[str, object]:
    """Ask the history for the last snapshot of every living object of a class."""
    loaded = loader.refresh(data)
    assert loaded.warnings == ()
    with loaded.open() as history:
        rows = history.all(
            LastRow,
            "SELECT ref, last(operation ORDER BY seq) AS operation,"
            " coalesce(last(snapshot ORDER BY seq), '') AS snapshot"
            " FROM events WHERE class = $cls GROUP BY ref",
            {"cls": cls},
        )
    return {row.ref: json.loads(row.snapshot) for row in rows if row.operation != "del"}


def recorded_states(recording: Recording, cls: str) -> dict[str, object]:
    """The records that the same server gave at the end of the same run, over JSON-RPC."""
    answer = json.loads(body_of(recording.one(f"-json2-{cls}.get_all_records")))
    records = answer["result"]
    assert isinstance(records, dict)
    return records


CLASSES = ("VM", "VM_metrics", "VM_guest_metrics", "console", "message", "network")


@Version
async def test_every_write_of_a_life_cycle_is_recorded(version: str, tmp_path: Path) -> None:
    """A recorded event.next stream over XML-RPC, chosen by itself, is journaled event by event."""
    recording = Recording(version)
    server = RecordedServer(recording, xml=True, events=recording.all("-xml-event.next"))
    await record(server, tmp_path, Stream.REGISTER)
    expected = [
        (int(str(event["id"])), event["class"], event["operation"], event["ref"])
        for reply in server.events
        for event in xml_value(reply)
    ]
    bodies = [entry.body for entry in scan(tmp_path / "journal") if isinstance(entry.body, Event)]
    got = [(body.id, body.cls, str(body.operation), body.ref) for body in bodies]
    assert got == expected
    assert [body.id for body in bodies] == list(range(len(bodies)))
    assert len(bodies) > 280


@Version
async def test_last_states_of_the_xml_stream_equal_the_recorded_records(
    version: str, tmp_path: Path
) -> None:
    """What the events left behind is, to the last field, what the server said at the end."""
    recording = Recording(version)
    server = RecordedServer(recording, xml=True, events=recording.all("-xml-event.next"))
    await record(server, tmp_path, Stream.REGISTER)
    compared = 0
    for cls in CLASSES:
        records = recorded_states(recording, cls)
        for ref, state in last_states(tmp_path, cls.lower()).items():
            assert state == records[ref], (cls, ref)
            compared += 1
    assert compared == 11


@Version
async def test_last_states_of_the_json_stream_equal_the_recorded_records(
    version: str, tmp_path: Path
) -> None:
    """A recorded event.from stream over JSON-RPC ends, with every object, as the server did."""
    recording = Recording(version)
    server = RecordedServer(recording, xml=False, events=recording.all("-json2-event.from"))
    await record(server, tmp_path, Stream.FROM)
    for cls in CLASSES:
        assert last_states(tmp_path, cls.lower()) == recorded_states(recording, cls), cls
