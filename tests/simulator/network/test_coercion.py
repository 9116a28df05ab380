"""Parameters of every type, as clients send them and as methods take them."""

import pytest

from recorder.simulator.calls import Sent
from recorder.simulator.coerce import coerce, coerce_all, seconds
from recorder.simulator.pool import Param
from recorder.simulator.values import DateTime, Fault, Value


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("string", "s", "s"),
        ("enum/vm_power_state", "Halted", "Halted"),
        ("@VM", "OpaqueRef:x", "OpaqueRef:x"),
        ("int", 5, 5),
        ("int", "-5", -5),
        ("float", 1, 1.0),
        ("float", "1.5", 1.5),
        ("bool", True, True),
        ("datetime", DateTime("20250131T10:11:12Z"), DateTime("20250131T10:11:12Z")),
        ("datetime", "2025-01-31T10:11:12.5Z", DateTime("20250131T10:11:12Z")),
        ("set:int", ["1", 2], [1, 2]),
        ("map:string:int", {"a": "1"}, {"a": 1}),
        ("record:network", {"MTU": "9000", "nothing": None}, {"MTU": 9000}),
    ],
)
def test_what_xapi_takes_is_taken(kind: str, sent: Sent, value: Value) -> None:
    """Numbers may come as text, whole numbers as floats, dates in two spellings."""
    taken = coerce(kind, sent)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("kind", "sent", "text"),
    [
        ("string", 5, "Expected string, got 'I(5)'"),
        ("@VM", None, "Expected string, got 'N'"),
        ("string", DateTime("d"), "Expected string, got 'D(d)'"),
        ("int", True, "Expected int64, got 'B(true)'"),
        ("int", 1.5, "Expected int64, got 'F(1.5)'"),
        ("int", "five", "Int64.of_string"),
        ("int", "9223372036854775808", "Int64.of_string"),
        ("float", "much", "float_of_string"),
        ("float", False, "Expected float, got 'B(false)'"),
        ("bool", "1", "Expected bool, got 'S(1)'"),
        ("enum/vm_power_state", 1, "Unknown tag/contents"),
        ("enum/vm_power_state", "halted", "Unknown tag/contents"),
        ("map:enum/vm_power_state:string", {"On": ""}, "Unknown tag/contents"),
        ("datetime", 1, "Date.iso8601_of_rpc"),
        ("set:string", {"a": 1.5}, "Expecting Rpc.Enum, but found '{a:F(1.5)}'"),
        ("map:string:string", ["a", None], "Expecting Rpc.Dict, but found '[S(a);N]'"),
        ("map:int:string", "a", "Unmarshalling error"),
        ("record:network", "n", "bad __structure"),
    ],
)
def test_what_xapi_refuses_is_refused(kind: str, sent: Sent, text: str) -> None:
    """A parameter of the wrong type is INTERNAL_ERROR with the text of an exception."""
    with pytest.raises(Fault) as error:
        coerce(kind, sent)
    assert (error.value.code, error.value.params) == ("INTERNAL_ERROR", (f'Failure("{text}")',))


def test_optional_parameters_get_their_default() -> None:
    """What was not sent is filled in; what was sent too much is left out."""
    params = (Param("a", "int"), Param("b", "string", "x"))
    assert coerce_all(params, ["1"]) == [1, "x"]
    assert coerce_all(params, [1, "y", "more"]) == [1, "y"]


@pytest.mark.parametrize(
    ("sent", "kept"), [(30.0, 30.0), (-1.0, 0.0), (1e300, 86_400.0), (float("nan"), 86_400.0)]
)
def test_the_timeout_of_event_from_is_bounded(sent: float, kept: float) -> None:
    """More than a day, or no number at all, is a day."""
    assert seconds(sent) == kept
