"""Rules from TOML or JSON. All mistakes are named at once, each with its place and a way out."""

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import msgspec

from ...errors import ConfigError
from .effects import EFFECTS, ON_CONNECTION, Body, Effect, PoolEffect, Slow, Swallow
from .reach import complaint
from .rule import CONNECT, Plan, Rule, When

_TOP = ("seed", "fault")
RULES_MAX = 10_000
"""Each call asks each rule; a file with more than this was not written by a person."""


class _Mistakes(Exception):
    """What is wrong with a rule, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def _refusal(origin: str, lines: Sequence[str]) -> ConfigError:
    """Return the error that tells all mistakes, a line each."""
    first, *others = (f"{origin}: {line}" for line in lines)
    error = ConfigError(first)
    error.choices = tuple(others)
    return error


def load(file: Path) -> Plan:
    """Read a file of rules. Raises ConfigError with a line for each mistake in it."""
    try:
        text = file.read_text(encoding="utf-8")
        return plan_of(tomllib.loads(text), str(file))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def plan_of(table: Mapping[str, object], origin: str) -> Plan:
    """Check a document of rules. Raises ConfigError; its lines begin with `origin`."""
    lines = [f"unknown key {key}; {_advice(key, _TOP)}" for key in table if key not in _TOP]
    seed = table.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        lines.append(f"seed: Expected `int`, got `{_kind(seed)}`")
    items = table.get("fault", [])
    if not isinstance(items, list):
        lines.append("fault: write each rule below a line [[fault]]")
        items = []
    rules: list[Rule] = []
    for number, item in enumerate(items, 1):
        try:
            rules.append(_rule(item))
        except _Mistakes as mistakes:
            lines += [f"{_title(item, number)}: {line}" for line in mistakes.lines]
    lines += _repeated(rules)
    if len(items) > RULES_MAX:
        lines.append(f"fault: {len(items)} rules are more than {RULES_MAX}")
    if lines:
        raise _refusal(origin, lines)
    assert isinstance(seed, int)
    return Plan(tuple(rules), seed)


def rule_of(table: object, origin: str) -> Rule:
    """Check one rule. Raises ConfigError; its lines begin with `origin`."""
    try:
        return _rule(table)
    except _Mistakes as mistakes:
        raise _refusal(origin, mistakes.lines) from mistakes


def rule_in(text: str, origin: str) -> Rule:
    """Read a rule from one line: a JSON object, or keys and values of TOML with commas between.

    Such as `match = "VM.start", effect = "fault", code = "HOST_OFFLINE"`. Raises ConfigError.
    """
    return rule_of(table_in(text, origin), origin)


def table_in(text: str, origin: str) -> object:
    """Return what one line says, JSON or TOML, unchecked. Raises ConfigError."""
    if text.lstrip().startswith("{"):
        try:
            return cast("object", json.loads(text))
        except (json.JSONDecodeError, RecursionError) as error:
            try:
                return tomllib.loads(f"rule = {text}")["rule"]
            except (tomllib.TOMLDecodeError, RecursionError):
                raise ConfigError(f"{origin}: not valid JSON: {error}") from error
    try:
        return tomllib.loads(f"rule = {{ {text} }}")["rule"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # Its place is left out: it counts from the table that was put around the text.
        reason = str(error).partition(" (at ")[0]
        example = 'match = "VM.start", effect = "fault", code = "HOST_OFFLINE"'
        raise ConfigError(f"{origin}: not valid TOML: {reason}; write it like {example}") from error


def _title(item: object, number: int) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return f"rule {number} ({name})" if isinstance(name, str) and name else f"rule {number}"


def _repeated(rules: list[Rule]) -> list[str]:
    names = [rule.when.name for rule in rules if rule.when.name]
    twice = {name: None for index, name in enumerate(names) if name in names[:index]}
    return [f"the name {name} is used twice" for name in twice]


def _rule(item: object) -> Rule:
    """Check a rule as a whole. Raises _Mistakes."""
    if not isinstance(item, dict):
        raise _Mistakes(f"a rule is a table, not {_kind(item)}")
    word = item.get("effect")
    if not isinstance(word, str) or word not in EFFECTS:
        raise _Mistakes(_no_effect(word))
    kind = EFFECTS[word]
    lines = list(_faulty_keys(item, kind))
    if lines:
        raise _Mistakes(*lines)
    when_keys, effect_keys = When.__struct_fields__, kind.__struct_fields__
    when = msgspec.convert({key: item[key] for key in item if key in when_keys}, When)
    effect = msgspec.convert({key: item[key] for key in item if key in effect_keys}, kind)
    if lines := list(_contradictions(when, effect)):
        raise _Mistakes(*lines)
    return Rule(when, effect, dict(item))


def _no_effect(word: object) -> str:
    if word is None:
        return f"effect is missing; known: {', '.join(EFFECTS)}"
    if not isinstance(word, str):
        return f"effect: Expected `str`, got `{_kind(word)}`"
    return f"effect: {word!r} is unknown; {_advice(word, EFFECTS)}"


def _faulty_keys(item: Mapping[str, object], kind: type[Effect]) -> Iterator[str]:
    """Yield a line for each key that is unknown, missing or of a wrong type."""
    own = {field.name: field for field in msgspec.structs.fields(kind)}
    fields = own | {field.name: field for field in msgspec.structs.fields(When)}
    for key, value in item.items():
        if key == "effect":
            continue
        if key not in fields:
            yield f"unknown key {key}; {_advice(key, fields)}"
            continue
        try:
            msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError as error:
            yield f"{key}: {str(error).partition(' - at `$')[0]}"
    for field in own.values():
        if field.required and field.name not in item:
            yield f"{field.name} is missing"


def _contradictions(when: When, effect: Effect) -> Iterator[str]:
    """Yield a line for each thing that the keys say together and that makes no sense."""
    word, for_pool = effect.word(), isinstance(effect, get_args(PoolEffect))
    timed = when.at_s is not None or when.every_s is not None
    if bool(when.match) == timed:
        yield "give either match, or a time: at_s, every_s or both"
    if when.match and (why := complaint(when.match, is_event=isinstance(effect, Swallow))):
        yield why
    if timed and not for_pool:
        yield f"effect {word} needs a match: it is about calls, not about the pool"
    if timed and (when.object or when.user or when.host):
        yield "object, user and host go with match only"
    if when.match == CONNECT and not (for_pool or isinstance(effect, ON_CONNECTION)):
        allowed = ", ".join(kind.word() for kind in ON_CONNECTION)
        yield f"effect {word} can't happen to a connection; known: {allowed}, and those of pools"
    if when.match == CONNECT and (when.object or when.user):
        yield "object and user are not known yet when a connection is made"
    if isinstance(effect, Swallow) and (when.user or when.host or when.delay_s):
        yield "user, host and delay_s don't go with swallow: an event is of nobody"
    if isinstance(effect, Slow) and not when.delay_s:
        yield "effect slow needs delay_s"
    if isinstance(effect, Body) and effect.text and effect.hex:
        yield "give text or hex, not both"
    if when.until_s is not None and when.until_s <= when.after_s:
        yield "until_s must be more than after_s"


def _advice(key: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _kind(value: object) -> str:
    return type(value).__name__
