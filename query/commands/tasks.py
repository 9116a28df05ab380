"""`xentrail tasks`: what was attempted, and how it ended."""

from typing import Annotated

import typer

from ..choices import TaskStatus
from .asking import Asking, asking, say
from .blind import say_blind
from .options import PoolOption, SinceOption


@asking
def tasks(
    ask: Asking,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those that failed, were cancelled or vanished.")
    ] = False,
    status: Annotated[
        TaskStatus | None, typer.Option("--status", help="Only those that stand like this.")
    ] = None,
    pool: PoolOption = None,
    since: SinceOption = None,
) -> None:
    """List tasks and their outcomes, also of those that the server has forgotten."""
    from .. import gaps, questions
    from ..render import tasks as screen

    begin = ask.instant(since)
    with ask.history() as opened:
        rows = questions.tasks(opened, pool=pool, failed=failed, status=status, since=begin)
        blind = gaps.gaps_between(opened, begin, None, pool=pool)
    screen.show(rows, ask.form)
    say_blind(blind)
    if not rows:
        say("no task fits")
