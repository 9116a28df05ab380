"""`xentrail history`: the life of one object."""

from typing import Annotated

import typer

from ..choices import Format
from ..ends import say
from .asking import Asking, asking
from .options import ClassOption, ObjectArgument, PoolOption, SinceOption, UntilOption


@asking
def history(
    ask: Asking,
    object_: ObjectArgument,
    pool: PoolOption = None,
    class_: ClassOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    field: Annotated[
        str | None, typer.Option("--field", help="Only changes of this field, in any case.")
    ] = None,
    with_devices: Annotated[
        bool, typer.Option("--with-devices", help="Also disks, interfaces, metrics and the like.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also which operations were allowed and under way.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 1000,
) -> None:
    """Tell the life of one object: what changed, from what to what, and where nobody looked."""
    from recorder.instant import Instant

    from ..questions import lacks, objects, runs_about, timeline
    from ..questions import plain as questions
    from ..render import life as screen

    with ask.history() as opened:
        found = objects.find(opened, object_, pool=pool, cls=class_)
        if field is not None:
            questions.check_field(opened, field)
        begin, end = ask.range(opened, since, until, pool=found.pool)
        told = timeline.life_of(
            opened,
            found,
            since=begin,
            until=end,
            field=field,
            with_devices=with_devices,
            limit=limit,
        )
        first = Instant(seq=told.steps[0].seq) if told.omitted and told.steps else begin
        touches = runs_about.runs_about(opened, found, first, end)
        texts = [text or "" for step in told.steps for c in step.changes for text in (c.old, c.new)]
        names = objects.names_in(opened, found.pool, texts) if ask.form is Format.TABLE else {}
        between = lacks.lacks_between(opened, begin, end, pool=found.pool)
    lacking = lacks.Lacks(told.gaps, between.last_states_only, between.unrecorded)
    everything = everything or field is not None
    screen.show(told, ask.form, names, lacking, touches=touches, everything=everything)
    if told.omitted:
        say(f"older steps are left out ({told.omitted}); --limit shows more, --until earlier ones")
    left_out = 0 if everything or ask.form is not Format.TABLE else screen.hidden(told)
    if left_out:
        say(
            f"changes of allowed or current operations are not shown ({left_out}); --all shows them"
        )
    ask.finish(lacking)
