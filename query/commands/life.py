"""`xentrail history`: the life of one object."""

from ..choices import Format
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
) -> None:
    """Tell the life of one object: what changed, from what to what, and where nobody looked."""
    from .. import lacks, objects, timeline
    from ..render import life as screen

    with ask.history() as opened:
        found = objects.find(opened, object_, pool=pool, cls=class_)
        begin = ask.instant(opened, since, pool=found.pool)
        end = ask.instant(opened, until, pool=found.pool)
        told = timeline.life_of(opened, found, since=begin, until=end)
        texts = [text or "" for step in told.steps for c in step.changes for text in (c.old, c.new)]
        names = objects.names_in(opened, found.pool, texts) if ask.form is Format.TABLE else {}
        lacking = lacks.Lacks(
            told.gaps, lacks.lacks_between(opened, begin, end, pool=found.pool).last_states_only
        )
    screen.show(told, ask.form, names, lacking)
    ask.finish(lacking)
