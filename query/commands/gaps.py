"""`xentrail gaps`: the ledger."""

from .asking import Asking, say_last_states_only, watching
from .options import PoolOption, SinceOption, UntilOption


@watching
def gaps(
    ask: Asking,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """List where the recorder was blind, and what was found different afterwards."""
    from ..questions import gaps as ledger
    from ..questions import lacks
    from ..render import gaps as screen

    with ask.history() as opened:
        begin, end = ask.range(opened, since, until, pool=pool)
        rows = ledger.gaps(opened, pool=pool, since=begin, until=end)
        blind = ledger.blindness(opened, rows, pool=pool)
        in_part = lacks.lacks_between(opened, begin, end, pool=pool).last_states_only
    screen.show(rows, blind, ask.form, in_part)
    say_last_states_only(in_part)
    if any(row.is_blind for row in rows) or in_part:
        ask.fail_if_strict()
