"""The thread of the journal: calls in their order, each with its result or its error."""

import threading

import pytest
import trio

from recorder.threads import inline, own_thread


async def test_calls_run_in_one_thread_that_is_not_the_callers_and_ends_with_the_block() -> None:
    """The journal is no longer held by anything once the keeper has ended."""
    with own_thread(trio.to_thread.run_sync) as run_sync:
        threads = {await run_sync(threading.current_thread) for _ in range(3)}
    (thread,) = threads
    assert thread is not threading.current_thread()
    thread.join(5)
    assert not thread.is_alive()


async def test_what_a_call_raises_is_raised_where_it_is_waited_for() -> None:
    """And the thread serves the next one."""

    def fail() -> None:
        raise OSError("no room")

    with own_thread(trio.to_thread.run_sync) as run_sync:
        with pytest.raises(OSError, match=r"^no room$"):
            await run_sync(fail)
        assert await run_sync(lambda: 7) == 7


async def test_a_call_under_way_is_waited_for_also_by_who_is_cancelled() -> None:
    """What is being written is known to be written, or not, before anything else happens."""
    begun, go = threading.Event(), threading.Event()
    done: list[int] = []

    def work() -> int:
        begun.set()
        go.wait(5)
        return 7

    async def ask() -> None:
        with scope:
            done.append(await run_sync(work))

    scope = trio.CancelScope()
    with own_thread(trio.to_thread.run_sync) as run_sync:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.to_thread.run_sync(begun.wait)
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            go.set()
        assert await run_sync(lambda: 8) == 8
    assert done == [7]


async def test_a_call_that_is_cancelled_before_is_not_made() -> None:
    """As with the threads of trio."""
    made: list[int] = []
    with own_thread(trio.to_thread.run_sync) as run_sync, trio.CancelScope() as scope:
        scope.cancel()
        await run_sync(lambda: made.append(1))
    assert scope.cancelled_caught
    assert not made


def test_a_simulation_keeps_its_own_way() -> None:
    """Its clock does not wait for threads."""
    with own_thread(inline) as run_sync:
        assert run_sync is inline
