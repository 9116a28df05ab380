"""Copies of trails while a recorder writes to the journal: it adds their lines itself."""

import base64
import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from recorder.control import endpoint
from recorder.journal.scan import scan
from recorder.model import AuditLine
from recorder.pools.trail import importing
from recorder.redaction.policy import OTHER_RULES, Policy
from tests.daemon.clients import Json, ask, controlled, refusal
from tests.trail.test_import import JUNK, lines, run, trail
from tests.watch.scripted import ScriptedPool, stage

T = TypeVar("T")
Clock = trio.testing.MockClock


def asked_to_add(*bodies: bytes, pool: str = "lab") -> Json:
    told = [["host1", base64.b64encode(body).decode()] for body in bodies]
    rules = Policy.of(fields={}).name
    return {"command": "import", "pool": pool, "rules": rules, "lines": told}


async def importing_into(data: Path, *args: str | Path) -> tuple[int, str, str]:
    """Run the command beside the recorder, which goes on meanwhile."""
    return await trio.to_thread.run_sync(partial(run, data, *args))


async def test_running_recorder_adds_what_is_new(tmp_path: Path) -> None:
    """As often as it is in the files, in their order, with the same words as without a recorder;
    the same file adds nothing, neither then nor when the recorder has ended.
    """
    wanted, file = [*trail(), trail()[0]], tmp_path / "audit.log"
    file.write_bytes(b"\n".join([JUNK, *wanted, b""]))
    async with controlled(tmp_path):
        first = await importing_into(tmp_path, file)
        there = lines(tmp_path)
        again = await importing_into(tmp_path, file, "--format", "json")
    expected = f"{len(wanted)} of {len(wanted) + 1} lines in 1 files are added to pool lab"
    assert (first[0], first[2]) == (0, "")
    assert first[1].splitlines()[:2] == [expected, "1 are no lines of an audit trail"]
    assert there == [AuditLine("audit.log", one, True) for one in wanted]
    assert (again[0], json.loads(again[1])["new"]) == (0, 0)
    code, told, _ = run(tmp_path, file, "--format", "json")
    assert (code, json.loads(told)["new"], json.loads(told)["known"]) == (0, 0, len(wanted))
    assert lines(tmp_path) == there


async def test_what_is_wrong_is_told_as_without_a_recorder(tmp_path: Path) -> None:
    """A pool that is not recorded, and a file that is not there: nothing is added."""
    file = tmp_path / "audit.log"
    file.write_bytes(trail()[0])
    async with controlled(tmp_path, "east", "lab"):
        pool = await importing_into(tmp_path, file)
        lost = await importing_into(tmp_path, file, tmp_path / "none", "--pool", "lab")
    known = "xentrail: --pool: name one of the pools in this journal: east, lab\n"
    assert pool == (2, "", known)
    assert (lost[0], lost[1]) == (2, "")
    assert "nothing was imported" in lost[2]
    assert lines(tmp_path) == []


async def test_running_recorder_takes_no_lines_by_other_rules(tmp_path: Path) -> None:
    """It knows its own, whatever the journal still tells."""
    async with controlled(tmp_path):
        request = {**asked_to_add(trail()[0]), "rules": Policy.of(fields={}, words=["badge"]).name}
        assert await refusal(tmp_path, request) == ("config-refused", [OTHER_RULES])
        assert lines(tmp_path) == []


async def test_answer_comes_when_lines_are_durable(tmp_path: Path, autojump_clock: Clock) -> None:
    """And they are one piece: behind each other. The disk takes its time."""

    async def slowly(call: Callable[[], T], /) -> T:
        await trio.sleep(disk_s)
        return call()

    disk_s = 0.0
    async with stage(tmp_path, {"lab": ScriptedPool()}) as one:
        one.listen, one.run_sync = endpoint.listen, slowly
        async with one.recording():
            await trio.sleep(1)
            disk_s, asked_s = 3.0, trio.current_time()
            told = await ask(tmp_path, asked_to_add(*trail()[:3]))
            assert trio.current_time() - asked_s >= disk_s
            entries = [one for one in scan(tmp_path / "journal") if isinstance(one.body, AuditLine)]
            disk_s = 0.0
    assert told["imported"] == {"lines": 3}
    assert [one.body for one in entries] == [AuditLine("host1", one, True) for one in trail()[:3]]
    assert {one.pool for one in entries} == {"lab"}
    assert entries[-1].seq - entries[0].seq == 2


async def test_pool_that_is_not_recorded_is_refused(tmp_path: Path, autojump_clock: Clock) -> None:
    """By the recorder itself, whatever the command thinks."""
    async with controlled(tmp_path):
        name, texts = await refusal(tmp_path, asked_to_add(trail()[0], pool="lba"))
    assert (name, texts) == ("unknown-pool", ["no pool 'lba' is recorded; did you mean 'lab'?"])
    assert lines(tmp_path) == []


async def test_nothing_is_added_while_the_disk_is_full(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Who imports is told at once, and need not wait for room."""
    async with controlled(tmp_path) as one:
        one.disk.write_error = errno.ENOSPC
        one.pools["lab"].emit()
        await trio.sleep(1)
        name, _texts = await refusal(tmp_path, asked_to_add(trail()[0]))
        one.disk.write_error = None
        await trio.sleep(2)
    assert name == "disk-full"
    assert lines(tmp_path) == []


def test_pieces_fit_into_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither too many lines nor too long ones are sent at once, and none is left out."""
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 3)
    monkeypatch.setattr(importing, "BYTES_AT_ONCE", 100)
    sizes = [10, 10, 10, 10, 60, 60, 10, 300, 1]
    bodies = [AuditLine("host1", b"x" * size, True) for size in sizes]
    pieces = list(importing._pieces(bodies))
    assert [len(piece) for piece in pieces] == [3, 3, 2, 1]
    assert [line for piece in pieces for line in piece] == bodies
