"""The control socket: whose it is, when it is there, and what is answered to whom."""

import errno
import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from recorder.control import endpoint, server
from recorder.control.protocol import REQUEST_BYTES_MAX
from recorder.errors import ConfigError, XentrailError
from recorder.service.front import RETRY_S
from recorder.service.process import first_of
from tests.daemon.clients import (
    Json,
    ask,
    connected,
    controlled,
    following,
    pool_status,
    recorder_status,
    refusal,
    status,
)
from tests.watch.scripted import logged, stage

Clock = trio.testing.MockClock


# -- the socket --------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_socket_is_its_owners_alone(umask: int, tmp_path: Path) -> None:
    """Nobody else may connect, whatever the umask is."""
    before = os.umask(umask)
    try:
        with closing(endpoint.listen(tmp_path)):
            mode = (tmp_path / "control.sock").stat().st_mode
    finally:
        os.umask(before)
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_socket_is_its_owners_alone_before_anybody_can_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its mode when it comes into being: a later chmod would leave a moment."""
    modes: list[int] = []
    bind = socket.socket.bind

    class Bound(socket.socket):
        def bind(self, address: object) -> None:
            bind(self, address)  # type: ignore[arg-type]  # a path
            modes.append(stat.S_IMODE((tmp_path / "control.sock").stat().st_mode))

    monkeypatch.setattr(socket, "socket", Bound)
    before = os.umask(0)
    try:
        endpoint.listen(tmp_path).close()
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_socket_of_a_dead_recorder_is_replaced(tmp_path: Path) -> None:
    """A socket that nobody listens at is what kill -9 leaves behind."""
    endpoint.listen(tmp_path).close()
    assert (tmp_path / "control.sock").exists()
    with closing(endpoint.listen(tmp_path)), closing(endpoint.connect(tmp_path, timeout_s=1)):
        pass


def test_socket_where_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    """Nobody is cut off from a process that answers."""
    with closing(endpoint.listen(tmp_path)):
        with pytest.raises(ConfigError) as caught:
            endpoint.listen(tmp_path)
        endpoint.connect(tmp_path, timeout_s=1).close()
    place = tmp_path / "control.sock"
    assert str(caught.value) == f"another process listens at {place}: stop it first"


def test_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    """What is no socket is not ours to remove."""
    place = tmp_path / "control.sock"
    place.write_text("precious")
    with pytest.raises(ConfigError) as caught:
        endpoint.listen(tmp_path)
    assert place.read_text() == "precious"
    expected = f"{place} is no socket: move it away, the recorder listens there"
    assert str(caught.value) == expected


@pytest.mark.parametrize("bytes_of_path", [107, 108, 500])
def test_folder_may_lie_deep(bytes_of_path: int, tmp_path: Path) -> None:
    """The kernel keeps 107 bytes of the path of a socket; a data folder may have more."""
    folder, missing = tmp_path, bytes_of_path - len(str(tmp_path)) - len("/control.sock")
    while missing > 0:
        folder /= "d" * min(missing - 1, 200)
        missing -= min(missing, 201)
    folder.mkdir(parents=True)
    assert len(str(folder / "control.sock")) == pytest.approx(bytes_of_path, abs=2)
    with closing(endpoint.listen(folder)), closing(endpoint.connect(folder, timeout_s=1)):
        assert (folder / "control.sock").is_socket()
    endpoint.remove(folder)
    assert list(folder.iterdir()) == []


async def test_socket_is_there_while_the_recorder_is(tmp_path: Path, autojump_clock: Clock) -> None:
    """It comes with the start and goes with the stop."""
    place = tmp_path / "control.sock"
    async with controlled(tmp_path):
        assert place.is_socket()
    assert not place.exists()


async def test_start_whose_socket_is_taken_is_refused_and_leaves_no_lock(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """The recorder says what is in its place, and can be started once it is gone."""
    place = tmp_path / "control.sock"
    place.touch()
    async with stage(tmp_path) as one:
        one.listen = endpoint.listen
        with pytest.raises(ConfigError, match="is no socket"):
            await one.serve()
        place.unlink()
        async with one.recording():
            await trio.sleep(1)
            assert (await pool_status(tmp_path))["state"] == "live"


async def test_start_that_fails_takes_its_socket_away(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A recorder that ends by itself leaves nothing to connect to."""
    async with stage(tmp_path) as one:
        one.listen = endpoint.listen
        one.cut("lab")
        with pytest.raises(BaseExceptionGroup) as caught:
            await one.serve()
    foreseen, bugs = caught.value.split(XentrailError)
    assert bugs is None
    assert foreseen is not None
    assert "cannot reach" in str(first_of(foreseen))
    assert not (tmp_path / "control.sock").exists()


