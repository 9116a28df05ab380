"""The rules in config/faults are read, explained and work: each of them strikes a pool."""

from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from recorder.simulator.faults.effects import EFFECTS, Swallow
from recorder.simulator.faults.reading import load
from recorder.simulator.faults.rule import CONNECT, Plan, Rule
from tests.simulator.faults.support import LAST, LOGIN, MASTER, MEMBER, PASSWORD, Stage, a_stage
from tests.simulator.faults.support import request as call

FOLDER = Path(__file__).parents[3] / "config" / "faults"
EXAMPLES = sorted(FOLDER.glob("*.toml"))


def test_every_family_has_an_example() -> None:
    """Six files, and together they show every effect there is."""
    assert [path.stem for path in EXAMPLES] == [
        "chaos",
        "failover",
        "liar",
        "network",
        "sessions",
        "tasks",
    ]
    shown = {rule.effect.word() for path in EXAMPLES for rule in load(path).rules}
    assert shown == set(EFFECTS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_key_of_an_example_is_explained(path: Path) -> None:
    """The first use of a key has a comment, but where the file refers to the others."""
    if path.stem == "chaos":
        pytest.skip("explained in the others")
    lines = path.read_text(encoding="utf-8").splitlines()
    said: set[str] = set()
    for other in EXAMPLES:
        for line in other.read_text(encoding="utf-8").splitlines():
            key, equals, value = line.partition(" = ")
            if equals and "#" in value:
                said.add(key)
    used = {line.partition(" = ")[0] for line in lines if line[:1].isalpha()}
    assert used - said == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_every_rule_of_an_example_strikes(path: Path, autojump_clock: MockClock) -> None:
    """Each rule alone, with its chances made certain, against a pool with a client."""
    for rule in load(path).rules:
        async with a_stage(vms=6) as stage:
            stage.front.faults.take(Plan((_certain(rule, stage),)))
            await _provoke(stage, rule)
            (entry,) = stage.front.faults.ledger
            assert (entry.tally.fired > 0, entry.tally.misfired) == (True, ""), rule


def _certain(rule: Rule, stage: Stage) -> Rule:
    """Take chance out of a rule, and let it be about an object that is there."""
    when = msgspec.structs.replace(rule.when, probability=1.0)
    if when.object:
        name = str(stage.pool.database.record("VM", stage.halted())["name_label"])
        when = msgspec.structs.replace(when, object=name)
    return replace(rule, when=when)


async def _provoke(stage: Stage, rule: Rule) -> None:
    """Wait for a time, or do often enough what a rule matches."""
    when = rule.when
    if rule.timed:
        await trio.sleep((when.at_s or when.every_s or 0) + 100 + when.delay_s + when.after_s)
        return
    await trio.sleep(when.after_s)
    for _ in range(when.skip + 1):
        if isinstance(rule.effect, Swallow):
            _change(stage, when.match)
        elif when.match == CONNECT:
            for address in (MASTER, MEMBER, LAST):
                stage.connect(address)
        else:
            await _call(stage, when.match)
        await trio.sleep(1)


def _change(stage: Stage, match: str) -> None:
    cls, _, _ = match.partition(".")
    ref = stage.pool.database.refs(cls)[0]
    stage.pool.database.write(cls, ref, "other_config", {"a": str(trio.current_time())})


async def _call(stage: Stage, match: str) -> None:
    """Make a call that the pattern covers, and wait for no reply."""
    client = stage.connect()
    client.session = stage.front.sessions.login("root", PASSWORD, originator="", trusted=False)
    vm = stage.halted()
    known: dict[str, tuple[object, ...]] = {
        "session.login_*": (LOGIN, "root", PASSWORD),
        "session.login_with_password": (LOGIN, "root", PASSWORD),
        "*VM.start": ("VM.start", client.session, vm, False, False),
        "*VM.*": ("VM.start", client.session, vm, False, False),
        "Async.VM.*": ("Async.VM.start", client.session, vm, False, False),
        "Async.*": ("Async.VM.start", client.session, vm, False, False),
        "Async.VM.clean_shutdown": ("Async.VM.clean_shutdown", client.session, vm),
        "VM.set_name_description": ("VM.set_name_description", client.session, vm, "x"),
        "VM.destroy": ("VM.destroy", client.session, vm),
        "event.*": ("event.get_current_id", client.session),
        "*": ("VM.get_all", client.session),
    }
    method, *params = known.get(match, (match, client.session))
    assert isinstance(method, str)
    await client.stream.send_all(call(method, *params))
