"""What calls tell, from the request on: with their user, their task and their line.

The listings are those of tests/simulator/core/test_event_listings.py, which calls operations
directly.
"""

from collections.abc import Sequence

import trio.testing

from recorder.simulator.calls import Sent
from recorder.simulator.values import Fault
from tests.simulator.core.listings import Narrator, golden
from tests.simulator.rbac.support import PASSWORD, READER, Bench, a_bench

RECORDED = golden("recorded")
GONE = "OpaqueRef:00000000-1111-2222-3333-444444444444"
Clock = trio.testing.MockClock


class _Ear:
    """Hears everything that the pool tells, in the words of the listings."""

    def __init__(self, bench: Bench) -> None:
        self._hub = bench.pool.hub
        self._hub.register("OpaqueRef:ear", ["*"])
        self._pool = bench.pool
        self._narrator = Narrator(bench.pool)

    async def told(self) -> list[str]:
        """Return what was told since the last time, with objects counted anew; maybe nothing."""
        lines: list[str] = []
        with trio.move_on_after(1.0):
            lines = self._narrator.tell(await self._hub.next("OpaqueRef:ear"))
        self._narrator = Narrator(self._pool)
        return lines


async def _try(bench: Bench, session: str, method: str, *params: Sent) -> str:
    """Call a method; return the code of its fault, nothing if there is none."""
    try:
        result = await bench.raw(method, session, *params)
    except Fault as fault:
        return fault.code
    if method.startswith("Async."):
        await bench.finished(result)
    return ""


async def test_calls_that_fail_are_told_as_by_xapi(autojump_clock: Clock) -> None:
    """Operations on a VM in the wrong state or that is not there, and those that are denied."""
    async with a_bench() as bench:
        running, reader = bench.vm("vm-001"), bench.login(READER)
        ear = _Ear(bench)
        start = (running, False, False)
        steps: Sequence[tuple[str, str, str, tuple[Sent, ...], str]] = (
            ("VM.start-failing", bench.root, "VM.start", start, "VM_BAD_POWER_STATE"),
            ("Async.VM.start-failing", bench.root, "Async.VM.start", start, ""),
            ("VM.start-unknown", bench.root, "VM.start", (GONE, False, False), "HANDLE_INVALID"),
            ("VM.start-denied", reader, "VM.start", start, "RBAC_PERMISSION_DENIED"),
            ("Async.VM.start-denied", reader, "Async.VM.start", start, ""),
        )
        for name, session, method, params, code in steps:
            assert await _try(bench, session, method, *params) == code
            assert (name, await ear.told()) == (name, RECORDED[name])
        halted = bench.vm("vm-003")
        code = await _try(bench, bench.root, "VM.hard_shutdown", halted)
        assert code == "VM_BAD_POWER_STATE"
        like_start = [
            line.replace(".start", ".hard_shutdown") for line in RECORDED["VM.start-failing"]
        ]
        assert await ear.told() == like_start


async def test_small_calls_are_told_as_by_xapi(autojump_clock: Clock) -> None:
    """Setters tell of their field and make no task; network.create and secret.create have one."""
    async with a_bench() as bench:
        vm, pool = bench.vm("vm-003"), bench.pool.pool_ref
        ear = _Ear(bench)
        network: Sent = {"name_label": "net1", "name_description": "nd", "other_config": {}}
        steps: Sequence[tuple[str, tuple[Sent, ...], list[str]]] = (
            ("VM.set_name_label", (vm, "new"), RECORDED["VM.set_name_label"]),
            ("VM.set_name_description", (vm, "new"), ["vm#1 name_description"]),
            ("VM.add_to_other_config", (vm, "k", "v"), ["vm#1 other_config"]),
            ("VM.remove_from_other_config", (vm, "k"), RECORDED["VM.remove_from_other_config"]),
            ("VM.set_other_config", (vm, {"a": "b"}), ["vm#1 other_config"]),
            ("VM.add_tags", (vm, "blue"), RECORDED["VM.add_tags"]),
            ("pool.set_name_description", (pool, "d"), RECORDED["pool.set_name_description"]),
            ("pool.add_to_other_config", (pool, "k", "v"), RECORDED["pool.add_to_other_config"]),
            ("event.inject", ("pool", pool), RECORDED["event.inject"]),
            ("network.create", (network,), RECORDED["network.create"]),
            ("secret.create", ({"value": "s", "other_config": {}},), RECORDED["secret.create"]),
        )
        for method, params, lines in steps:
            assert await _try(bench, bench.root, method, *params) == ""
            assert (method, await ear.told()) == (method, lines)


