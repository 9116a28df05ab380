"""`xentrail gaps`: the ledger."""

from .asking import Asking, asking
from .blind import say_in_part
from .options import PoolOption


@asking
def gaps(ask: Asking, pool: PoolOption = None) -> None:
    """List where the recorder was blind, and what was found different afterwards."""
    from .. import gaps as ledger
    from .. import questions
    from ..render import gaps as screen

    with ask.history() as opened:
        rows = ledger.gaps(opened, pool=pool)
        blind = ledger.blindness(opened, rows, pool=pool)
        in_part = questions.pools_in_part(opened, pool=pool)
    screen.show(rows, blind, ask.form)
    say_in_part(in_part)
