"""`xentrail who` and `xentrail audit-trail`: who did it, by which call, and how sure that is."""

from typing import TYPE_CHECKING, Annotated

import typer

from .. import completion
from ..ends import say
from ..errors import NoSuchObject
from .asking import Asking, asking, watching
from .options import PoolOption, SinceOption, UntilOption

if TYPE_CHECKING:
    from recorder.instant import Instant

    from ..history.database import History
    from ..questions.lacks import Lacks


@asking
def who(
    ask: Asking,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="OBJECT|TASK|@SEQ",
            help="An object, a task, or the entry of an event or of a line of the trail.",
            show_default=False,
            autocompletion=completion.objects,
        ),
    ] = None,
    unattributed: Annotated[
        bool,
        typer.Option(
            "--unattributed", help="What became of VMs, came and went, and nobody asked for."
        ),
    ] = False,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Tell who did it: user, client and call, with the evidence and how sure that is."""
    from ..questions import doers, objects
    from ..questions.unasked import unasked
    from ..render import doers as screen

    if (what is None) is not unattributed:
        raise typer.BadParameter("name an object, a task or @SEQ, or say --unattributed")
    with ask.history() as history:
        begin, end = ask.range(history, since, until, pool=pool)
        if what is None:
            lacking = _lacks(history, begin, end, pool)
            strange = unasked(history, pool=pool, since=begin, until=end)
        elif what.startswith("@"):
            seq = _entry(what)
            rows = doers.doers_at(history, seq)
            pool = rows[0].pool if rows else pool
            lacking = _lacks(history, _at(seq), _at(seq), pool)
        else:
            found = objects.find(history, what, pool=pool)
            pool = found.pool
            rows = (
                doers.doers_of_task(history, found)
                if found.cls == "task"
                else doers.doers_of_object(history, found, since=begin, until=end)
            )
            lacking = _lacks(history, begin, end, pool)
        is_recorded = doers.has_trail(history)
    if what is None:
        screen.unasked(strange, ask.form, lacking)
    else:
        screen.deeds(rows, ask.form, lacking)
        if not rows:
            say("no line of an audit trail tells who: see --unattributed, and xentrail gaps")
    if not is_recorded:
        say("no audit trail is recorded: see [pools.audit_trail] in the configuration")
    ask.finish(lacking)


@watching
def audit_trail(
    ask: Asking,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="Only his; * stands for anything.")
    ] = None,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="ADDRESS", help="Only from there; 10.0.0.* is a net."),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(
            "--call",
            metavar="CALL",
            help="Only this one: VM.start, VM.*.",
            autocompletion=completion.calls,
        ),
    ] = None,
    object_: Annotated[
        str | None,
        typer.Option(
            "--object",
            metavar="OBJECT",
            help="Only those that name this object.",
            autocompletion=completion.objects,
        ),
    ] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what was refused, or ended with an error.")
    ] = False,
    internal: Annotated[
        bool, typer.Option("--internal", help="Also what hosts called for themselves.")
    ] = False,
    unread: Annotated[
        bool, typer.Option("--unread", help="Only lines that cannot be understood, as they are.")
    ] = False,
    pool: PoolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most the newest N.")] = 100,
) -> None:
    """List calls as the audit trail has them, also those that were refused, newest last."""
    from ..questions import doers, objects
    from ..render import doers as screen

    with ask.history() as history:
        found = None if object_ is None else objects.find(history, object_, pool=pool)
        pool = found.pool if found else pool
        begin, end = ask.range(history, since, until, pool=pool)
        wanted = doers.Wanted(
            pool=pool,
            user=user,
            client=client,
            call=call,
            found=found,
            denied=denied,
            failed=failed,
            internal=internal,
            unread=unread,
            since=begin,
            until=end,
            limit=limit,
        )
        rows = doers.calls(history, wanted)
        lacking = _lacks(history, begin, end, pool)
        is_recorded = doers.has_trail(history)
    screen.calls(rows, ask.form, lacking)
    if not is_recorded:
        say("no audit trail is recorded: see [pools.audit_trail] in the configuration")
    elif not rows:
        say("no line fits")
    if len(rows) == limit:
        say(f"the newest {limit} lines; --limit shows more, --until earlier ones")
    ask.finish(lacking)


def _lacks(
    history: "History", since: "Instant | None", until: "Instant | None", pool: str | None
) -> "Lacks":
    """Return what an answer about who did it may lack: lines of the trail are part of that."""
    import msgspec

    from recorder.model import GapCause

    from ..questions import gaps, lacks

    lacking = lacks.lacks_between(history, since, until, pool=pool)
    rows = gaps.gaps(history, pool=pool, since=since, until=until)
    missing = [row for row in rows if row.cause == GapCause.AUDIT_TRAIL]
    every = sorted([*lacking.gaps, *missing], key=lambda row: row.seq)
    return msgspec.structs.replace(lacking, gaps=every)


def _entry(word: str) -> int:
    if not word[1:].isdecimal():
        raise NoSuchObject(f"{word!r} is no entry: write @ and its number")
    return int(word[1:])


def _at(seq: int) -> "Instant":
    from recorder.instant import Instant

    return Instant(seq=seq)
