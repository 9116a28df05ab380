"""The live control: a real unix socket, one JSON object a line."""

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from recorder.errors import ConfigError, TransportError
from recorder.simulator import control
from tests.simulator.faults.support import Cut, Refused, Stage, a_stage


@asynccontextmanager
async def a_control(path: Path) -> AsyncIterator[Stage]:
    """A pool with a control socket."""
    async with a_stage() as stage, trio.open_nursery() as nursery:
        await nursery.start(partial(control.attend, path, {"pool-1": stage.front}))
        yield stage
        nursery.cancel_scope.cancel()


async def test_rules_come_and_go(tmp_path: Path) -> None:
    """Added, listed with what they did, removed."""
    path = tmp_path / "c.sock"
    async with a_control(path) as stage:
        client = await stage.login()
        text = 'name = "no", match = "VM.get_all", effect = "fault", code = "X"'
        answer = await control.ask(path, control.command_of(text))
        assert answer == {"ok": True, "pools": {"pool-1": {"added": "no"}}}
        with pytest.raises(Refused):
            await client.do("VM.get_all")
        answer = await control.ask(path, {"do": "list"})
        (line,) = control.shown(answer)
        assert line.startswith('pool-1: name no, matched 1, fired 1, rule {"name": "no", "match"')
        await control.ask(path, {"do": "remove", "name": "no"})
        await client.do("VM.get_all")
        await control.ask(path, control.command_of(text))
        assert await control.ask(path, {"do": "clear"}) == {
            "ok": True,
            "pools": {"pool-1": {"removed": 1}},
        }


async def test_things_happen_at_once(tmp_path: Path) -> None:
    """What tests do to a front in Python can be done from outside."""
    path = tmp_path / "c.sock"
    async with a_control(path) as stage:
        client = await stage.login()
        assert len(stage.front.sessions.refs()) == 1
        await control.ask(path, {"do": "expire_sessions"})
        assert stage.front.sessions.refs() == []
        await control.ask(path, {"do": "flood", "events": 7})
        await control.ask(path, {"do": "restart"})
        assert await client.rest() == b""
        await control.ask(path, {"do": "move_master", "host": "host-2"})
        answer = await control.ask(path, {"do": "status", "pool": "pool-1"})
        assert answer["pools"]["pool-1"]["master"] == "192.0.2.12"  # type: ignore[index]  # JSON
        await control.ask(path, {"do": "silence"})
        await control.ask(path, {"do": "speak"})
        await control.ask(path, {"do": "strike", "effect": "host_death", "how": "refuse"})
        with pytest.raises(Cut):
            await stage.login("192.0.2.13")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ({}, 'a command is an object with "do", such as {"do": "list"}'),
        ({"do": "dance"}, "'dance' is no command; known: add, list"),
        ({"do": "list", "all": 1}, "list has no all; known: pool"),
        ({"do": "list", "pool": "pool-9"}, "there is no pool pool-9; known: pool-1"),
        ({"do": "remove", "name": "x"}, "there is no rule x; known: none"),
        ({"do": "remove"}, '"name" is missing: a text'),
        ({"do": "add"}, "rule: a rule is a table, not NoneType"),
        ({"do": "add", "rule": {"effect": "x"}}, "rule: effect: 'x' is unknown"),
        ({"do": "flood", "events": 0}, "flood: events: Expected `int` >= 1"),
        ({"do": "strike", "effect": "stall"}, "strike: effect stall needs a match"),
        ({"do": "move_master", "host": "host-9"}, "there is no host host-9; known: "),
        (
            {"do": "add", "rule": {"match": "vm.start", "effect": "reset"}},
            "rule: match: 'vm.start' covers no method; did you mean VM.start?",
        ),
        (
            {"do": "add", "rule": {"at_s": 1, "effect": "host_death", "target": "host-9"}},
            "rule host_death: target: there is no host host-9; known: ",
        ),
        ({"do": "move_master", "host": 9}, '"host" is missing: a text'),
        (
            {"do": "add", "rule": {"pool": "p", "at_s": 1, "effect": "restart"}},
            "the rule is for another pool; known: pool-1",
        ),
    ],
)
async def test_a_bad_command_is_refused_with_a_reason(
    tmp_path: Path, command: dict[str, object], error: str
) -> None:
    """The client gets exit code 2, and the server lives on."""
    path = tmp_path / "c.sock"
    async with a_control(path):
        with pytest.raises(ConfigError) as refused:
            await control.ask(path, command)
        assert str(refused.value).startswith(error)
        assert (await control.ask(path, {"do": "list"}))["ok"] is True


