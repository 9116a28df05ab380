"""`xentrail history`: the life of one object."""

from recorder.model import Stream

from ..choices import Format
from .asking import Asking, asking
from .blind import say_in_part
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
    from .. import objects, timeline
    from ..render import life as screen

    begin, end = ask.instant(since), ask.instant(until)
    with ask.history() as opened:
        found = objects.find(opened, object_, pool=pool, cls=class_)
        told = timeline.life_of(opened, found, since=begin, until=end)
        texts = [text or "" for step in told.steps for c in step.changes for text in (c.old, c.new)]
        names = objects.names_in(opened, found.pool, texts) if ask.form is Format.TABLE else {}
    screen.show(told, ask.form, names)
    if any(step.stream == Stream.FROM for step in told.steps):
        say_in_part([found.pool])
