"""When a rule strikes: what it matches, how often, with which chance."""

import pytest
import trio
from trio.testing import MockClock

from recorder.simulator.faults.rule import Tally, When, covers, strikes
from tests.simulator.faults.support import LAST, MASTER, MEMBER, Refused, Stage, a_stage

FAULT = {"match": "VM.get_all", "effect": "fault", "code": "STRUCK"}


async def _struck(stage: Stage, calls: int, method: str = "VM.get_all", *args: object) -> str:
    """Return a letter a call: `x` where the rule struck."""
    client, found = await stage.login(), ""
    for _ in range(calls):
        try:
            await client.do(method, *args)
            found += "."
        except Refused as refused:
            found += "x" if "STRUCK" in refused.args else "?"
        await trio.sleep(1)
    return found


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("VM.start", ["VM.start"], ["Async.VM.start", "VM.start_on", "connect"]),
        ("*VM.start", ["VM.start", "Async.VM.start"], ["VM.start_on"]),
        ("Async.VM.*", ["Async.VM.start"], ["VM.start", "Async.VDI.copy"]),
        ("VM", ["VM.start", "Async.VM.start", "VM.mod"], ["VM_metrics.get_all"]),
        ("VM*", ["VM.start", "VM_metrics.mod", "Async.VMPP.x"], ["SR.scan"]),
        ("event.next", ["event.next"], ["event.from"]),
        ("*", ["event.next", "session.logout", "pool.mod"], ["connect"]),
        ("connect", ["connect"], ["VM.start"]),
    ],
)
def test_a_pattern_covers_classes_or_methods(
    pattern: str, covered: list[str], others: list[str]
) -> None:
    """Without a dot it is about classes, with one about whole names."""
    assert [name for name in covered if not covers(pattern, name)] == []
    assert [name for name in others if covers(pattern, name)] == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "xxxxxxxx"),
        ({"count": 2}, "xx......"),
        ({"skip": 3}, "...xxxxx"),
        ({"every": 3}, "x..x..x."),
        ({"skip": 1, "every": 2, "count": 2}, ".x.x...."),
        ({"after_s": 2.5, "until_s": 5.5}, "...xxx.."),
        ({"probability": 0.0}, "........"),
        ({"user": "root"}, "xxxxxxxx"),
        ({"user": "alice"}, "........"),
        ({"host": MASTER}, "xxxxxxxx"),
        ({"host": "host-1"}, "xxxxxxxx"),
        ({"host": "host-2"}, "........"),
        ({"pool": "pool-1"}, "xxxxxxxx"),
        ({"pool": "pool-2"}, "........"),
    ],
)
async def test_a_rule_strikes_when_its_keys_say(
    autojump_clock: MockClock, keys: dict[str, object], expected: str
) -> None:
    """One call a second, the first at the beginning of the pool."""
    async with a_stage({**FAULT, **keys}) as stage:
        assert await _struck(stage, len(expected)) == expected


@pytest.mark.parametrize("by", ["ref", "uuid", "name_label"])
async def test_a_rule_is_about_one_object(autojump_clock: MockClock, by: str) -> None:
    """Named by its reference, its uuid or its name."""
    async with a_stage() as stage:
        vm, other = stage.pool.database.refs("VM")[-2:]
        name = vm if by == "ref" else str(stage.pool.database.record("VM", vm)[by])
        stage.rules({"match": "VM", "object": name, "effect": "fault", "code": "STRUCK"})
        assert await _struck(stage, 1, "VM.get_uuid", vm) == "x"
        assert await _struck(stage, 1, "VM.get_uuid", other) == "."


async def test_the_first_rule_that_strikes_wins(autojump_clock: MockClock) -> None:
    """The second one is not even asked then."""
    first, second = {**FAULT, "every": 2}, {**FAULT, "code": "OTHER", "name": "second"}
    async with a_stage(first, second) as stage:
        assert await _struck(stage, 4) == "x?x?"
        assert [entry.tally.matched for entry in stage.front.faults.ledger] == [4, 2]


async def test_both_spellings_of_a_method_match(autojump_clock: MockClock) -> None:
    """xapi takes an underscore for the dot."""
    async with a_stage(FAULT) as stage:
        assert await _struck(stage, 1, "VM_get_all") == "x"


def _turns(dice: str) -> str:
    tally, when = Tally(), When(match="*", probability=0.3)
    return "".join(".x"[strikes(when, tally, now_s=0, dice=dice)] for _ in range(1000))


def test_chance_is_the_same_with_the_same_seed() -> None:
    """The same dice, the same turns; and about as many as asked for."""
    assert _turns("a") == _turns("a") != _turns("b")
    assert 250 < _turns("a").count("x") < 350


async def test_the_seed_of_the_file_decides(autojump_clock: MockClock) -> None:
    """Two pools with the same rules and the seed are struck alike."""
    found = set()
    for seed in (1, 1, 2):
        async with a_stage() as stage:
            stage.rules({**FAULT, "probability": 0.5}, seed=seed)
            found.add(await _struck(stage, 24))
    assert len(found) == 2


async def test_a_rule_may_be_about_a_member(autojump_clock: MockClock) -> None:
    """Every host has its own door."""
    rule = {"match": "session.*", "host": "host-2", "effect": "fault", "code": "STRUCK"}
    async with a_stage(rule) as stage:
        with pytest.raises(Refused, match="STRUCK"):
            await stage.login(MEMBER)
        with pytest.raises(Refused, match="HOST_IS_SLAVE"):
            await stage.login(LAST)
