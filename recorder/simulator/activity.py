"""Somebody at work in a simulated pool: now and then a VM is started, stopped, moved or renamed."""

import random
from collections.abc import Callable, Sequence

import trio

from .pool import SimulatedPool
from .values import NULL_REF, Fault, Record, Value

Deed = tuple[str, Sequence[Value]]

_PURPOSES = ("web server", "build agent", "database", "mail relay", "test bench", "print queue")


async def stir(pool: SimulatedPool, rng: random.Random, *, per_minute: float) -> None:
    """Do something about `per_minute` times a minute, at random times, until cancelled.

    The same random source gives the same deeds at the same times.
    """
    while True:
        await trio.sleep(rng.expovariate(per_minute / 60.0))
        vms = _guests(pool)
        if not vms:
            continue
        vm = rng.choice(sorted(vms))
        if rng.random() < 0.3:
            purpose = f"{rng.choice(_PURPOSES)} {rng.randrange(100)}"
            pool.database.write("VM", vm, "name_description", purpose)
            continue
        method, args = _deed(pool, rng, vm, vms[vm])
        try:
            await pool.call_operation(NULL_REF, method, args)
        except Fault:
            # Another client was faster, or the hosts are full: people meet that too, and go on.
            continue


def _guests(pool: SimulatedPool) -> dict[str, Record]:
    records = {ref: pool.database.record("VM", ref) for ref in pool.database.refs("VM")}
    hidden = ("is_a_template", "is_a_snapshot", "is_control_domain")
    return {ref: record for ref, record in records.items() if not any(map(record.get, hidden))}


def _deed(pool: SimulatedPool, rng: random.Random, vm: str, record: Record) -> Deed:
    """Return a method that fits the power state, and its arguments."""
    running: Sequence[Callable[[], Deed]] = (
        lambda: ("VM.hard_reboot", [vm]),
        lambda: ("VM.hard_shutdown", [vm]),
        lambda: ("VM.suspend", [vm]),
        lambda: ("VM.pool_migrate", [vm, rng.choice(pool.hosts).ref, {"live": "true"}]),
    )
    match record["power_state"]:
        case "Running":
            return rng.choice(running)()
        case "Suspended":
            return "VM.resume", [vm, False, False]
        case "Paused":
            return "VM.unpause", [vm]
        case _:
            return "VM.start", [vm, False, False]
