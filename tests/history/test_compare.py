"""What differs between two records of one object, whatever their fields are called."""

import json
import random
from itertools import pairwise

import msgspec
import pytest

from query.load import compare
from query.load.compare import Comparison, changes_between
from query.records import FieldChange

KEY = ("lab", "vm", "OpaqueRef:1")


def test_values_are_compared_not_their_spelling() -> None:
    """Spacing, escapes and the order of keys and of fields say nothing, types do."""
    old = rb'{"a": {"x": 1, "y": 2}, "b": "\u00e9", "c": 1, "d": "1", "e": [1, 2], "f": "z"}'
    new = rb'{"b": "' + "é".encode() + rb'", "f":"z", "a":{"y":2,"x":1}, "c":1, "d":"1", "e":[1,2]}'
    comparison = Comparison()
    assert comparison.changes(KEY, old, new) == ()
    typed = rb'{"a": {"x": 1, "y": 2}, "b": "\u00e9", "c": true, "d": 1, "e": [2, 1], "f": "Z"}'
    assert comparison.changes(KEY, old, typed) == (
        FieldChange("c", "1", "true"),
        FieldChange("d", '"1"', "1"),
        FieldChange("e", "[1, 2]", "[2, 1]"),
        FieldChange("f", '"z"', '"Z"'),
    )


def test_fields_may_come_and_go() -> None:
    """After an update of a pool its records have other fields, and go on to be compared."""
    comparison = Comparison()
    one, two, three = b'{"a":1,"b":2}', b'{"a":1,"c":3}', b'{"a":2,"c":3}'
    assert comparison.changes(KEY, one, two) == (
        FieldChange("b", "2", None),
        FieldChange("c", None, "3"),
    )
    assert comparison.changes(KEY, two, three) == (FieldChange("a", "1", "2"),)
    assert comparison.changes(KEY, three, one) == (
        FieldChange("a", "2", "1"),
        FieldChange("b", None, "2"),
        FieldChange("c", "3", None),
    )


HOSTILE = ['"', "\\", "\x1b[31m", "\n", "", "f0", "__class__", "é" * 20, "x" * 100_000, "names"]


@pytest.mark.parametrize("names_max", [0, 1000])
def test_names_of_fields_may_be_anything(names_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a pool calls its fields breaks nothing, nor does how many there are."""
    monkeypatch.setattr(compare, "FIELDS_MAX", names_max)
    rng = random.Random(1)
    comparison = Comparison()
    old = {name: rng.randrange(3) for name in HOSTILE}
    for _ in range(50):
        new = {name: rng.randrange(3) for name in rng.sample(HOSTILE, len(HOSTILE))}
        differing = sorted(name for name in HOSTILE if old[name] != new[name])
        texts = json.dumps(old).encode(), json.dumps(new).encode()
        found = comparison.changes(KEY, *texts)
        assert found == changes_between(*texts)
        assert [change.field for change in found] == differing
        assert [(change.old, change.new) for change in found] == [
            (str(old[name]), str(new[name])) for name in differing
        ]
        old = new


def test_what_is_foreseen_is_what_would_be_found() -> None:
    """In any order of asking, whatever is known of the object, and for texts that look alike."""
    rng = random.Random(2)
    comparison = Comparison()
    for _ in range(50):
        texts = [
            json.dumps({name: rng.randrange(2) for name in "abc"[: rng.randrange(1, 4)]}).encode()
            for _ in range(6)
        ]
        told = [None, *texts, None, texts[0]]
        comparison.expect(told, comparison.foresee(KEY[:2], told))
        pairs = [*pairwise(texts), (texts[0], texts[5]), (texts[3], texts[0])]
        for old, new in rng.sample(pairs, len(pairs)):
            assert comparison.changes(KEY, old, new) == changes_between(old, new)


def test_record_that_is_no_object_is_not_foreseen() -> None:
    """Its error is raised where it is known which entry it was; the records around it are well."""
    comparison = Comparison()
    texts = [b'{"a":1}', b'{"a":2}', b'{"a":', b'{"a":3}', b'{"a":4}']
    comparison.expect(texts, comparison.foresee(KEY[:2], texts))
    assert comparison.changes(KEY, texts[0], texts[1]) == (FieldChange("a", "1", "2"),)
    with pytest.raises(msgspec.DecodeError):
        comparison.changes(KEY, texts[1], texts[2])
    assert comparison.changes(KEY, texts[3], texts[4]) == (FieldChange("a", "3", "4"),)


def test_what_was_foreseen_in_vain_is_let_go() -> None:
    """The snapshots of a batch are not held longer than the batch."""
    comparison = Comparison()
    told = [b'{"a":1}', b'{"a":2}']
    comparison.expect(told, comparison.foresee(KEY[:2], told))
    assert comparison._foreseen
    comparison.forget_foreseen()
    assert not comparison._foreseen


def test_shapes_are_not_learned_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool whose every record has other fields takes time, not memory."""
    made: list[tuple[str, ...]] = []

    class Counted(compare._Shape):
        def __init__(self, names: tuple[str, ...]) -> None:
            made.append(names)
            super().__init__(names)

    monkeypatch.setattr(compare, "_Shape", Counted)
    monkeypatch.setattr(compare, "SHAPES_MAX", 5)
    comparison = Comparison()
    for number in range(20):
        old, new = f'{{"f{number}":1}}'.encode(), f'{{"f{number + 1}":1}}'.encode()
        assert len(comparison.changes(KEY, old, new)) == 2
    assert len(made) == 5


@pytest.mark.parametrize("broken", [b"[1]", b"null", b'{"a":', b""])
def test_record_that_is_no_object_is_refused(broken: bytes) -> None:
    """Whoever asks has to say which entry it was."""
    with pytest.raises(msgspec.DecodeError):
        Comparison().changes(KEY, b'{"a":1}', broken)
