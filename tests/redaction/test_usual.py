"""What is learned of usual records never lets a secret pass, and is not learned without end."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.redaction.masks import Masks
from recorder.redaction.policy import Policy
from recorder.redaction.usual import KEYS_MAX, Usual
from tests.redaction.secrets import KEY, SECRET, SPELLINGS, Spell, Value, compact, redactor
from tests.redaction.test_bytes import model, records

POLICY = Policy.of(fields={})
VM = POLICY.rules_of("vm")


def learned(*told: Value) -> Usual:
    usual, masks = Usual(VM), Masks(POLICY, KEY)
    for record in told:
        try:
            usual.decode(compact(record))
        except msgspec.ValidationError:
            assert usual.learn(compact(record), masks)
    return usual


def looked_at(usual: Usual) -> list[bytes]:
    return [field.name for field in usual.looked_at]


@settings(deadline=None)
@given(st.lists(st.tuples(records, st.sampled_from(SPELLINGS)), max_size=6))
def test_what_came_before_changes_nothing(told: list[tuple[dict[str, Value], Spell]]) -> None:
    """One redactor for all, new at the first: each record is redacted as if it were alone."""
    one = redactor()
    for record, spell in told:
        clean = one.record("vm", spell(record))
        assert json.loads(clean) == model(record)
        assert clean == redactor().record("vm", spell(record))


def test_harmless_keys_are_learned_and_not_looked_at() -> None:
    """The second record with keys that were seen is read once, and nothing in it is looked at."""
    usual = learned({"other_config": {"folder": "/a"}, "platform": {"pae": "true"}})
    usual.decode(compact({"other_config": {"folder": "/b", "pae": "1"}, "PV_args": ""}))
    assert not usual.looked_at


@pytest.mark.parametrize(
    "other",
    [
        {"other_config": {"folder": "/a", "new": "b"}},
        {"other_config": {"folder": ["a"]}},
        {"other_config": {"password": ""}},
        {"other_config": "folder"},
        {"PV_args": "quiet"},
        {"NVRAM": {"folder": "b"}},
    ],
)
def test_everything_else_is_objected_to(other: Value) -> None:
    """Whatever may hide something is never taken for usual by itself."""
    usual = learned({"other_config": {"folder": "/a"}})
    with pytest.raises(msgspec.ValidationError):
        usual.decode(compact(other))


def test_field_that_says_something_is_looked_at_from_then_on() -> None:
    """A map with a secret key, a text, a map of which every value is secret."""
    told: dict[str, Value] = {
        "other_config": {"password": SECRET},
        "PV_args": "quiet",
        "NVRAM": {"a": "b"},
        "xenstore_data": {"vm-data": ""},
    }
    usual = learned(told)
    assert looked_at(usual) == [b'"other_config":', b'"NVRAM":', b'"PV_args":']
    values = msgspec.structs.astuple(usual.decode(compact({"PV_args": "ro"})))
    assert [bytes(value) for value in values[:3]] == [b"", b"", b'"ro"']


def test_keys_without_end_are_not_learned() -> None:
    """A guest that makes up keys makes no decoder for each: its map is looked at."""
    usual, masks = Usual(POLICY.rules_of("vm_guest_metrics")), Masks(POLICY, KEY)
    decoders = set()
    for number in range(KEYS_MAX + 50):
        text = compact({"other": {f"made-up-{number}": "1"}, "networks": {"0/ip": "10.0.0.1"}})
        if not usual.looked_at:
            assert usual.learn(text, masks)
        usual.decode(text)
        decoders.add(usual.decode)
    assert looked_at(usual) == [b'"other":']
    assert len(decoders) <= KEYS_MAX + 1


def test_record_from_which_nothing_is_learned_says_so() -> None:
    """A field that comes twice hides what its first one says: only the long way round sees it."""
    usual, masks = Usual(VM), Masks(POLICY, KEY)
    text = b'{"other_config":{"password":"x"},"other_config":{}}'
    with pytest.raises(msgspec.ValidationError):
        usual.decode(text)
    assert not usual.learn(text, masks)
