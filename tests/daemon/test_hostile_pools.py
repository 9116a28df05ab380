"""One pool answers what no server should; the recorder tells so, and the other pool goes on."""

from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.client.line import ERROR_CHARS_MAX
from recorder.journal import codec
from recorder.model import GapCause, GapOpened, MarkName
from recorder.pools.epochs import common
from tests.fakes import Method, slave_of
from tests.watch.scripted import ScriptedPool, check_gaps, fault, logged, stage

Clock = trio.testing.MockClock

HUGE = 10**30
RECORD_BYTES_MAX, ITEM_BYTES_MAX = 64 << 10, 128 << 10
"""In place of 16 and 32 MiB: what one record and one entry of the journal may have."""


def event(**changed: object) -> Method:
    told = {"id": "5", "timestamp": "1.", "class": "vm", "operation": "mod", "ref": "OpaqueRef:vm"}
    return lambda *_: [told | {"snapshot": {}} | changed]


ANSWERS: dict[str, tuple[str, Method, str]] = {
    "id": ("event.get_current_id", lambda *_: HUGE, "Expected `int` <= 9223372036854775807"),
    "negative-id": ("event.get_current_id", lambda *_: -1, "Expected `int` >= 0"),
    "token": ("event.inject", lambda *_: f"{HUGE},0", "holds no generation"),
    "uuid": ("pool.get_all_records", lambda *_: {"r": {"uuid": "u" * 65}}, "has no uuid"),
    "event-class": ("event.next", event(**{"class": "v" * 2000}), "of length <= 1024"),
    "event-ref": ("event.next", event(ref="r" * 2000), "of length <= 1024"),
    "event-type": ("event.next", lambda *_: {"events": 7}, "Expected `array`, got `object`"),
    "record": (
        "VM.get_all_records",
        lambda *_: {"r": {"x": "y" * (RECORD_BYTES_MAX + 1)}},
        "can be recorded",
    ),
    "fault": ("event.next", fault("NO" * ITEM_BYTES_MAX), "NONONO"),
    "methods": (
        "system.listMethods",
        lambda *_: [f"c{number}.get_all_records" for number in range(501)],
        "lists 501 classes, more than 500",
    ),
    "slave-of-itself": ("session.login_with_password", slave_of("127.0.0.1"), "as the master"),
}


@pytest.mark.parametrize(("method", "answer", "text"), ANSWERS.values(), ids=list(ANSWERS))
async def test_hostile_answer_costs_its_own_pool_only(
    method: str,
    answer: Method,
    text: str,
    tmp_path: Path,
    autojump_clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error is named, in a bounded text; the good pool has one epoch and every event."""
    caplog.set_level("INFO", logger="xentrail")
    monkeypatch.setattr(common, "RECORD_BYTES_MAX", RECORD_BYTES_MAX)
    monkeypatch.setattr(codec, "ITEM_BYTES_MAX", ITEM_BYTES_MAX)
    pools = {"bad": ScriptedPool(), "fine": ScriptedPool()}
    pools["bad"].host.methods[method] = answer
    async with stage(tmp_path, pools) as one:
        async with one.recording():
            for _ in range(5):
                await trio.sleep(1)
                pools["fine"].emit()
            await trio.sleep(1)
        assert one.ids("fine") == list(range(5, 10))
        assert len(one.marks(MarkName.REGISTERED, "fine")) == 1
        (stopped,) = one.bodies(GapOpened, "fine")
        assert stopped.cause is GapCause.RECORDER_STOPPED
        details = [gap.detail for gap in one.bodies(GapOpened, "bad")]
        check_gaps(one, "bad")
    lines = [str(line.__dict__["fields"]) for line in logged(caplog, "not-connected")]
    told = [line for line in (*details, *lines) if text in line]
    assert told
    assert max(map(len, told)) < 2 * ERROR_CHARS_MAX
