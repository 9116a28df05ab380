"""`xentrail tasks`: what was attempted, and how it ended."""

from typing import Annotated

import typer

from ..choices import TaskStatus
from .asking import Asking, say, watching
from .options import PoolOption, SinceOption


@watching
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
    from .. import lacks, questions
    from ..render import tasks as screen

    with ask.history() as opened:
        begin = ask.instant(opened, since, pool=pool)
        rows = questions.tasks(opened, pool=pool, failed=failed, status=status, since=begin)
        lacking = lacks.lacks_between(opened, begin, None, pool=pool)
    screen.show(rows, ask.form, lacking)
    if not rows:
        say("no task fits")
    ask.finish(lacking)
