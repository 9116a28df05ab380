"""The commands that run workloads and show scripts: `workload run`, `workload list`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError, ProtocolError, TransportError, WorkloadError
from ..printable import shown
from .options import DataOption, ReportFormat, ReportOption, data_folder

if TYPE_CHECKING:
    from ..config import Config
    from ..control.client import Conversation
    from ..control.protocol import Resume, Run
    from ..control.running import Running, RunReport
    from ..workloads.scripts import Script, Select

SCRIPTS = Path("config/workloads")
NOT_HELD_EXIT_CODE = WorkloadError.exit_code

app = typer.Typer(
    name="workload",
    help="Run scripted operations on a pool, every one of them recorded.",
    no_args_is_help=True,
)


@app.command("run")
def run(
    script: Annotated[Path, typer.Argument(metavar="FILE", help="The script; see workload list.")],
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="The pool to run it on.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, with real names.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Instead of the seed of the script.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="If no recorder runs: record the pool while the workload does, with this"
            " configuration.",
        ),
    ] = None,
    data: DataOption = None,
    form: ReportOption = ReportFormat.TABLE,
) -> None:
    """Run a workload; Ctrl-C ends it in good order. Exit 0 only if all that it expects held."""
    from ..config import load
    from ..control.protocol import Run

    text = _text_of(script)
    script_of(text, str(script))
    loaded = None if config is None else load(config)
    folder = data_folder(data, loaded)
    wanted = Run(pool=pool, script=text, origin=str(script), seed=seed, dry_run=dry_run)
    with recorder_for(loaded, folder, pool):
        report = converse(folder, wanted, as_json=form is ReportFormat.JSON)
    if report is not None and not report.held:
        raise typer.Exit(NOT_HELD_EXIT_CODE)


@app.command("list")
def list_scripts(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where scripts are kept.")
    ] = SCRIPTS,
) -> None:
    """List scripts, and the mistakes of those that have some."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise ConfigError(f"{folder} holds no scripts (*.toml)")
    for file in files:
        try:
            script = script_of(_text_of(file), str(file))
        except WorkloadError as error:
            for text in error.texts:
                typer.echo(f"xentrail: {shown(text)}", err=True)
            continue
        kinds = ", ".join(step.kind.value for step in script.steps)
        print(f"{file}  {script.name} ({kinds})")


def carry_out(wanted: "Run", folder: Path, config: Path | None) -> "RunReport":
    """Have a run carried out, by the recorder of `folder` or with a configuration by this command.

    Raises WorkloadError if it is refused, TransportError if there is nobody to ask.
    """
    from ..config import load
    from ..control import client

    loaded = None if config is None else load(config)
    with (
        recorder_for(loaded, folder, wanted.pool),
        client.running(folder, wanted) as conversation,
        _ended_by_signals(conversation),
    ):
        return _follow(conversation)


def show_script(file: Path) -> None:
    """Print what a script says, defaults included. Raises WorkloadError."""
    from ..workloads.plan import title_of

    script = script_of(_text_of(file), str(file))
    print(f"{script.name}, seed {script.seed}")
    if script.description:
        print(script.description.strip())
    for number, step in enumerate(script.steps, 1):
        chosen = f"hosts {', '.join(step.hosts)}" if step.hosts else _chosen(step.vms)
        print(f"{number}. {title_of(step)}: {chosen}")
        expected = f"at most {step.expect.failures_max} failures"
        if step.expect.seconds_max is not None:
            expected += f", {step.expect.seconds_max:g} s a call"
        print(f"   expects {expected}")
    if script.restore:
        print("then each VM gets back its power state and host")


def script_of(text: str, origin: str) -> "Script":
    """Check a script. Raises WorkloadError with all mistakes in it."""
    from ..workloads.scripts import script_in

    return script_in(text, origin)


def _chosen(select: "Select | None") -> str:
    if select is None:
        return "nothing"
    words = [
        f"{name} {_words(value)}"
        for name in select.__struct_fields__
        if (value := getattr(select, name)) not in {(), None}
    ]
    return f"VMs by {'; '.join(words)}"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise WorkloadError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WorkloadError(f"{file}: is not UTF-8 text") from error


@contextmanager
def recorder_for(config: "Config | None", folder: Path, pool: str) -> Iterator[None]:
    """Let the recorder that runs do it; or, with a configuration, one for as long as it takes."""
    from ..control import client

    try:
        client.status(folder)
    except TransportError as error:
        if config is None:
            text = f"{error}; or give --config FILE to record the pool while the workload runs"
            raise TransportError(text) from error
        with _alone(config, folder, pool):
            yield
    else:
        yield


@contextmanager
def _alone(config: "Config", folder: Path, pool: str) -> Iterator[None]:
    import msgspec

    from .. import logs
    from ..service import alone

    mine = tuple(one for one in config.pools if one.name == pool)
    if not mine:
        known = ", ".join(one.name for one in config.pools)
        raise ConfigError(f"no pool is called {pool!r} in the configuration; known: {known}")
    logs.to_stderr()
    typer.echo(
        f"xentrail: no recorder runs: recording pool {pool} for as long as it takes", err=True
    )
    schedules = tuple(
        msgspec.structs.replace(one, pools=(pool,)) for one in config.schedules if pool in one.pools
    )
    lone = msgspec.structs.replace(config, pools=mine, data=folder, schedules=schedules)
    with alone.recording(lone, folder):
        yield


def converse(folder: Path, wanted: "Run | Resume", *, as_json: bool) -> "RunReport | None":
    """Ask for a run and show it; return its report, None for one that was only planned."""
    from ..control import client
    from . import run_view

    with client.running(folder, wanted) as conversation:
        if conversation.running.run is None:
            _print_plan(conversation.running, as_json=as_json)
            return None
        with _ended_by_signals(conversation):
            report = _follow(conversation)
    if as_json:
        run_view.print_json(report)
    else:
        run_view.console().print(run_view.summary(report))
        print(run_view.verdict(report))
    return report


def _follow(conversation: "Conversation") -> "RunReport":
    from ..control.running import RunReport
    from . import run_view

    for text in conversation.running.lines:
        typer.echo(shown(text), err=True)
    with run_view.bars(conversation.running.parts) as bars:
        for line in conversation.lines:
            if isinstance(line, RunReport):
                return line
            bars.take(line)
    raise ProtocolError("the recorder did not say how the run ended")


@contextmanager
def _ended_by_signals(conversation: "Conversation") -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the run in good order, and a second one this command.

    The command goes on reading, so that it can say how the run ended.
    """
    stops = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in stops]

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in stops:
            signal.signal(number, signal.SIG_DFL)
        conversation.end()
        run = conversation.running.run
        sys.stderr.write(
            "xentrail: ending the run: its tasks are cancelled; once more to leave\n"
            f"xentrail: to go on with it: xentrail workload resume {run}; with --restore only what"
            " its VMs were like is restored\n"
        )

    for number in stops:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in zip(stops, before, strict=True):
            signal.signal(number, handler)


def _print_plan(running: "Running", *, as_json: bool) -> None:
    from . import run_view

    if as_json:
        run_view.print_json(running)
        return
    for line in running.lines:
        print(shown(line))
