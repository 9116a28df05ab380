"""The short way and the long way agree with a plain model, whatever a record looks like."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import ProtocolError
from recorder.redaction.masks import Masks
from recorder.redaction.policy import Policy
from tests.redaction.secrets import KEY, SPELLINGS, UUID, Spell, Value, compact, redactor

POLICY = Policy.of(fields={})
MASKS = Masks(POLICY, KEY)
REDACTOR = redactor()

words = st.sampled_from(
    [
        "",
        "a",
        'q"',
        "\\",
        '"}',
        '":{"',
        "é",
        "\n",
        "other_config",
        "password",
        "x_secret",
        UUID,
        "}",
    ]
)
texts = words | st.text(max_size=4)
fields = st.sampled_from(["other_config", "NVRAM", "xenstore_data", "snapshot_metadata", "name"])
flat: st.SearchStrategy[dict[str, Value]] = st.dictionaries(texts, texts, max_size=3)
values: st.SearchStrategy[Value] = st.recursive(
    texts | st.booleans() | st.none() | st.integers(0, 200),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(fields | texts, flat | values, max_size=6)


def whole(value: Value) -> Value:
    match value:
        case str():
            return MASKS.mask(value)
        case bool() | None:
            return value
        case int():
            return MASKS.mask(str(value))
        case list():
            return [whole(one) for one in value]
        case dict():
            return {key: whole(one) for key, one in value.items()}


def unless_uuid(value: Value) -> Value:
    match value:
        case str():
            return value if value == UUID else MASKS.mask(value)
        case list():
            return [unless_uuid(one) for one in value]
        case dict():
            return {key: unless_uuid(one) for key, one in value.items()}
        case _:
            return whole(value)


def by_keys(value: Value) -> Value:
    match value:
        case list():
            return [by_keys(one) for one in value]
        case dict():
            return {key: under(key)(one) for key, one in value.items()}
        case _:
            return value


def under(key: str) -> Callable[[Value], Value]:
    if not POLICY.is_secret_key(key):
        return by_keys
    return unless_uuid if key.endswith("_secret") else whole


def model(record: dict[str, Value]) -> dict[str, Value]:
    """Say plainly what the rules of the class VM mean."""
    clean = dict(record)
    for name in ("NVRAM", "xenstore_data", "snapshot_metadata"):
        if name in clean:
            clean[name] = whole(clean[name])
    if "other_config" in clean:
        config = clean["other_config"]
        clean["other_config"] = by_keys(config) if isinstance(config, dict) else whole(config)
    return clean


@settings(deadline=None)
@given(records, st.sampled_from(SPELLINGS))
def test_record_means_what_the_model_says(record: dict[str, Value], spell: Spell) -> None:
    """Any record, written in any way: exactly the secrets are replaced."""
    clean = REDACTOR.record("vm", spell(record))
    assert json.loads(clean) == model(record)


@settings(deadline=None)
@given(records)
def test_short_and_long_way_write_the_same_bytes(record: dict[str, Value]) -> None:
    """What is not secret keeps its bytes, so there is one right answer."""
    raw = compact(record)
    rules = {one.name: one.rule for one in POLICY.rules_of("vm")}
    clean = REDACTOR.record("vm", raw)
    assert clean == MASKS.record(rules, raw)
    assert clean == compact(model(record))


@settings(deadline=None)
@given(st.lists(st.tuples(fields, flat), max_size=5))
def test_fields_that_come_more_than_once_are_all_looked_at(
    members: list[tuple[str, dict[str, Value]]],
) -> None:
    """Of fields of one name the decoder sees the last; a secret may be in any."""
    raw = b"{" + b",".join(compact(name) + b":" + compact(map_) for name, map_ in members) + b"}"
    expected = [compact(name) + b":" + compact(model({name: map_})[name]) for name, map_ in members]
    assert REDACTOR.record("vm", raw) == b"{" + b",".join(expected) + b"}"


@settings(deadline=None)
@given(records)
def test_redacted_record_has_the_same_keys_and_types(record: dict[str, Value]) -> None:
    """Redacting twice finds the same places: nothing was moved."""
    once = json.loads(REDACTOR.record("vm", compact(record)))
    twice = json.loads(REDACTOR.record("vm", compact(once)))
    assert list(once) == list(record)
    assert [type(value) for value in once.values()] == [type(value) for value in twice.values()]


def test_large_value_is_replaced_in_its_place() -> None:
    """The variables of a UEFI guest are 30 KB of text."""
    raw = compact({"NVRAM": {"EFI-variables": "QUJD" * 10_000}, "uuid": UUID})
    clean = json.loads(REDACTOR.record("vm", raw))
    assert clean == {"NVRAM": {"EFI-variables": MASKS.mask("QUJD" * 10_000)}, "uuid": UUID}


def test_long_text_without_an_end_is_read_in_no_time() -> None:
    """A hostile text of a megabyte does not hold up the recorder."""
    for text in ("a" * 1_000_000, "pass" * 250_000, "<pass" * 200_000, "://" * 300_000):
        raw = compact({"body": text})
        assert len(REDACTOR.record("message", raw)) <= len(raw) + 25


@pytest.mark.parametrize(
    "raw", [b"", b"{", b'{"a":}', b'{"other_config":{"a":"b"}', b'{"a":"\\x"}']
)
def test_what_is_no_json_is_refused_without_quoting_it(raw: bytes) -> None:
    """Nobody can say what is secret in it."""
    with pytest.raises(ProtocolError, match="a record of class vm is no JSON that can be") as error:
        REDACTOR.record("vm", raw)
    assert error.value.__cause__ is None
