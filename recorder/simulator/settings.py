"""Setters that xapi writes by hand though all they change is one field of a row.

Those that check or move more than that have a handler of their own; the operations come here last.
"""

from .catalogue import Handler, Signature, split_verb
from .datamodel import class_named, fields
from .toolstack import Call
from .values import Fault, Value

_ACTIONS = {"set": 2, "add_to": 3, "remove_from": 2, "add": 2, "remove": 2}
"""What a setter may do, and how many parameters that takes."""


def setter(signature: Signature) -> Handler | None:
    """Return who does this method, None if it is no setter of a field that the class has."""
    if signature.generated or signature.internal or class_named(signature.cls) != signature.cls:
        return None
    try:
        action, field = split_verb(signature.verb)
    except ValueError:
        return None
    known = fields(signature.cls).get(field)
    if known is None or _ACTIONS.get(action) != len(signature.params):
        return None
    return _setter(signature.cls, field, action)


def _setter(cls: str, field: str, action: str) -> Handler:
    async def change(call: Call, ref: str, *given: Value) -> Value:
        before = call.database.field(cls, ref, field)
        call.set(cls, ref, field, _after(cls, field, ref, action, before, given))
        return ""

    return change


def _after(
    cls: str, field: str, ref: str, action: str, before: Value, given: tuple[Value, ...]
) -> Value:
    """Return the field after the change. Fault MAP_DUPLICATE_KEY [class, field, ref, key]."""
    first = given[0]
    match action, before:
        case "add_to", dict():
            assert isinstance(first, str)
            if first in before:
                raise Fault("MAP_DUPLICATE_KEY", cls, field, ref, first)
            return {**before, first: given[1]}
        case "remove_from", dict():
            return {key: value for key, value in before.items() if key != first}
        case "add", list():
            return before if first in before else [*before, first]
        case "remove", list():
            return [item for item in before if item != first]
    return first
