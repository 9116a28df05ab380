"""`xentrail workload runs`, `show`, `audit` and `replay`: what was run, is it true, and again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from recorder.cli import replay_on_pool, replay_simulated, show_script, workload
from recorder.errors import ConfigError
from recorder.instant import Instant

from ..ends import say
from .asking import Asking, asking, watching
from .options import PoolOption, SinceOption

RESUMABLE = ("cancelled", "interrupted")
"""How runs end that can go on."""


@watching
def runs(ask: Asking, pool: PoolOption = None, since: SinceOption = None) -> None:
    """List the runs of workloads, and whether what they expect held."""
    from ..questions import lacks
    from ..questions import runs as questions
    from ..render import runs as screen

    with ask.history() as history:
        begin = ask.instant(history, since, pool=pool)
        rows = questions.runs(history, pool=pool, since=begin)
        lacking = lacks.lacks_between(history, begin, None, pool=pool)
    screen.runs(rows, ask.form, lacking)
    if not rows:
        say("no workload was run")
    for row in rows:
        if row.died:
            say(f"{row.run} died with its recorder: xentrail workload resume {row.run} goes on")
    ask.finish(lacking)


@asking
def show(
    ask: Asking,
    target: Annotated[
        str, typer.Argument(metavar="FILE|RUN", help="A script, or a run or the beginning of it.")
    ],
) -> None:
    """Show a script; or, of a run, every call with its outcome."""
    from ..questions import lacks
    from ..questions import runs as questions
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
    if run.resumed:
        how += f"; resumed {run.resumed} x"
    again = "" if run.replay_of is None else f" (a replay of {run.replay_of})"
    say(f"run {run.run}{again} of {run.script} on {run.pool}, seed {run.seed}, by {run.who}: {how}")
    if run.died or run.status in RESUMABLE:
        say(f"to go on with it: xentrail workload resume {run.run}")
    ask.finish(lacking)


@asking
def replay(
    ask: Asking,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, or the beginning of it.")],
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Repeat it on this pool.")
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="Repeat it on a simulated pool, as the real one was at its start."
        ),
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="DIR", help="With --simulate: keep its journal in this new folder."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="With --pool, if no recorder runs: record the pool meanwhile by this file.",
        ),
    ] = None,
) -> None:
    """Repeat a run, call by call as it was planned, and compare; exit 1 unless it goes the same."""
    from ..questions import replay as answers
    from ..questions import runs as questions
    from ..render import replay as screen

    _check_options(pool, keep, config, simulate=simulate)
    with ask.history() as history:
        before = answers.recorded_run(history, questions.run_called(history, run))
        past = answers.pool_at_start(history, before) if simulate else None
    if past is not None:
        tried = replay_simulated(before, past, keep)
        told = answers.compared(before, tried.run, injected=tried.injected, doubts=past.caveats)
    else:
        name = replay_on_pool(before, pool or "", ask.data, config)
        with ask.history() as history:
            after = answers.recorded_run(history, questions.run_called(history, name))
        told = answers.compared(before, after)
    screen.compared(told, ask.form)
    for doubt in told.doubts:
        say(f"note: {doubt}")
    say(screen.verdict(told))
    sys.stdout.flush()
    if not told.same:
        raise typer.Exit(1)
    if told.doubts:
        ask.fail_if_strict()


def _check_options(
    pool: str | None, keep: Path | None, config: Path | None, *, simulate: bool
) -> None:
    """Raise ConfigError for options that do not go together."""
    if (pool is None) is not simulate:
        raise ConfigError("give --pool NAME to repeat it on a pool, or --simulate; one of them")
    if keep is not None and not simulate:
        raise ConfigError("--keep is for --simulate: a pool is recorded where it always is")
    if config is not None and simulate:
        raise ConfigError("--config is for --pool: with --simulate no pool is recorded")


@asking
def audit(
    ask: Asking,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, or the beginning of it.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also calls that are proven, and all that followed.")
    ] = False,
) -> None:
    """Hold what a run claims against what was recorded. Exit 0 only if all of it is proven."""
    from ..audit.gather import audit as audit_of
    from ..questions import lacks
    from ..questions import runs as questions
    from ..render import audit as screen

    with ask.history() as history:
        found = questions.run_called(history, run)
        told = audit_of(history, found.pool, found.run)
        end = None if found.last_seq is None else Instant(seq=found.last_seq)
        lacking = lacks.lacks_between(history, Instant(seq=found.first_seq), end, pool=found.pool)
    screen.show(told, ask.form, lacking, everything=everything)
    ask.finish(lacking)
    if not told.is_proven:
        raise typer.Exit(1)


def register() -> None:
    """Add the commands to those of the service about workloads."""
    workload.command("runs")(runs)
    workload.command("show")(show)
    workload.command("replay")(replay)

    workload.command("audit")(audit)
