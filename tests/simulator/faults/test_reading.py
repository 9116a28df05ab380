"""Mistakes in rules: each is named with its file, its rule, its key and a way out."""

from pathlib import Path

import pytest

from recorder.errors import ConfigError
from recorder.simulator.faults.effects import Fault
from recorder.simulator.faults.injector import install
from recorder.simulator.faults.reading import load, plan_of, rule_in, rule_of
from tests.simulator.faults.support import a_stage

RULE = {"match": "VM.start", "effect": "fault", "code": "X"}


def _mistakes(*rules: object, **top: object) -> list[str]:
    with pytest.raises(ConfigError) as error:
        plan_of({"fault": [*rules], **top}, "f.toml")
    assert error.value.exit_code == 2
    return [str(error.value), *error.value.choices]


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ({}, ["effect is missing; known: fault, "]),
        ({"effect": "fualt"}, ["effect: 'fualt' is unknown; did you mean fault?"]),
        ({"effect": 7}, ["effect: Expected `str`, got `int`"]),
        ({**RULE, "mach": "VM"}, ["unknown key mach; did you mean match?"]),
        ({**RULE, "zzz": 1}, ["unknown key zzz; known: code, params, name, match, "]),
        ({**RULE, "probability": 1.5}, ["probability: Expected `float` <= 1.0"]),
        ({**RULE, "count": 0}, ["count: Expected `int` >= 1"]),
        ({**RULE, "count": "2"}, ["count: Expected `int | null`, got `str`"]),
        ({**RULE, "params": [1]}, ["params: Expected `str`, got `int`"]),
        ({**RULE, "delay_s": float("inf")}, ["delay_s: Expected `float` <= 1000000000.0"]),
        ({**RULE, "delay_s": float("nan")}, ["delay_s: Expected `float` >= 0.0"]),
        ({**RULE, "code": "no code"}, ["code: Expected `str` matching regex"]),
        ({"match": "VM", "effect": "fault"}, ["code is missing"]),
        ({"effect": "restart"}, ["give either match, or a time: at_s, every_s or both"]),
        ({**RULE, "at_s": 1}, ["give either match", "effect fault needs a match"]),
        ({"at_s": 1, "effect": "stall"}, ["effect stall needs a match: it is about calls"]),
        ({"match": "VM", "effect": "slow"}, ["effect slow needs delay_s"]),
        ({"match": "connect", "effect": "half_reply"}, ["effect half_reply can't happen to a"]),
        ({**RULE, "until_s": 1, "after_s": 2}, ["until_s must be more than after_s"]),
        ({"at_s": 1, "effect": "flood", "user": "x"}, ["object, user and host go with match"]),
        ({"at_s": 1, "effect": "clock_jump"}, ["by_s is missing"]),
        ({**RULE, "match": "VMM.start"}, ["match: 'VMM.start' covers no method; did you mean VM"]),
        ({**RULE, "match": "vm"}, ["match: 'vm' covers no class; did you mean VM?"]),
        ({**RULE, "match": "VM.mod"}, ["match: 'VM.mod' covers no method; did you mean VM."]),
        ({**RULE, "match": "Async.VM.get_all"}, ["match: 'Async.VM.get_all' covers no method"]),
        ({**RULE, "match": "Connect"}, ["match: 'Connect' covers no class; did you mean connect"]),
        (
            {"match": "VM.start", "effect": "swallow"},
            ["match: 'VM.start' covers no event such as VM.mod"],
        ),
        ("VM.start", ["a rule is a table, not str"]),
    ],
)
def test_a_mistake_is_named(rule: object, lines: list[str]) -> None:
    """With file and number of the rule."""
    found = _mistakes(rule)
    assert len(found) == len(lines)
    for line, expected in zip(found, lines, strict=True):
        assert line.startswith(f"f.toml: rule 1: {expected}")


