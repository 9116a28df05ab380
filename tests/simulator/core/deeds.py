"""Random calls that make some sense: an operation and arguments by their types."""

import random

from recorder.simulator.datamodel import class_named
from recorder.simulator.operations import Operation
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import NULL_REF, Fault, Value, texts_of

SESSION = "OpaqueRef:session"
TEXTS = ("", "a", "b", "0", "autodetect", "é", "Running", "RO", "Disk", "success")
PLAIN: dict[str, tuple[Value, ...]] = {
    "int": (0, 1, 2, 2**30, 2**41, -1),
    "float": (0.0, 0.5, 1.0),
    "bool": (True, False),
}


def argument(pool: SimulatedPool, kind: str, rng: random.Random) -> Value:
    """A value of a type of the data model; references are mostly those of living objects."""
    outer, _, inner = kind.partition(":")
    if outer.startswith("@"):
        return _reference(pool, outer[1:], rng)
    if outer in PLAIN:
        return rng.choice(PLAIN[outer])
    if outer == "set":
        return [argument(pool, inner, rng) for _ in range(rng.randrange(3))]
    if outer == "map":
        value = inner.partition(":")[2]
        return {name: argument(pool, value, rng) for name in ("a", "live")[: rng.randrange(3)]}
    return _record(pool, inner, rng) if outer == "record" else rng.choice(TEXTS)


def _reference(pool: SimulatedPool, cls: str, rng: random.Random) -> str:
    known = pool.database.refs(cls) if class_named(cls) == cls else []
    if cls == "VM":
        known = [vm for vm in known if pool.database.field(cls, vm, "is_a_template") is False]
    return rng.choice(known) if known and rng.random() < 0.97 else NULL_REF


def _record(pool: SimulatedPool, cls: str, rng: random.Random) -> Value:
    refs = pool.database.refs(cls)
    if not refs:
        return {"name_label": "made by a test"}
    record = pool.database.record(cls, rng.choice(refs))
    return record | {"name_label": "made by a test"} if "name_label" in record else record


def deed(pool: SimulatedPool, rng: random.Random) -> tuple[Operation, list[Value]]:
    """An operation and its arguments: half of the time one that a VM offers."""
    name = rng.choice(sorted(pool.operations))
    vm = _reference(pool, "VM", rng)
    chosen: list[Value] = []
    if rng.random() < 0.5 and vm != NULL_REF:
        record = pool.database.record("VM", vm)
        offers = [f"VM.{verb}" for verb in texts_of(record, "allowed_operations")]
        known = [offer for offer in offers if offer in pool.operations]
        if known:
            name, chosen = rng.choice(known), [vm]
    operation = pool.operations[name]
    rest = operation.params[len(chosen) :]
    return operation, [*chosen, *(argument(pool, param.type, rng) for param in rest)]


async def do(pool: SimulatedPool, operation: Operation, args: list[Value]) -> Fault | None:
    """Do it to its end and return what it failed with."""
    try:
        await pool.call_operation(SESSION, operation.name, args)
    except Fault as fault:
        return fault
    return None