@pytest.mark.parametrize(
    "sent", [b"\n", b"list\n", b"\xff\xfe\n", b"[" * 50_000 + b"\n", b"x" * 200_000, b'"add"\n']
)
async def test_garbage_is_answered_with_an_error(tmp_path: Path, sent: bytes) -> None:
    """Whatever comes, the next client is served."""
    path = tmp_path / "c.sock"
    async with a_control(path):
        async with await trio.open_unix_socket(str(path)) as stream:
            with suppress(trio.BrokenResourceError):  # Refused before all of it was sent.
                await stream.send_all(sent)
            line = bytes(await stream.receive_some())
            assert json.loads(line)["ok"] is False
        assert (await control.ask(path, {"do": "list"}))["ok"] is True


async def test_several_commands_go_over_one_connection(tmp_path: Path) -> None:
    """An answer a line, in their order."""
    path = tmp_path / "c.sock"
    async with a_control(path), await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(b'{"do": "list"}\n{"do": "nothing"}\n{"do": "clear"}\n')
        got = b""
        while got.count(b"\n") < 3:
            got += await stream.receive_some()
        assert [json.loads(line)["ok"] for line in got.splitlines()] == [True, False, True]


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    """Mode 0600 from the beginning; gone in the end."""
    path = tmp_path / "c.sock"
    async with a_control(path):
        assert stat.S_IMODE((await trio.Path(path).stat()).st_mode) == 0o600
    assert not await trio.Path(path).exists()


async def test_a_path_in_use_is_refused(tmp_path: Path) -> None:
    """By another simulator or a file; what a killed one left behind is replaced."""
    path = tmp_path / "c.sock"
    async with a_control(path):
        with pytest.raises(ConfigError, match="another simulator listens there"):
            await control.attend(path, {})
        assert (await control.ask(path, {"do": "list"}))["ok"] is True
    left = trio.socket.socket(trio.socket.AF_UNIX)
    await left.bind(str(path))
    left.close()
    async with a_control(path):
        pass
    await trio.Path(path).write_text("x")
    with pytest.raises(ConfigError, match="there is a file that is not a socket"):
        await control.attend(path, {})
    with pytest.raises(ConfigError, match="longer than 107 bytes"):
        await control.attend(tmp_path / ("x" * 120), {})
    with pytest.raises(ConfigError, match="can't listen there"):
        await control.attend(tmp_path / "no" / "c.sock", {})


async def test_no_simulator_is_named(tmp_path: Path) -> None:
    """Exit code 10, and what to do."""
    with pytest.raises(TransportError, match="no simulator listens there: start one with"):
        await control.ask(tmp_path / "c.sock", {"do": "list"})


def test_a_command_may_be_written_in_full() -> None:
    """Beside rules, commands in JSON are taken; a pool can be chosen for both."""
    assert control.command_of('{"do": "restart"}', pool="a") == {"do": "restart", "pool": "a"}
    assert control.command_of('at_s = 1, effect = "restart"') == {
        "do": "add",
        "rule": {"at_s": 1, "effect": "restart"},
    }
    assert control.shown({"ok": True, "pools": {}}) == ["done"]
    assert control.shown({"ok": True, "pools": {"pool-1": {}}}) == ["pool-1: done"]
