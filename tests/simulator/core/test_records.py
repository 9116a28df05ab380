"""Records look like those of a real xapi 25.32, byte for byte."""

import json
import re
from pathlib import Path

import pytest

from recorder.simulator.datamodel import blank, class_named, classes, fields
from recorder.simulator.values import DateTime, Value
from tests.simulator.core.support import a_database

RECORDED = Path(__file__).parents[2] / "golden" / "wire" / "simulator"
SEEN = sorted(path.stem for path in RECORDED.glob("*.json"))
SHAPES = {
    "string": str,
    "enum": str,
    "datetime": str,
    "int": int,
    "float": float,
    "bool": bool,
    "set": list,
    "map": dict,
}


def test_the_recorded_records_are_there() -> None:
    """There are recorded bytes for the classes that a recorded pool had objects of."""
    assert len(SEEN) == 22
    assert set(SEEN) <= set(classes())


@pytest.mark.parametrize("cls", SEEN)
def test_record_has_the_bytes_of_the_real_one(cls: str) -> None:
    """A row with the values of a recorded object has its exact JSON text."""
    recorded = (RECORDED / f"{cls}.json").read_bytes()
    database = a_database()
    ref = database.create(cls, {**json.loads(recorded)})
    assert database.json(cls, ref) == recorded


@pytest.mark.parametrize("cls", SEEN)
def test_field_types_are_those_of_the_real_record(cls: str) -> None:
    """Every field has the JSON type of the recorded one, references and times their form."""
    recorded: dict[str, Value] = json.loads((RECORDED / f"{cls}.json").read_bytes())
    assert list(fields(cls)) == list(recorded)
    for name, field in fields(cls).items():
        kind = field.type.split(":", 1)[0].split("/")[0]
        shape = str if kind.startswith("@") else SHAPES[kind]
        assert type(recorded[name]) is shape, name
        assert isinstance(field.default, shape), name
        if kind.startswith("@"):
            assert str(recorded[name]).startswith("OpaqueRef:"), name
        if kind == "datetime":
            assert re.fullmatch(r"\d{8}T\d\d:\d\d:\d\dZ", str(recorded[name])), name
            assert isinstance(field.default, DateTime), name


def test_blank_records_are_independent() -> None:
    """Two new records share no state that could be changed."""
    first = blank("VM")
    first["name_label"] = "changed"
    assert blank("VM")["name_label"] == ""


def test_class_names_are_found_in_any_case() -> None:
    """The lower-case class of an event leads back to the class of the methods."""
    assert class_named("vm_guest_metrics") == "VM_guest_metrics"
    assert class_named("cluster") == "Cluster"
    assert class_named("no_such_class") is None
