"""`xentrail events`: everything that happened."""

from typing import Annotated

import typer

from recorder.instant import Instant
from recorder.model import Operation, Stream

from ..known import Origin
from .asking import Asking, asking, say
from .blind import say_blind, say_in_part
from .options import ClassOption, OptionalObjectArgument, PoolOption, SinceOption, UntilOption


@asking
def events(
    ask: Asking,
    object_: OptionalObjectArgument = None,
    pool: PoolOption = None,
    class_: ClassOption = None,
    operation: Annotated[Operation | None, typer.Option("--operation")] = None,
    origin: Annotated[Origin | None, typer.Option("--origin", help="How it is known.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 100,
) -> None:
    """List what happened, newest last."""
    from .. import gaps, objects, questions
    from ..render import events as screen

    begin, end = ask.instant(since), ask.instant(until)
    with ask.history() as history:
        found = None if object_ is None else objects.find(history, object_, pool=pool, cls=class_)
        wanted = questions.Filter(
            found=found,
            pool=pool,
            cls=class_,
            operation=operation,
            origin=origin,
            since=begin,
            until=end,
            limit=limit,
        )
        rows = questions.events(history, wanted)
        first_shown = Instant(seq=rows[0].seq) if rows else None
        blind = gaps.gaps_between(
            history, begin or first_shown, end, pool=found.pool if found else pool
        )
    screen.show(rows, ask.form)
    say_blind(blind)
    say_in_part(sorted({row.pool for row in rows if row.stream == Stream.FROM}))
    if not rows:
        say("no event fits")
    if len(rows) == limit:
        say(f"the newest {limit} events; --limit shows more, --until earlier ones")
