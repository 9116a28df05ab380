"""The state of an object, a class or a whole pool at an instant."""

from collections.abc import Sequence

import msgspec

from ..choices import Format
from ..questions.states import FoundAfter, State, States
from ..records import Json
from ..values import field_text, short_ref
from .output import Column, Text, console, plain_of, write_csv, write_json, write_table
from .words import Names, at_text, certainty_text


def state(told: State, form: Format, names: Names, fields: Sequence[str] = ()) -> None:
    """Write the state of an object at an instant, with its certainty first."""
    told = _with_fields(told, fields)
    if form is Format.JSON:
        write_json(told)
        return
    if form is Format.CSV:
        write_csv([_flat(told, list(told.fields))], [*_HEADER, *told.fields])
        return
    out = console()
    out.print(Text(_headline(told), style="bold"), soft_wrap=True)
    rows = [(name, _field_text(told, name, names)) for name in told.fields]
    if rows:
        write_table([Column("field"), Column("value", wide=True)], rows)


def _headline(told: State) -> str:
    who = f"{told.pool}/{told.cls}:{told.name or short_ref(told.ref)}"
    there = ": not there" if told.exists is False else ""
    found = "" if told.found_after is None else f"; {_found_text(told.found_after)}"
    return f"{who}{there} ({certainty_text(told.certainty, told.reason)}{found})"


def _found_text(found: FoundAfter) -> str:
    if found.seq is None:
        return "found unchanged when it was over"
    if found.operation == "mod":
        return f"when it was over @{found.seq} told another {', '.join(found.fields)}"
    gone = "gone" if found.operation == "del" else "there"
    return f"found {gone} when it was over (@{found.seq})"


_HEADER = (
    *("pool", "class", "name", "uuid", "certainty", "reason", "exists"),
    *("told_at", "origin", "gap", "stream"),
)
_TELLING = {
    "vm": ("power_state", "resident_on"),
    "host": ("enabled", "address"),
    "task": ("status", "progress"),
    "sr": ("type", "physical_utilisation"),
    "vdi": ("virtual_size", "SR"),
    "pbd": ("currently_attached", "SR"),
    "vbd": ("currently_attached", "VM"),
    "vif": ("currently_attached", "VM"),
    "message": ("cls", "obj_uuid"),
}
"""Which fields of a class a table shows unless others are asked for."""


def states(
    told: States, form: Format, names: Names, cls: str | None, fields: Sequence[str] = ()
) -> None:
    """Write the objects of a class, or with None of all classes, at an instant.

    In CSV the column `fields` has all fields as JSON, unless some of them are asked for.
    """
    if form is Format.JSON:
        chosen = [_with_fields(one, fields) for one in told.states]
        write_json(msgspec.structs.replace(told, states=chosen))
        return
    shown = list(fields) or list(_TELLING.get((cls or "").lower(), ()))
    if form is Format.CSV:
        shown = shown or ["fields"]
        write_csv([_flat(one, shown) for one in told.states], [*_HEADER, *shown])
        return
    columns = [
        Column("pool"),
        *([Column("class")] if cls is None else ()),
        Column("name", wide=True),
        Column("uuid"),
        *(Column(name) for name in shown),
        Column("told"),
        Column("certainty"),
    ]
    write_table(
        columns,
        (
            (
                one.pool,
                *([one.cls] if cls is None else ()),
                one.name or "-",
                (one.uuid or short_ref(one.ref))[:8],
                *(_field_text(one, name, names) for name in shown),
                at_text(one.told_at),
                one.certainty.value,
            )
            for one in told.states
        ),
    )


def _field_text(told: State, name: str, names: Names) -> str:
    if name not in told.fields:
        return "-"
    return field_text(told.cls, name, told.fields[name], names)


def _with_fields(told: State, fields: Sequence[str]) -> State:
    if not fields:
        return told
    kept = {name: told.fields[name] for name in fields if name in told.fields}
    return msgspec.structs.replace(told, fields=kept)


def _flat(told: State, fields: Sequence[str]) -> dict[str, Json]:
    row = plain_of(told)
    return row | {name: told.fields.get(name) for name in fields if name != "fields"}
