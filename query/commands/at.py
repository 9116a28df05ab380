"""`xentrail at`: the state of an object, or of all of a class, at an instant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from recorder.instant import Instant
from recorder.model import Stream

from ..choices import Format
from ..errors import NoSuchField
from .asking import Asking, asking, say
from .blind import say_in_part
from .options import ClassOption, OptionalObjectArgument, PoolOption

if TYPE_CHECKING:
    from ..database import History
    from ..states import State


@asking
def at(
    ask: Asking,
    instant: Annotated[str, typer.Argument(metavar="INSTANT", help="ISO time, -2h, now or @SEQ.")],
    object_: OptionalObjectArgument = None,
    class_: ClassOption = None,
    pool: PoolOption = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Only this field; may be repeated.")
    ] = None,
) -> None:
    """Show an object, or all of a class, as it was at an instant, and how certain that is."""
    from .. import objects, states
    from ..render import state as screen

    moment = ask.instant(instant)
    assert moment is not None, "the argument is required"
    if object_ is None and class_ is None:
        raise typer.BadParameter("name an OBJECT, or a --class for all its objects")
    with ask.history() as opened:
        if object_ is None:
            _all_at(ask, opened, moment, class_ or "", pool, field or [])
        else:
            found = objects.find(opened, object_, pool=pool, cls=class_)
            told = states.state_of(opened, found, moment)
            _check_fields(field or [], [told])
            screen.state(told, ask.form, _names_in_state(opened, told), field or [])
            say_in_part([told.pool] if told.stream == Stream.FROM else [])


def _all_at(
    ask: Asking,
    opened: "History",
    moment: Instant,
    class_: str,
    pool: str | None,
    fields: list[str],
) -> None:
    from .. import states
    from ..render import state as screen
    from ..render.words import verdict_text

    told = states.states_of_class(opened, class_, moment, pool=pool)
    _check_fields(fields, told.states)
    names: dict[str, str] = {}
    for one in told.states if ask.form is Format.TABLE else ():
        names |= _names_in_state(opened, one)
    for verdict in told.verdicts:
        text = verdict_text(verdict)
        if text is not None:
            say(text)
    screen.states(told, ask.form, names, class_, fields)
    say_in_part([one.pool for one in told.verdicts if one.stream == Stream.FROM])


def _check_fields(fields: Sequence[str], told: "Sequence[State]") -> None:
    """Raise NoSuchField for a name that no record has, unless there is no record at all."""
    import difflib

    known = {name for state in told for name in state.fields}
    for name in fields:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "--format json shows all fields"
            raise NoSuchField(f"no field is called {name!r}; {advice}")


def _names_in_state(opened: "History", told: "State") -> dict[str, str]:
    from .. import objects

    return objects.names_in(opened, told.pool, [str(value) for value in told.fields.values()])
