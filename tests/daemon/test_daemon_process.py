"""A service as a process: its signals, its errors, its exit codes."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

from recorder.errors import ConfigError, LoginRefused, TransportError
from recorder.service.process import run

SLOW_TO_STOP = """
    import sys
    import trio
    from recorder.service import process

    async def service():
        try:
            print("ready", flush=True)
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                print("stopping", flush=True)
                await trio.sleep({stop_s})
        print("unreachable")

    process.run(service)
    print("ended")
"""
WAIT_S_MAX = 20.0


@contextmanager
def running(stop_s: float) -> "Iterator[subprocess.Popen[str]]":
    program = textwrap.dedent(SLOW_TO_STOP).format(stop_s=stop_s)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_the_service_clean_up(number: signal.Signals) -> None:
    """One signal cancels the service, waits for it, and ends the process with 0."""
    with running(stop_s=0.01) as process:
        process.send_signal(number)
        out, errors = process.communicate(timeout=WAIT_S_MAX)
    assert (out, errors, process.returncode) == ("stopping\nended\n", "", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    """Whoever asks twice does not wait for the clean-up, and is not shown a traceback."""
    with running(stop_s=1) as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=WAIT_S_MAX)
    assert (out, errors) == ("", "")
    assert process.returncode == -number


def test_error_of_the_service_comes_out_by_itself() -> None:
    """However many nurseries an error went through, its caller sees the error, not the groups."""

    async def service() -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(trio.sleep_forever)
            inner.start_soon(trio.sleep_forever)
            raise LoginRefused("SESSION_AUTHENTICATION_FAILED")

    with pytest.raises(LoginRefused) as caught:
        run(service)
    assert caught.value.__suppress_context__


def test_first_of_several_errors_comes_out() -> None:
    """Of errors that end a service together, one is the exit code."""

    async def fail(error: Exception) -> None:
        raise error

    async def service() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, TransportError("a"))
            nursery.start_soon(fail, TransportError("b"))

    with pytest.raises(TransportError):
        run(service)


def test_bug_beside_an_error_is_not_hidden() -> None:
    """An error that nobody foresaw is shown with everything that came with it."""

    async def fail(error: Exception) -> None:
        raise error

    async def service() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ConfigError("foreseen"))
            nursery.start_soon(fail, ZeroDivisionError())

    with pytest.raises(BaseExceptionGroup) as caught:
        run(service)
    assert caught.value.subgroup(ZeroDivisionError) is not None


def test_service_that_ends_by_itself_ends_the_process() -> None:
    """A service without more to do is not waited for."""

    async def service() -> None:
        await trio.lowlevel.checkpoint()

    run(service)