async def test_calls_without_an_effect_tell_nothing(autojump_clock: Clock) -> None:
    """Reading, sessions, subscriptions, calls that cannot be made, and a setter that is denied or
    given what the database does not take."""
    async with a_bench() as bench:
        vm, reader = bench.vm("vm-003"), bench.login(READER)
        ear = _Ear(bench)
        silent: Sequence[tuple[str, str, tuple[Sent, ...], str]] = (
            (bench.root, "VM.start", (vm,), "MESSAGE_PARAMETER_COUNT_MISMATCH"),
            (bench.root, "no.such_method", (), "MESSAGE_METHOD_UNKNOWN"),
            (bench.root, "VM.get_all_records", (), ""),
            (bench.root, "event.register", (["*"],), ""),
            (bench.root, "event.unregister", (["*"],), ""),
            (bench.root, "event.from", ([], "", 0.0), ""),
            (bench.root, "session.change_password", (PASSWORD, "other"), ""),
            (bench.root, "VM.set_name_label", (vm, "bell \a"), "INTERNAL_ERROR"),
            (reader, "VM.set_name_label", (vm, "x"), "RBAC_PERMISSION_DENIED"),
            (reader, "VM.get_all", (), ""),
            (reader, "session.logout", (), ""),
        )
        for session, method, params, code in silent:
            assert (method, await _try(bench, session, method, *params)) == (method, code)
        wrong: tuple[Sent, ...] = ("not it", "1.0", "tests")
        login = "session.login_with_password"
        assert await _try(bench, "root", login, *wrong) == "SESSION_AUTHENTICATION_FAILED"
        assert await ear.told() == []


async def test_control_characters_do_not_get_into_the_database(autojump_clock: Clock) -> None:
    """A field refuses them, with a line that says so; what is created or added ends before them."""
    async with a_bench() as bench:
        vm = bench.vm("vm-003")
        fault = await bench.fault("VM.set_name_label", vm, "a\x01b")
        assert fault == ["INTERNAL_ERROR", "Db_exn.Invalid_value"]
        assert "'ALLOWED' 'ERROR:INTERNAL_ERROR: [ Db_exn.Invalid_value ]'" in bench.lines()[-1]
        assert (await bench.fault("VM.set_tags", vm, ["a\x01b"])) == fault
        await bench.call("VM.add_to_other_config", vm, "k\x01l", "v\x02w")
        await bench.call("VM.add_tags", vm, "blue\x1fgreen")
        clone = str(await bench.call("VM.clone", vm, "c\x00d"))
        record = bench.database.record("VM", vm)
        assert (record["name_label"], record["tags"]) == ("vm-003", ["blue"])
        assert record["other_config"]["k"] == "v"  # type: ignore[call-overload,index]  # a map
        assert bench.database.field("VM", clone, "name_label") == "c"
        await bench.call("VM.remove_from_other_config", vm, "k\x03")
        assert "k" not in bench.database.field("VM", vm, "other_config")  # type: ignore[operator]  # a map
        await bench.fault("VM.get_by_uuid", "\x04")
        task = await bench.finished(await bench.call("Async.VM.start", "x\x05", False, False))
        assert task["error_info"] == ["HANDLE_INVALID", "VM", "x"]
