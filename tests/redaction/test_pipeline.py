"""A pool with a secret in every field, recorded by both codecs and both streams: none arrives."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.client import session
from recorder.client.line import JSON, XML, Codec
from recorder.journal.scan import scan
from recorder.model import BaselineRecord, Entry, Event, Mark, MarkName, Stream
from recorder.redaction.masks import PREFIX
from recorder.simulator.database import Database
from recorder.simulator.datamodel import model
from recorder.simulator.values import Value as SimValue
from tests.redaction.secrets import PLACES, SECRET, Place, redactor
from tests.truth.world import World, world

NOT_SIMULATED = {
    ("VTPM", "contents"),
    ("a_class_of_tomorrow", "other_config"),
    ("pool", "wlb_password"),
}
"""Fields that xapi hides, and a class that it does not have."""

NOT_READ = {("secret", "value")}
"""The class is silent, and left out of baselines."""

ONLY_EVENTS = {("VMPP", "alarm_config"), ("VMPP", "archive_target_config")}
"""The class has lost its methods, `get_all_records` among them."""

Codecs = pytest.mark.parametrize("codec", [JSON, XML], ids=lambda codec: codec.name)
Streams = pytest.mark.parametrize("stream", list(Stream))


def simulated() -> list[Place]:
    return [place for place in PLACES if place.field in model().get(place.cls, {})]


def hide(database: Database, round_: str) -> None:
    """Put a secret into every field, of which there is an object afterwards."""
    for place in simulated():
        if not database.refs(place.cls):
            database.create(place.cls, {})
        value: SimValue = json.loads(json.dumps(place.value).replace(SECRET, SECRET + round_))
        if place.cls == "message":
            database.create("message", {"name": "M", "cls": "VM", "body": value})
        elif place.cls == "task":
            database.create("task", {place.field: value})
        else:
            database.write(place.cls, next(iter(database.refs(place.cls))), place.field, value)


def texts_of(entry: Entry) -> Iterator[str]:
    yield repr(entry)
    match entry.body:
        case Event(snapshot=bytes(snapshot)) | BaselineRecord(snapshot=snapshot):
            yield snapshot.decode()


def journaled(one: World) -> list[Entry]:
    return list(scan(one.data / "journal"))


def logged(caplog: pytest.LogCaptureFixture) -> str:
    return str([vars(record) for record in caplog.records])


def test_every_field_is_simulated() -> None:
    """No field of the list is left out by mistake."""
    left_out = {(place.cls, place.field) for place in PLACES}
    left_out -= {(place.cls, place.field) for place in simulated()}
    assert left_out == NOT_SIMULATED


@Streams
@Codecs
async def test_no_secret_of_any_field_is_journaled(
    codec: Codec,
    stream: Stream,
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Baseline and events of a pool full of secrets: each is replaced, and each field is there."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(session, "JSON", codec)
    async with world(1, tmp_path) as one:
        pool = await one.add_pool("lab", per_minute=0)
        hide(pool.database, "-baseline")
        async with one.recording(stream):
            await trio.sleep(60)
            hide(pool.database, "-event")
            await trio.sleep(60)
    entries = journaled(one)
    connected = [e.body for e in entries if isinstance(e.body, Mark)]
    assert codec.name in [mark.detail.get("codec") for mark in connected]
    told = [text for entry in entries for text in texts_of(entry)]
    assert SECRET not in "".join(told) + logged(caplog)
    all_ = {(place.cls, place.field) for place in simulated()}
    assert all_ - masked_fields(entries, Event) == NOT_READ
    assert all_ - masked_fields(entries, BaselineRecord) == NOT_READ | ONLY_EVENTS


def masked_fields(
    entries: list[Entry], kind: type[BaselineRecord] | type[Event]
) -> set[tuple[str, str]]:
    """Return class and field wherever something stands for a secret."""
    names = {cls.lower(): cls for cls in model()}
    found = set()
    for entry in entries:
        if isinstance(entry.body, kind) and entry.body.snapshot is not None:
            record = json.loads(entry.body.snapshot)
            masked = [field for field, value in record.items() if PREFIX in json.dumps(value)]
            found |= {(names[entry.body.cls], field) for field in masked}
    return found


@Streams
@Codecs
async def test_what_is_no_secret_is_journaled_as_without_redaction(
    codec: Codec,
    stream: Stream,
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last state of every object is the server's own, but for the fields with a rule."""
    monkeypatch.setattr(session, "JSON", codec)
    async with world(1, tmp_path) as one:
        pool = await one.add_pool("lab", per_minute=0)
        async with one.recording(stream):
            await trio.sleep(30)
            hide(pool.database, "-event")
            await trio.sleep(60)
    last: dict[tuple[str, str], bytes] = {}
    for entry in journaled(one):
        match entry.body:
            case Event(cls=cls, ref=ref, snapshot=bytes(snapshot)):
                last[cls, ref] = snapshot
    compared = 0
    for cls in {place.cls for place in simulated()} - {"message", "task", "secret", "pool"}:
        for ref in pool.database.refs(cls):
            if (cls.lower(), ref) in last:
                now = json.dumps(pool.database.record(cls, ref), separators=(",", ":")).encode()
                expected = json.loads(redactor().record(cls.lower(), now))
                got = json.loads(last[cls.lower(), ref])
                assert {k: v for k, v in got.items() if PREFIX not in str(v)} == {
                    k: v for k, v in expected.items() if PREFIX not in str(v)
                }
                compared += 1
    assert compared >= 10


@Streams
@Codecs
async def test_no_reference_of_our_sessions_is_journaled(
    codec: Codec,
    stream: Stream,
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even where somebody wrote it into a name, and after the session was lost."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(session, "JSON", codec)
    tokens: set[str] = set()
    async with world(1, tmp_path) as one:
        pool = await one.add_pool("lab", per_minute=0)
        vm = next(iter(pool.database.refs("VM")))
        async with one.recording(stream):
            for _ in range(3):
                await trio.sleep(60)
                tokens |= set(one.fronts["lab"].sessions.refs())
                for token in sorted(tokens):
                    pool.database.write("VM", vm, "name_description", f"seen: {token}")
                    pool.database.write("VM", vm, "tags", [token])
                one.fronts["lab"].sessions.expire_all()
            await trio.sleep(60)
    assert len(tokens) >= 3
    told = "".join(text for entry in journaled(one) for text in texts_of(entry))
    assert f"seen: {PREFIX}" in told
    for token in tokens:
        assert token not in told + logged(caplog)


async def test_journal_says_which_rules_were_in_force(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The mark of the start tells version and digest of the rules, and which key it was."""
    async with world(1, tmp_path) as one:
        await one.add_pool("lab", per_minute=0)
        for _ in range(2):
            async with one.recording():
                await trio.sleep(5)
    marks = [entry.body for entry in journaled(one) if isinstance(entry.body, Mark)]
    started = [mark.detail for mark in marks if mark.name is MarkName.STARTED]
    key = bytes.fromhex((tmp_path / "keys" / "redaction.key").read_text())
    expected = redactor(key=key).in_force
    assert len(started) == 2
    for detail in started:
        assert {name: detail[name] for name in expected} == dict(expected)
