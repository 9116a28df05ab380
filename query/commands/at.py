"""`xentrail at`: the state of an object, a class or a whole pool at an instant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from recorder.model import Stream

from ..choices import Format
from ..ends import say
from ..errors import NoSuchField
from .asking import Asking, say_last_states_only, watching
from .options import ClassOption, OptionalObjectArgument, PoolOption

if TYPE_CHECKING:
    from ..history.database import History
    from ..questions.certainty import Verdict
    from ..questions.states import State, States


@watching
def at(
    ask: Asking,
    instant: Annotated[
        str, typer.Argument(metavar="INSTANT", help="ISO time, -2h, monday 03:12, @SEQ.")
    ],
    object_: OptionalObjectArgument = None,
    class_: ClassOption = None,
    pool: PoolOption = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", help="Only this field; may be repeated.")
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            "--as-known-at",
            metavar="INSTANT",
            help="What would have been answered then: nothing recorded later counts.",
        ),
    ] = None,
) -> None:
    """Show an object, all of a class or all of a pool as it was, and how certain that is."""
    from ..questions import objects, states
    from ..render import state as screen

    if object_ is None and class_ is None and pool is None:
        raise typer.BadParameter("name an OBJECT, or a --class or --pool for all its objects")
    fields = field or []
    with ask.history() as opened:
        found = None
        if object_ is not None:
            found = objects.find(opened, object_, pool=pool, cls=class_)
            pool = found.pool
        moment = ask.instant(opened, instant, pool=pool)
        known = ask.instant(opened, known_at, pool=pool)
        assert moment is not None, "the argument is required"
        told: State | States
        if found is not None:
            told = states.state_of(opened, found, moment, known=known)
        elif class_ is not None:
            told = states.states_of_class(opened, class_, moment, pool=pool, known=known)
        else:
            told = states.states_of_pool(opened, pool or "", moment, known=known)
        shown = told.states if isinstance(told, states.States) else [told]
        _check_fields(fields, shown)
        names = _names_in(opened, shown) if ask.form is Format.TABLE else {}
    if isinstance(told, states.States):
        _say_verdicts(told.verdicts)
        screen.states(told, ask.form, names, class_, fields)
        say_last_states_only([one.pool for one in told.verdicts if one.stream == Stream.FROM])
        sure = all(one.is_certain for one in told.verdicts)
        sure = sure and all(one.is_certain for one in told.states)
    else:
        screen.state(told, ask.form, names, fields)
        sure = told.is_certain
        say_last_states_only([told.pool] if told.stream == Stream.FROM else [])
    if not sure:
        ask.fail_if_strict()


def _say_verdicts(verdicts: "Sequence[Verdict]") -> None:
    from ..render.words import verdict_text

    for verdict in verdicts:
        text = verdict_text(verdict)
        if text is not None:
            say(text)


def _check_fields(fields: Sequence[str], told: "Sequence[State]") -> None:
    """Raise NoSuchField for a name that no record has, unless there is no record at all."""
    import difflib

    known = {name for state in told for name in state.fields}
    for name in fields:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "--format json shows all fields"
            raise NoSuchField(f"no field is called {name!r}; {advice}")


def _names_in(opened: "History", told: "Sequence[State]") -> dict[str, str]:
    from ..questions import objects

    texts: dict[str, list[str]] = {}
    for one in told:
        texts.setdefault(one.pool, []).extend(map(str, one.fields.values()))
    names: dict[str, str] = {}
    for pool, words in texts.items():
        names |= objects.names_in(opened, pool, words)
    return names