async def test_folder_without_room_for_a_socket_is_recorded_into(
    tmp_path: Path, autojump_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """To record is more than to be asked; once there is room, it can be."""
    full = True

    def listen(data: Path) -> socket.socket:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return endpoint.listen(data)

    async with stage(tmp_path) as one:
        one.listen = listen
        async with one.recording():
            await trio.sleep(2 * RETRY_S)
            one.pools["lab"].emit()
            await trio.sleep(1)
            assert one.ids() == [5]
            full = False
            await trio.sleep(RETRY_S)
            assert (await pool_status(tmp_path))["state"] == "live"
    (line,) = logged(caplog, "no-control")
    fields: Json = line.__dict__["fields"]
    assert fields["error"] == f"{tmp_path / 'control.sock'}: No space left on device"


# -- what is asked -----------------------------------------------------------------------------

OBJECT = 'write one JSON object on a line, such as {"command": "status"}: '


@pytest.mark.parametrize(
    ("request_", "name", "text"),
    [
        (b"\n", "bad-request", OBJECT),
        (b"status\n", "bad-request", OBJECT),
        (b"[1]\n", "bad-request", OBJECT),
        (b"\xff\xfe\n", "bad-request", OBJECT),
        (b"[" * 5000 + b"\n", "bad-request", OBJECT),
        ({"command": 7}, "bad-request", OBJECT),
        ({}, "bad-request", OBJECT),
        (
            {"command": "stop"},
            "unknown-command",
            "there is no command 'stop'; known: status, reload, follow, run",
        ),
        (
            {"command": "status", "protocol": 2},
            "unknown-protocol",
            "this recorder speaks protocol 1, not 2",
        ),
        (
            {"command": "status", "pool": "lab"},
            "bad-request",
            "status has no key 'pool'; known: command, protocol",
        ),
        (
            {"command": "follow", "kinds": ["events"]},
            "bad-request",
            "follow: Invalid enum value 'events' - at `$.kinds[",
        ),
        (
            {"command": "follow", "classes": "vm"},
            "bad-request",
            "follow: Expected `array`, got `str` - at `$.classes`",
        ),
        (
            {"command": "follow", "pools": ["lba"]},
            "unknown-pool",
            "no pool 'lba' is recorded; did you mean 'lab'?",
        ),
        (
            {"command": "follow", "pools": ["other"]},
            "unknown-pool",
            "no pool 'other' is recorded; known: lab",
        ),
        (
            {"command": "reload"},
            "config-refused",
            "this recorder was started without a configuration file: there is none to read",
        ),
        (
            b" " * (REQUEST_BYTES_MAX + 1),
            "request-too-long",
            f"a request has at most {REQUEST_BYTES_MAX} bytes",
        ),
    ],
)
async def test_bad_request_is_named(
    request_: bytes | Json, name: str, text: str, tmp_path: Path, autojump_clock: Clock
) -> None:
    """A program reads the name, a person the text; the recorder goes on."""
    async with controlled(tmp_path):
        told, texts = await refusal(tmp_path, request_)
        assert (told, len(texts)) == (name, 1)
        assert texts[0].startswith(text)
        assert (await pool_status(tmp_path))["state"] == "live"


async def test_request_that_does_not_end_is_given_up(tmp_path: Path, autojump_clock: Clock) -> None:
    """Who connects and says nothing does not stay."""
    async with controlled(tmp_path), connected(tmp_path) as client:
        began_s = trio.current_time()
        await client.send(b'{"command":')
        (answer,) = await client.rest()
        error = answer["error"]
        assert isinstance(error, dict)
        assert error["name"] == "request-too-slow"
        assert trio.current_time() - began_s == pytest.approx(server.REQUEST_S_MAX)


async def test_request_may_come_in_pieces_and_tell_the_protocol(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A line is a line, however it arrives."""
    async with controlled(tmp_path), connected(tmp_path) as client:
        for byte in b'{"protocol": 1, "command": "status"}\n':
            await client.send(bytes([byte]))
            await trio.sleep(0.01)
        (answer,) = await client.rest()
    assert "status" in answer


async def test_too_many_clients_are_told_so(tmp_path: Path, autojump_clock: Clock) -> None:
    """A script gone wild cannot take the recorder with it, and its end is the end of it."""
    async with controlled(tmp_path):
        async with trio.open_nursery() as nursery:

            async def hold() -> None:
                async with connected(tmp_path):
                    await trio.sleep_forever()

            for _ in range(server.CLIENTS_MAX):
                nursery.start_soon(hold)
                await trio.sleep(0.1)
            assert (await refusal(tmp_path, b""))[0] == "busy"
            nursery.cancel_scope.cancel()
        await trio.sleep(0.1)
        assert "recorder" in await status(tmp_path)


async def test_client_that_goes_away_is_nobodys_business(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Neither before its request, nor in the middle of it, nor before the answer."""
    async with controlled(tmp_path):
        for sent in (b"", b'{"comm', b'{"command": "status"}\n', b'{"command": "follow"}\n'):
            async with connected(tmp_path) as client:
                await client.send(sent)
            await trio.sleep(1)
        assert (await recorder_status(tmp_path))["followers"] == 0


async def test_follower_that_is_one_too_many_is_told_so(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """Those who follow already go on, and status is answered."""
    async with controlled(tmp_path), trio.open_nursery() as nursery:

        async def hold() -> None:
            async with following(tmp_path):
                await trio.sleep_forever()

        for _ in range(16):
            nursery.start_soon(hold)
        await trio.sleep(0.1)
        assert await refusal(tmp_path, {"command": "follow"}) == (
            "busy",
            ["16 follow already, which is the most"],
        )
        assert (await recorder_status(tmp_path))["followers"] == 16
        nursery.cancel_scope.cancel()


async def test_ask_after_the_end_finds_nobody(tmp_path: Path, autojump_clock: Clock) -> None:
    """There is no socket to connect to."""
    async with controlled(tmp_path):
        await ask(tmp_path, {"command": "status"})
    with pytest.raises(FileNotFoundError):
        await ask(tmp_path, {"command": "status"})
