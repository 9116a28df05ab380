"""Kinds of deeds in a pool: each picks an object and says what to call on it."""

import random
from collections.abc import Callable, Mapping, Sequence

import msgspec

from .pool import SimulatedPool
from .values import Record, Value, text_of

TRIES = 32
"""How often another VM is drawn when one does not fit, before all of them are looked at."""

_PURPOSES = ("web server", "build agent", "database", "mail relay", "test bench", "print queue")
_HIDDEN = ("is_a_template", "is_a_snapshot", "is_control_domain")


class Deed(msgspec.Struct, frozen=True):
    """A call: the method by its sync name and its arguments without the session."""

    method: str
    args: Sequence[Value]


Kind = Callable[[SimulatedPool, random.Random], Deed | None]
"""Returns what to do, None if there is nothing that fits now."""


def _drawn(
    pool: SimulatedPool, rng: random.Random, fits: Callable[[Record], bool]
) -> tuple[str, Record] | None:
    """Return a VM that fits, None if there is none."""
    vms = pool.database.refs("VM")
    for _ in range(TRIES if vms else 0):
        vm = rng.choice(vms)
        record = pool.database.row("VM", vm).record
        if fits(record):
            return vm, record
    records = ((vm, pool.database.row("VM", vm).record) for vm in vms)
    fitting = [(vm, record) for vm, record in records if fits(record)]
    return rng.choice(fitting) if fitting else None


def _is_guest(record: Record) -> bool:
    return not any(map(record.get, _HIDDEN))


def _in_state(*states: str) -> Callable[[Record], bool]:
    return lambda record: _is_guest(record) and record["power_state"] in states


def _power(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    """Start, stop, suspend, resume or restart a VM, whatever its state asks for."""
    found = _drawn(pool, rng, _is_guest)
    if found is None:
        return None
    vm, record = found
    match record["power_state"]:
        case "Running":
            verbs = ("hard_reboot", "hard_shutdown", "suspend", "clean_shutdown", "clean_reboot")
            return Deed(f"VM.{rng.choice(verbs)}", [vm])
        case "Suspended":
            return Deed("VM.resume", [vm, False, False])
        case "Paused":
            return Deed("VM.unpause", [vm])
        case _:
            return Deed("VM.start", [vm, False, False])


def _migrate(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    found = _drawn(pool, rng, _in_state("Running"))
    if found is None:
        return None
    return Deed("VM.pool_migrate", [found[0], rng.choice(pool.hosts).ref, {"live": "true"}])


def _edit(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    found = _drawn(pool, rng, _is_guest)
    if found is None:
        return None
    purpose = f"{rng.choice(_PURPOSES)} {rng.randrange(100)}"
    return Deed("VM.set_name_description", [found[0], purpose])


def _snapshot(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    found = _drawn(pool, rng, _in_state("Running", "Halted"))
    return found and Deed("VM.snapshot", [found[0], f"snapshot {rng.randrange(1000)}"])


def _clone(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    found = _drawn(pool, rng, _in_state("Halted"))
    if found is None:
        return None
    name = text_of(found[1], "name_label").partition(" copy ")[0]
    return Deed("VM.clone", [found[0], f"{name} copy {rng.randrange(1000)}"])


def _remove(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    """Destroy a snapshot or a copy that was made before; nothing else is ever destroyed."""

    def is_made(record: Record) -> bool:
        copied = " copy " in text_of(record, "name_label") and _in_state("Halted")(record)
        return record["is_a_snapshot"] is True or copied

    found = _drawn(pool, rng, is_made)
    return found and Deed("VM.destroy", [found[0]])


def _alert(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    found = _drawn(pool, rng, _is_guest)
    if found is None:
        return None
    uuid = text_of(found[1], "uuid")
    body = f"value: {rng.random():.6f}\nconfig: cpu_usage"
    return Deed("message.create", ["ALARM", 3, "VM", uuid, body])


def _mistake(pool: SimulatedPool, rng: random.Random) -> Deed | None:
    """Ask for what the state of a VM does not allow."""
    found = _drawn(pool, rng, _in_state("Running"))
    return found and Deed("VM.start", [found[0], False, False])


CALLS: Mapping[str, Kind] = {
    "power": _power,
    "migrate": _migrate,
    "edit": _edit,
    "snapshot": _snapshot,
    "clone": _clone,
    "remove": _remove,
    "alert": _alert,
    "mistake": _mistake,
}
"""Kinds that are calls of a client."""
CRASH = "crash"
"""The kind that is none: a guest dies by itself."""
KINDS = (*CALLS, CRASH)


def running_guest(pool: SimulatedPool, rng: random.Random) -> str | None:
    """Return a VM that runs, None if none was met."""
    found = _drawn(pool, rng, _in_state("Running"))
    return found and found[0]
