"""Every method, called with arguments that make sense and arguments that do not."""

import random

import pytest
import trio
import trio.testing

from recorder.simulator import jsonwire, xmlwire
from recorder.simulator.calls import Call, Sent
from recorder.simulator.database import Database
from recorder.simulator.datamodel import classes, enums
from recorder.simulator.dispatch import Dispatcher, Door
from recorder.simulator.front import Front
from recorder.simulator.inventory import PoolSpec
from recorder.simulator.methods import Method, method_table
from recorder.simulator.pool import SimulatedPool
from recorder.simulator.values import Fault

CALLS = 600
NONSENSE: tuple[Sent, ...] = (None, 5, "x", [], {}, True, 1.5)
PLAIN: dict[str, tuple[Sent, ...]] = {
    "int": (0, -1, 10**12),
    "float": (0.0, 0.5),
    "bool": (True, False),
    "datetime": ("20200101T00:00:00Z",),
    "string": ("", "x", "é\n", "VM"),
}


def _argument(kind: str, database: Database, rng: random.Random) -> Sent:
    if rng.random() < 0.03:
        return rng.choice(NONSENSE)
    outer, _, inner = kind.partition(":")
    if outer == "map":
        inner = inner.partition(":")[2]
    if outer.startswith("@"):
        known = database.refs(outer[1:]) if outer[1:] in classes() else []
        return rng.choice([*known, "OpaqueRef:NULL", "OpaqueRef:nope"])
    if outer in ("set", "map"):
        items = {key: _argument(inner, database, rng) for key in "ab"[: rng.randrange(3)]}
        return items if outer == "map" else list(items.values())
    if outer == "record":
        return {"name_label": "made by a test"}
    if outer.startswith("enum/"):
        return rng.choice([*enums()[outer.removeprefix("enum/")], "no such thing"])
    return rng.choice(PLAIN[outer])


def _name(method: Method, rng: random.Random) -> str:
    return (
        f"Async.{method.name}" if method.signature.has_async and rng.random() < 0.4 else method.name
    )


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_is_a_result_or_a_fault(
    seed: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """No call ends in anything but a result that both encodings can write, or a XAPI error."""
    rng = random.Random(seed)
    spec = PoolSpec(hosts=2, vms=4, seed=seed, speed=0.0)
    pool = SimulatedPool.build(spec, now_s=trio.current_time)
    front = Front(pool, now_s=trio.current_time)
    await nursery.start(front.run)
    session = front.sessions.login("root", spec.password, originator="", trusted=False)
    dispatcher = Dispatcher(pool, front.sessions, now_s=trio.current_time)
    request = jsonwire.Request(Call("any", []), jsonwire.Version.ONE, 1)
    table = method_table(pool, front.sessions, trio.current_time)
    methods = [method for name, method in table.items() if name != "session.logout"]
    operations = [table[name] for name in pool.operations]
    for _ in range(CALLS):
        method = rng.choice(operations if rng.random() < 0.5 else methods)
        args = [_argument(param.type, pool.database, rng) for param in method.params]
        call = Call(_name(method, rng), [session, *args])
        try:
            with trio.move_on_after(60):  # event.next and event.from may wait for good.
                result = await dispatcher.answer(call, Door(pool.hosts[0].address))
                jsonwire.encode_success(request, result)
                xmlwire.encode_success(result)
        except Fault as fault:
            jsonwire.encode_failure(request, fault)
            xmlwire.encode_failure(fault)
