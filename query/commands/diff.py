"""`xentrail diff`: what is another than it was."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import Format
from ..ends import say
from .asking import Asking, asking
from .options import ClassOption, OptionalObjectArgument, PoolOption

if TYPE_CHECKING:
    from ..history.database import History
    from ..questions.drift import Drift

InstantArgument = Annotated[str, typer.Argument(help="ISO time, -2h, now, monday 03:12, @SEQ.")]


@asking
def diff(
    ask: Asking,
    before: InstantArgument,
    after: InstantArgument,
    object_: OptionalObjectArgument = None,
    class_: ClassOption = None,
    pool: PoolOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what changes by itself, such as measurements.")
    ] = False,
) -> None:
    """Compare the states at two instants; exit 1 if they differ, or cannot be compared."""
    from ..questions import drift, objects, states
    from ..render import diff as screen
    from ..render.words import verdict_text

    with ask.history() as history:
        found = None if object_ is None else objects.find(history, object_, pool=pool, cls=class_)
        pool = found.pool if found else pool
        first = ask.instant(history, before, pool=pool)
        second = ask.instant(history, after, pool=pool)
        assert first is not None
        assert second is not None
        told = drift.drift(
            history, first, second, found=found, cls=class_, pool=pool, everything=everything
        )
        names = _names_in(history, told) if ask.form is Format.TABLE else {}
        absent = found is not None and not any(
            states.state_of(history, found, moment).exists is not False
            for moment in (first, second)
        )
    screen.show(told, ask.form, names)
    for moment, verdicts in (
        (told.before, told.verdicts_before),
        (told.after, told.verdicts_after),
    ):
        for verdict in verdicts:
            text = verdict_text(verdict)
            if text is not None:
                say(f"at {moment} {text}")
    for name in told.not_compared:
        say(f"pool {name} was not compared: its whole state is not known at both instants")
    if told.volatile:
        say(f"what changes by itself was left out ({told.volatile}); --all shows it")
    if absent:
        say(f"{found} was there at neither instant")
    elif not told.differences:
        say(screen.none_text(told))
    if told.differences or told.not_compared:
        raise typer.Exit(1)
    if not told.is_certain:
        ask.fail_if_strict()


def _names_in(history: "History", told: "Drift") -> dict[str, str]:
    from ..questions import objects

    texts: dict[str, list[str]] = {}
    for one in told.differences:
        texts.setdefault(one.pool, []).extend((one.old or "", one.new or ""))
    names: dict[str, str] = {}
    for pool, words in texts.items():
        names |= objects.names_in(history, pool, words)
    return names
