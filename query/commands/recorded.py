"""`xentrail pools` and `xentrail top`: what is recorded, and what changes most."""

from typing import Annotated

import typer

from ..choices import By
from ..ends import say
from .asking import Asking, watching
from .options import ClassOption, PoolOption, SinceOption, UntilOption


@watching
def pools(ask: Asking, pool: PoolOption = None) -> None:
    """List the pools that were recorded, and where the record of each stands."""
    from ..questions import lacks, recorded
    from ..render import recorded as screen

    with ask.history() as history:
        rows = recorded.recorded(history, pool=pool)
        lacking = lacks.lacks_between(history, None, None, pool=pool)
    screen.pools(rows, ask.form, lacking)
    if not rows:
        say("no pool was recorded yet")
    ask.finish(lacking)


@watching
def top(
    ask: Asking,
    by: Annotated[By, typer.Option("--by", help="What is counted together.")] = By.OBJECT,
    pool: PoolOption = None,
    class_: ClassOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the busiest N.")] = 20,
) -> None:
    """List what changed most: objects, classes, fields or pools."""
    from ..questions import busiest, lacks
    from ..render import recorded as screen

    with ask.history() as history:
        begin, end = ask.range(history, since, until, pool=pool)
        rows = busiest.busiest(
            history, by, pool=pool, cls=class_, since=begin, until=end, limit=limit
        )
        lacking = lacks.lacks_between(history, begin, end, pool=pool)
    screen.busiest(rows, ask.form, lacking)
    if not rows:
        say("nothing changed then")
    if len(rows) == limit:
        say(f"the busiest {limit}; --limit shows more")
    ask.finish(lacking)
