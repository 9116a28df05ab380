"""`xentrail events`: everything that happened."""

from typing import Annotated

import typer

from recorder.instant import Instant
from recorder.model import Operation

from ..ends import say
from ..load.known import Origin
from .asking import Asking, watching
from .options import ClassOption, OptionalObjectArgument, PoolOption, SinceOption, UntilOption


@watching
def events(
    ask: Asking,
    object_: OptionalObjectArgument = None,
    pool: PoolOption = None,
    class_: ClassOption = None,
    operation: Annotated[
        Operation | None, typer.Option("--operation", help="Only additions, or …")
    ] = None,
    field: Annotated[
        str | None,
        typer.Option("--field", help="Only events that changed this field, in any case."),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Leave out what changed nothing, as heartbeats do.")
    ] = False,
    origin: Annotated[Origin | None, typer.Option("--origin", help="How it is known.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 100,
) -> None:
    """List what happened, newest last."""
    from ..questions import lacks, objects
    from ..questions import plain as questions
    from ..render import events as screen

    with ask.history() as history:
        found = None if object_ is None else objects.find(history, object_, pool=pool, cls=class_)
        pool = found.pool if found else pool
        begin, end = ask.range(history, since, until, pool=pool)
        wanted = questions.Filter(
            found=found,
            pool=pool,
            cls=class_,
            operation=operation,
            origin=origin,
            field=field,
            changed=changed,
            since=begin,
            until=end,
            limit=limit,
        )
        rows = questions.events(history, wanted)
        first_shown = Instant(seq=rows[0].seq) if rows else None
        lacking = lacks.lacks_between(history, begin or first_shown, end, pool=pool)
    screen.show(rows, ask.form, lacking)
    if not rows:
        say("no event fits")
    if len(rows) == limit:
        say(f"the newest {limit} events; --limit shows more, --until earlier ones")
    ask.finish(lacking)
