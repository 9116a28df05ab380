"""What all questions have in common: their options, the history they are put to, what is said."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recorder.cli import DataOption, data_folder
from recorder.clock import wall_ns
from recorder.instant import Instant, parse_instant

from ..choices import Format

if TYPE_CHECKING:
    from ..database import History

FormatOption = Annotated[Format, typer.Option("--format", help="How the answer is written.")]


@dataclass(frozen=True, slots=True)
class Asking:
    """How a question was put."""

    data: Path
    form: Format

    def instant(self, text: str | None) -> Instant | None:
        """Read an instant; None stays None. Raises BadInstant."""
        return None if text is None else parse_instant(text, now_ns=wall_ns())

    @contextmanager
    def history(self) -> "Iterator[History]":
        """Bring the history up to date, say what stands in the way, and open it for reading."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from .. import loader

        console = Console(stderr=True)
        columns = (TextColumn("loading the journal"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task("", visible=False)
            loaded = loader.refresh(
                self.data,
                progress=lambda done, total: bar.update(
                    task, completed=done, total=total, visible=done < total
                ),
            )
        for warning in loaded.warnings:
            say(warning)
        with loaded.open() as opened:
            yield opened


def say(text: str) -> None:
    """Say something about the answer, on stderr."""
    print(f"xentrail: {text}", file=sys.stderr)


_COMMON = (
    ("data", DataOption, None),
    ("form", FormatOption, Format.TABLE),
)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every question; it gets them as its first argument."""

    @functools.wraps(command)
    def asked(*, data: Path | None, form: Format, **own: object) -> None:
        command(Asking(data_folder(data), form), **own)

    own = list(inspect.signature(command).parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in _COMMON
    ]
    asked.__signature__ = inspect.Signature([*own, *common])  # type: ignore[attr-defined]  # read by typer
    return asked
