"""What systemd is told of the recorder, and the unit that it is told by."""

import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from recorder.config import Limits
from recorder.errors import ConfigError
from recorder.pools.watch import REFUSED_RETRY_S
from recorder.service import notify
from recorder.service.daemon import MANAGED_REST_S
from tests.cli.programs import WAIT_S_MAX, pool_table, recorder, simulator, stop, write_config
from tests.watch.scripted import ScriptedPool, Stage, fault, stage

Clock = trio.testing.MockClock
T = TypeVar("T")
UNIT = Path(__file__).parents[2] / "config" / "xentrail.service"
REFUSE = fault("SESSION_AUTHENTICATION_FAILED", "root", "no")
EXPOSURE_MAX = 2.5


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """Listen where a service manager would."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.settimeout(WAIT_S_MAX)
        listener.bind(address)
        yield listener


def words(one: Stage, word: str) -> list[float]:
    """Return when a word was told."""
    return [at_s for at_s, told in one.told if told == word]


@pytest.mark.parametrize("abstract", [False, True])
def test_word_arrives_at_the_socket_that_the_environment_names(
    tmp_path: Path, abstract: bool
) -> None:
    """systemd names its socket by a path, or by an abstract name that begins with @."""
    name = f"xentrail-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with manager("\0" + name if abstract else name) as listener:
        notify.say("READY=1", {"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        assert listener.recv(100) == b"READY=1"


def test_word_without_a_service_manager_goes_nowhere() -> None:
    """Whoever starts the recorder by hand hears nothing of this."""
    notify.say("READY=1", {})


def test_word_that_the_manager_cannot_take_is_an_error(tmp_path: Path) -> None:
    """A manager that waits for the word would kill the service: the reason is better told."""
    with pytest.raises(FileNotFoundError):
        notify.say("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "90000000"}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": str(os.getpid())}, 90.0),
        ({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_read_from_the_environment(
    environ: dict[str, str], expected: float | None
) -> None:
    """A watchdog counts if it is meant for this process."""
    assert notify.watchdog_s(environ) == expected


def test_recorder_under_systemd_says_ready_alive_and_stopping(tmp_path: Path) -> None:
    """The real recorder is ready once a pool is recorded, alive from then on, and says its end."""
    with simulator("--vms", "2", "--activity", "0") as pool, manager(str(tmp_path / "s")) as heard:
        config = write_config(tmp_path, pool_table(pool.url))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "s"), "WATCHDOG_USEC": "300000"}
        with recorder(config, environ=environ) as process:
            told = [heard.recv(100)]
            while told.count(b"READY=1") < 1 or told[-3:] != [b"WATCHDOG=1"] * 3:
                told.append(heard.recv(100))
            stop(process)
        assert process.returncode == 0
        heard.setblocking(False)
        while True:
            try:
                told.append(heard.recv(100))
            except BlockingIOError:
                break
    assert told.count(b"READY=1") == 1
    assert told[-1] == b"STOPPING=1"
    assert set(told) == {b"READY=1", b"WATCHDOG=1", b"STOPPING=1"}


async def test_start_that_fails_is_never_ready(tmp_path: Path, autojump_clock: Clock) -> None:
    """systemd shows a recorder that nobody lets in as failed, not as started."""
    async with stage(tmp_path, {"lab": ScriptedPool()}) as one:
        one.pools["lab"].host.methods["session.login_with_password"] = REFUSE
        with pytest.raises(BaseExceptionGroup):
            await one.serve()
    assert [word for _, word in one.told] == ["STOPPING=1"]


async def test_recorder_is_ready_when_one_of_its_pools_is(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A pool that is away does not hold up the start of the others."""
    async with stage(tmp_path, {"away": ScriptedPool(), "here": ScriptedPool()}) as one:
        one.cut("away")
        async with one.recording():
            await trio.sleep(100)
    (ready_s,) = words(one, "READY=1")
    assert ready_s < 1


async def test_recorder_on_a_full_disk_is_alive(tmp_path: Path, autojump_clock: Clock) -> None:
    """To be killed would not make room on the disk, and lose what waits."""
    async with stage(tmp_path) as one:
        one.watchdog_s = 90.0
        async with one.recording():
            await trio.sleep(10)
            one.disk.write_error = errno.ENOSPC
            await trio.sleep(600)
            one.disk.write_error = None
            await trio.sleep(10)
    alive = words(one, "WATCHDOG=1")
    assert len(alive) == 1 + 620 // 30


async def test_recorder_whose_disk_hangs_is_not_alive(
    tmp_path: Path, autojump_clock: Clock
) -> None:
    """A call to the disk that does not come back stops the signs of life until it does."""
    hangs = trio.Event()
    goes_on = trio.Event()

    async def run_sync(call: Callable[[], T], /) -> T:
        if hangs.is_set():
            await goes_on.wait()
        return call()

    async with stage(tmp_path) as one:
        one.watchdog_s = 90.0
        one.run_sync = run_sync
        async with one.recording():
            await trio.sleep(100)
            hangs.set()
            await trio.sleep(300)
            goes_on.set()
            await trio.sleep(100)
    alive = words(one, "WATCHDOG=1")
    assert [at_s for at_s in alive if 180 < at_s < 400] == []
    assert len([at_s for at_s in alive if at_s < 100]) == 4
    assert len([at_s for at_s in alive if at_s > 400]) >= 3


def test_unit_waits_for_what_the_recorder_says() -> None:
    """Unit and recorder speak of the same things: readiness, watchdog, credentials, reload."""
    unit = UNIT.read_text(encoding="utf-8")
    for line in (
        "Type=notify",
        "WatchdogSec=90",
        "LoadCredential=lab:/etc/xentrail/lab.password",
        "ExecReload=/opt/xentrail/bin/xentrail reload --data /var/lib/xentrail",
    ):
        assert re.search(f"^{line}$", unit, re.MULTILINE)


def test_unit_gives_the_recorder_its_time() -> None:
    """systemd kills no start or stop that may still end well, and starts a refused one gently."""
    settings = dict(re.findall(r"^(\w+)=(\d+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE))
    limits = Limits()
    start_s = limits.start_timeout_s + MANAGED_REST_S + limits.grace_s
    assert int(settings["TimeoutStartSec"]) > start_s
    assert int(settings["TimeoutStopSec"]) > limits.grace_s
    assert int(settings["RestartSec"]) + MANAGED_REST_S >= REFUSED_RETRY_S
    assert int(settings["RestartPreventExitStatus"]) == ConfigError.exit_code


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_unit_is_hardened() -> None:
    """What an intruder in the recorder could reach is little: systemd rates it, lower is better."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S_MAX,
    )
    rated = re.search(r"exposure level for xentrail.service: ([0-9.]+)", done.stdout)
    assert rated is not None, done.stderr
    assert float(rated[1]) <= EXPOSURE_MAX
