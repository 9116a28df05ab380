"""`xentrail workload runs` and `show`: what was run, and what came of every call."""

from pathlib import Path
from typing import Annotated

import typer

from recorder.cli import show_script, workload
from recorder.instant import Instant

from .asking import Asking, asking, say, watching
from .options import PoolOption, SinceOption


@watching
def runs(ask: Asking, pool: PoolOption = None, since: SinceOption = None) -> None:
    """List the runs of workloads, and whether what they expect held."""
    from .. import lacks
    from .. import runs as questions
    from ..render import runs as screen

    with ask.history() as history:
        begin = ask.instant(history, since, pool=pool)
        rows = questions.runs(history, pool=pool, since=begin)
        lacking = lacks.lacks_between(history, begin, None, pool=pool)
    screen.runs(rows, ask.form, lacking)
    if not rows:
        say("no workload was run")
    ask.finish(lacking)


@asking
def show(
    ask: Asking,
    target: Annotated[
        str, typer.Argument(metavar="FILE|RUN", help="A script, or a run or the beginning of it.")
    ],
) -> None:
    """Show a script; or, of a run, every call with its outcome."""
    from .. import lacks
    from .. import runs as questions
    from ..render import runs as screen

    if Path(target).is_file():
        show_script(Path(target))
        return
    with ask.history() as history:
        run = questions.run_called(history, target)
        rows = questions.steps(history, run)
        end = None if run.last_seq is None else Instant(seq=run.last_seq)
        lacking = lacks.lacks_between(history, Instant(seq=run.first_seq), end, pool=run.pool)
    screen.steps(rows, ask.form, lacking)
    held = {True: "all that was expected held", False: "NOT all that was expected held"}
    how = f"{run.status}; {held[run.held]}" if run.held is not None else "its end was not recorded"
    say(f"run {run.run} of {run.script} on {run.pool}, seed {run.seed}, by {run.who}: {how}")
    ask.finish(lacking)


def register() -> None:
    """Add the commands to those of the service about workloads."""
    workload.command("runs")(runs)
    workload.command("show")(show)
