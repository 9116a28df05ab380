"""`xentrail tasks`: what was attempted, and how it ended; `xentrail task`: everything of one."""

from typing import Annotated

import typer

from .. import completion
from ..choices import Format, TaskStatus
from ..ends import say
from .asking import Asking, asking, watching
from .options import PoolOption, SinceOption, UntilOption


@watching
def tasks(
    ask: Asking,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only those that failed, were cancelled or vanished.")
    ] = False,
    status: Annotated[
        TaskStatus | None, typer.Option("--status", help="Only those that stand like this.")
    ] = None,
    operation: Annotated[
        str | None,
        typer.Option(
            "--operation",
            metavar="CALL",
            help="Only those for this call: VM.start.",
            autocompletion=completion.calls,
        ),
    ] = None,
    object_: Annotated[
        str | None,
        typer.Option(
            "--object",
            metavar="OBJECT",
            help="Only those that have to do with this object.",
            autocompletion=completion.objects,
        ),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Show sub-tasks beneath the tasks they are part of.")
    ] = False,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 100,
) -> None:
    """List tasks and their outcomes, also of those that the server has forgotten."""
    from ..questions import lacks, objects, tasks_listed
    from ..render import tasks as screen

    with ask.history() as opened:
        found = None if object_ is None else objects.find(opened, object_, pool=pool)
        pool = pool if found is None else found.pool
        begin, end = ask.range(opened, since, until, pool=pool)
        wanted = tasks_listed.Wanted(
            pool=pool,
            failed=failed,
            status=status,
            operation=operation,
            found=found,
            since=begin,
            until=end,
            subtasks=tree,
            limit=limit,
        )
        rows = tasks_listed.tasks(opened, wanted)
        fit = tasks_listed.number_of_tasks(opened, wanted)
        lacking = lacks.lacks_between(opened, begin, end, pool=pool)
    screen.show(rows, ask.form, lacking)
    if not rows:
        say("no task fits")
    if fit > limit:
        say(f"the newest {limit} of {fit} tasks; --limit shows more, --until earlier ones")
    ask.finish(lacking)


@asking
def task(
    ask: Asking,
    task_: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="Reference, uuid, beginning of one, or @SEQ of an entry that tells of it or of a"
            " change under it.",
            autocompletion=completion.tasks,
        ),
    ],
    pool: PoolOption = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also which operations were allowed and under way.")
    ] = False,
) -> None:
    """Tell everything of one task: its sub-tasks, its objects, and what changed under it."""
    from ..questions import lacks, objects, tasks_told
    from ..render import task as screen

    with ask.history() as opened:
        found = tasks_told.find_task(opened, task_, pool=pool)
        told = tasks_told.story_of(opened, found)
        texts = tasks_told.texts_of(told)
        names = objects.names_in(opened, found.pool, texts) if ask.form is not Format.CSV else {}
        begin, end = told.life
        lacking = lacks.lacks_between(opened, begin, end, pool=found.pool)
    screen.show(told, ask.form, names, lacking, everything=everything)
    left_out = 0 if everything or ask.form is not Format.TABLE else screen.hidden(told)
    if left_out:
        say(f"{left_out} changes of allowed or current operations are not shown; --all shows them")
    ask.finish(lacking)
