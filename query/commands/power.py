"""`xentrail power` and `xentrail moves`: VMs over time."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..choices import Format
from ..ends import say
from .asking import Asking, watching
from .options import OptionalObjectArgument, PoolOption, SinceOption, UntilOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..history.database import History
    from ..questions.objects import Found
    from ..questions.spans import Span

AllOption = Annotated[
    bool, typer.Option("--all", help="Also templates, snapshots and control domains.")
]


@watching
def power(
    ask: Asking,
    vm: OptionalObjectArgument = None,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="One line a VM: how long it was up.")
    ] = False,
    everything: AllOption = False,
) -> None:
    """Show when VMs were running, halted or suspended, and when nobody knows."""
    from ..questions import lacks, spans
    from ..render import spans as screen

    with ask.history() as history:
        found = _vm(history, vm, pool)
        pool = found.pool if found else pool
        begin, end = ask.range(history, since, until, pool=pool)
        told = spans.spans(
            history,
            spans.POWER,
            found=found,
            pool=pool,
            since=begin,
            until=end,
            everything=everything,
        )
        lacking = lacks.lacks_between(history, begin, end, pool=pool)
    if summary:
        screen.uptimes(spans.uptimes(told), ask.form, lacking)
    else:
        screen.spans(told, ask.form, lacking, "power", {})
    if not told:
        say("no VM was recorded then")
    ask.finish(lacking)


@watching
def moves(
    ask: Asking,
    vm: OptionalObjectArgument = None,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    where: Annotated[
        bool, typer.Option("--spans", help="From when to when each VM was on which host.")
    ] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="One line a pair of hosts: how often, how long.")
    ] = False,
) -> None:
    """Show from which host to which VMs went, and how long that took."""
    from ..questions import lacks, spans
    from ..questions import moves as ledger
    from ..render import spans as screen

    if where and summary:
        raise typer.BadParameter("give --spans or --summary, not both")
    with ask.history() as history:
        found = _vm(history, vm, pool)
        pool = found.pool if found else pool
        begin, end = ask.range(history, since, until, pool=pool)
        lacking = lacks.lacks_between(history, begin, end, pool=pool)
        count = 0
        if where:
            told = spans.spans(history, spans.PLACE, found=found, pool=pool, since=begin, until=end)
            names = _hosts(history, told) if ask.form is Format.TABLE else {}
            count = len(told)
        elif summary:
            routes = ledger.routes(history, found=found, pool=pool, since=begin, until=end)
            count = len(routes)
        else:
            rows = ledger.moves(history, found=found, pool=pool, since=begin, until=end)
            count = len(rows)
    if where:
        screen.spans(told, ask.form, lacking, "host", names)
    elif summary:
        screen.routes(routes, ask.form, lacking)
    else:
        screen.moves(rows, ask.form, lacking)
    if not count:
        say("no VM moved")
    ask.finish(lacking)


def _vm(history: "History", word: str | None, pool: str | None) -> "Found | None":
    from ..questions import objects

    return None if word is None else objects.find(history, word, pool=pool, cls="vm")


def _hosts(history: "History", told: "Sequence[Span]") -> dict[str, str]:
    """Return the names of the hosts of spans, and the words for none."""
    from ..questions import objects, spans

    names = {spans.NOWHERE: "(on no host)"}
    for pool in {span.pool for span in told}:
        refs = [span.value or "" for span in told if span.pool == pool]
        names |= objects.names_in(history, pool, refs)
    return names