def test_all_mistakes_are_named_at_once() -> None:
    """Rules by number and, where they have one, by name."""
    assert _mistakes(
        {"name": "a", "effect": "fault", "match": "VM", "codes": "X"},
        {**RULE, "name": "b", "skip": -1, "evry": 2},
        {**RULE, "name": "c"},
        {**RULE, "name": "c"},
        seed="x",
        rules=[],
    ) == [
        "f.toml: unknown key rules; known: seed, fault",
        "f.toml: seed: Expected `int`, got `str`",
        "f.toml: rule 1 (a): unknown key codes; did you mean code?",
        "f.toml: rule 1 (a): code is missing",
        "f.toml: rule 2 (b): skip: Expected `int` >= 0",
        "f.toml: rule 2 (b): unknown key evry; did you mean every?",
        "f.toml: the name c is used twice",
    ]


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    """With the place of the mistake."""
    file = tmp_path / "bad.toml"
    file.write_text("[[fault]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.toml: not valid TOML: .*line 1"):
        load(file)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")
    file.write_text('fault = "x"', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"write each rule below a line \[\[fault\]\]"):
        load(file)


@pytest.mark.parametrize(
    "text",
    [
        'match = "VM", effect = "fault", code = "X"',
        '{match = "VM", effect = "fault", code = "X"}',
        '{"match": "VM", "effect": "fault", "code": "X"}',
    ],
)
def test_a_rule_is_read_from_one_line(text: str) -> None:
    """TOML with or without braces, or JSON."""
    assert rule_in(text, "--fault").effect == Fault(code="X")


@pytest.mark.parametrize(
    "match",
    [
        "VM.start",
        "*VM.start",
        "Async.*",
        "InternalAsync.VM.pool_migrate",
        "V?",
        "*",
        "*.*",
        "event.next",
        "session.slave_local_login_with_password",
        "system.listMethods",
        "system",
    ],
)
def test_a_match_of_any_method_is_taken(match: str) -> None:
    """Globs of names and of classes, and methods that need no session."""
    rule = {**RULE, "match": match}
    assert plan_of({"fault": [rule]}, "f.toml").rules[0].when.match == match


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({**RULE, "host": "nowhere"}, "rule fault: host: there is no host nowhere; known: "),
        (
            {"name": "x", "at_s": 1, "effect": "emergency", "target": "h", "code": "HOST_BROKEN"},
            "rule x: target: there is no host h; known: ",
        ),
    ],
)
async def test_a_rule_for_a_host_there_is_not_is_refused(
    rule: dict[str, object], message: str
) -> None:
    """It would never strike; one for another pool is not of our hosts."""
    async with a_stage() as stage:
        with pytest.raises(ConfigError, match=f"^{message}"):
            stage.front.faults.take(plan_of({"fault": [rule]}, "f.toml"))
        assert not stage.front.faults.ledger
        assert stage.front.faults.add(rule_of({**rule, "pool": "pool-9"}, "rule")) is None


def test_the_place_of_a_mistake_is_that_in_the_text() -> None:
    """The line of a rule is read inside a table, whose columns would mislead."""
    with pytest.raises(ConfigError) as error:
        rule_in("foo", "--fault")
    assert "column" not in str(error.value)


@pytest.mark.parametrize("text", ["", "match", '{"match": ', "{" * 5000, "[" * 5000, "a = 1"])
def test_a_line_that_is_no_rule_is_refused(text: str) -> None:
    """With the option that it was given to."""
    with pytest.raises(ConfigError, match=r"^--fault: "):
        rule_in(text, "--fault")


async def test_a_rule_for_a_pool_there_is_not_is_refused() -> None:
    """Before any rule is in force."""
    async with a_stage() as stage:
        plan = plan_of({"fault": [{**RULE, "pool": "pool-9"}]}, "f.toml")
        with pytest.raises(ConfigError, match=r"^rule 1: there is no pool pool-9; known: pool-1"):
            install(plan, {"pool-1": stage.front.faults})
        assert not stage.front.faults.ledger
