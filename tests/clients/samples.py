"""What the sample programs of the XenServer SDK do, as functions that take a session.

The algorithms are theirs, the text is not. `pause_s` is the time between two looks at the server,
a second in the samples.
"""

import time
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

Record = Mapping[str, Any]
BOOTS = 9
"""How often powercycle starts each VM."""


class TasksFailed(Exception):
    """Some tasks of a permutation did not succeed; the argument has their records."""


def guests(session: Any) -> dict[str, Record]:
    """Return the VMs that are neither templates (snapshots are, too) nor control domains."""
    return {
        ref: record
        for ref, record in session.xenapi.VM.get_all_records().items()
        if not (record["is_a_template"] or record["is_control_domain"])
    }


def powercycle(session: Any, *, boots: int = BOOTS, pause_s: float) -> int:
    """Halt every guest, then start, suspend, resume and halt it again; returns how many starts.

    All calls are synchronous; what fails ends it all.
    """
    starts = 0
    for vm, record in guests(session).items():
        _halt(session, vm, record["power_state"])
        for _ in range(boots):
            _boot_once(session, vm, pause_s)
            starts += 1
    return starts


def _halt(session: Any, vm: str, power_state: str) -> None:
    if power_state == "Halted":
        return
    if power_state == "Suspended":
        session.xenapi.VM.resume(vm, False, True)
    elif power_state == "Paused":
        session.xenapi.VM.unpause(vm)
    session.xenapi.VM.clean_shutdown(vm)


def _boot_once(session: Any, vm: str, pause_s: float) -> None:
    session.xenapi.VM.start(vm, False, True)
    while "suspend" not in session.xenapi.VM.get_record(vm)["allowed_operations"]:
        time.sleep(pause_s)
    session.xenapi.VM.suspend(vm)
    session.xenapi.VM.resume(vm, False, True)
    session.xenapi.VM.clean_shutdown(vm)


def permute(session: Any, iterations: int, *, pause_s: float) -> list[tuple[str, str]]:
    """Move all running guests at once, each to the host of the one before it.

    Returns the last (VM, host) pairs asked for. Raises TasksFailed, with the tasks left behind.
    """
    moves: list[tuple[str, str]] = []
    for _ in range(iterations):
        moves = _rotated(session)
        tasks = [
            session.xenapi.Async.VM.pool_migrate(vm, host, {"live": "true"}) for vm, host in moves
        ]
        while any(record["status"] == "pending" for record in _records(session, tasks)):
            time.sleep(pause_s)
        records = _records(session, tasks)
        if any(record["status"] != "success" for record in records):
            raise TasksFailed(records)
        for task in tasks:
            session.xenapi.task.destroy(task)
    return moves


def _rotated(session: Any) -> list[tuple[str, str]]:
    running = [
        (vm, str(record["resident_on"]))
        for vm, record in guests(session).items()
        if record["power_state"] == "Running"
    ]
    vms, hosts = [vm for vm, _ in running], [host for _, host in running]
    return list(zip(vms, [hosts[-1], *hosts[:-1]], strict=True))


def _records(session: Any, tasks: list[str]) -> list[Record]:
    return [session.xenapi.task.get_record(task) for task in tasks]


def start_async(session: Any, *, pause_s: float) -> tuple[str, Record]:
    """Start the first halted guest in the background; returns it and the record of the task.

    The task is left behind.
    """
    vm = next(vm for vm, record in guests(session).items() if record["power_state"] == "Halted")
    task = session.xenapi.Async.VM.start(vm, False, True)
    while session.xenapi.task.get_status(task) == "pending":
        time.sleep(pause_s)
    return vm, session.xenapi.task.get_record(task)


def watch_from(session: Any, *, timeout_s: float) -> Iterator[list[Record]]:
    """Yield batch after batch of all events, beginning with everything that there is."""
    token = ""
    while True:
        output = session.xenapi.event_from(["*"], token, timeout_s)
        token = output["token"]
        yield output["events"]


def watch_next(session: Any) -> Iterator[list[Record]]:
    """Yield batch after batch of all events from now on. The first one is asked for by `next`."""
    session.xenapi.event.register(["*"])
    return (session.xenapi.event.next() for _ in repeat(None))
