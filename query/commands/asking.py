"""What all questions have in common: their options, the history they are put to, what is said."""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from recorder.cli import DataOption, data_folder
from recorder.clock import wall_ns
from recorder.instant import Instant, shown_in, time_text, us_of

from ..choices import Format
from ..ends import say

if TYPE_CHECKING:
    from ..history.database import History
    from ..questions.lacks import Lacks, Unrecorded

REDRAW_S = 2.0
GAP_LINES_MAX = 3
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"

DatabaseOption = Annotated[
    Path | None,
    typer.Option(
        "--database",
        envvar="XENTRAIL_DATABASE",
        metavar="FILE",
        help="Where the history is kept (else history.duckdb beside the journal).",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the answer is written.")]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--tz",
        envvar="XENTRAIL_TZ",
        metavar="ZONE",
        help="The zone of times that name none, and of those shown: Europe/Berlin, local.",
    ),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit 1 if the answer may lack something.")
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Ask anew every two seconds.")]


class Asking(msgspec.Struct, frozen=True):
    """How a question was put."""

    data: Path
    database: Path | None
    form: Format
    zone: tzinfo = UTC
    strict: bool = False
    is_watched: bool = False

    def instant(
        self, history: "History", text: str | None, *, pool: str | None = None
    ) -> Instant | None:
        """Read an instant; None stays None. Raises BadInstant.

        The event of an `@event:ID` is looked for in `pool`, or in all pools.
        """
        from ..questions import instants

        if text is None:
            return None
        found = instants.read_instant(text, now_ns=wall_ns(), zone=self.zone)
        return instants.place_of(history, text, pool=pool) if found is None else found

    def range(
        self, history: "History", since: str | None, until: str | None, *, pool: str | None = None
    ) -> "tuple[Instant | None, Instant | None]":
        """Read the two ends of a range. Raises BadInstant, also if it ends before it begins."""
        from ..questions import ranges

        begin = self.instant(history, since, pool=pool)
        end = self.instant(history, until, pool=pool)
        ranges.check_order(begin, end)
        return begin, end

    @contextmanager
    def history(self) -> "Iterator[History]":
        """Bring the history up to date, say what stands in the way, and open it for reading."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from ..load import loader

        console = Console(stderr=True)
        columns = (TextColumn("loading the journal"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        ) as bar:
            task = bar.add_task("", visible=False)
            loaded = loader.refresh(
                self.data,
                database=self.database,
                progress=lambda done, total: bar.update(
                    task, completed=done, total=total, visible=done < total
                ),
            )
        if not self.is_watched:
            _say_all(loaded.warnings)
        with loaded.open() as opened:
            yield opened
        if self.is_watched:
            # The screen stays as it was until there is something new to show.
            sys.stdout.write(_CLEAR)
            _say_all(loaded.warnings)

    @contextmanager
    def as_it_is(self) -> "Iterator[History]":
        """Open the history for reading, without bringing it up to date."""
        from ..history.database import history_file
        from ..history.turns import to_read

        with to_read(history_file(self.data, self.database)) as opened:
            yield opened

    def finish(self, lacks: "Lacks") -> None:
        """Say what an answer may lack; with `--strict` that ends the command with exit code 1."""
        for gap in lacks.gaps[::-1][:GAP_LINES_MAX]:
            since, until = (
                "now" if at is None else time_text(us_of(at)) for at in (gap.since, gap.blind_until)
            )
            what = "events" if gap.is_blind else "lines of the audit trail"
            say(
                f"gap @{gap.seq} of pool {gap.pool} ({gap.cause}): {what} may be missing"
                f" from {since} to {until}"
            )
        if len(lacks.gaps) > GAP_LINES_MAX:
            say(f"gaps not told here: {len(lacks.gaps) - GAP_LINES_MAX}; see xentrail gaps")
        for part in lacks.unrecorded:
            say(_unrecorded_text(part))
        say_last_states_only(lacks.last_states_only)
        if lacks:
            self.fail_if_strict()

    def fail_if_strict(self) -> None:
        """The answer is not certain: with `--strict` that ends the command with exit code 1."""
        if self.strict and not self.is_watched:
            sys.stdout.flush()
            raise typer.Exit(1)


def _unrecorded_text(part: "Unrecorded") -> str:
    ends = [
        f"{word} {time_text(us_of(at))}"
        for word, at in (("from", part.before), ("up to", part.after))
        if at is not None
    ]
    return f"pool {part.pool} is recorded only {' '.join(ends)}"


def say_last_states_only(pools: Sequence[str]) -> None:
    """Say of which pools only the last states were told."""
    for pool in pools:
        say(
            f'pool {pool} has stream = "from": states in between, and the last before a deletion,'
            " may be missing"
        )


def _say_all(texts: Sequence[str]) -> None:
    for text in texts:
        say(text)


_COMMON: tuple[tuple[str, object, object], ...] = (
    ("data", DataOption, None),
    ("database", DatabaseOption, None),
    ("form", FormatOption, Format.TABLE),
    ("zone", ZoneOption, "UTC"),
    ("strict", StrictOption, False),
)
_WATCH = ("watch", WatchOption, False)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every question; it gets them as its first argument."""
    return _asking(command, _COMMON)


def watching(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every question, and `--watch`."""
    return _asking(command, (*_COMMON, _WATCH))


def exporting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of every question but `--format`, which means files there."""
    return _asking(command, tuple(one for one in _COMMON if one[0] != "form"))


def _asking(
    command: Callable[..., None], common: tuple[tuple[str, object, object], ...]
) -> Callable[..., None]:
    @functools.wraps(command)
    def asked(
        *,
        data: Path | None,
        database: Path | None,
        form: Format = Format.TABLE,
        zone: str,
        strict: bool,
        watch: bool = False,
        **own: object,
    ) -> None:
        ask = Asking(data_folder(data), database, form, _zone(zone), strict)
        with shown_in(ask.zone):
            if watch:
                _watch(functools.partial(command, **own), ask)
            else:
                command(ask, **own)

    own = list(inspect.signature(command).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in common
    ]
    asked.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]  # read by typer
    return asked


def _watch(command: Callable[[Asking], None], ask: Asking) -> None:
    """Put a question again and again until Ctrl-C."""
    if ask.form is not Format.TABLE or not sys.stdout.isatty():
        raise typer.BadParameter("--watch shows a table on a terminal; leave it out otherwise")
    ask = replace(ask, is_watched=True)
    try:
        while True:
            command(ask)
            say(f"as of {time_text(wall_ns() // 1000)}; Ctrl-C ends")
            time.sleep(REDRAW_S)
    except KeyboardInterrupt:
        return


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    import difflib
    import zoneinfo

    if name == "local":
        return _local_zone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        names = zoneinfo.available_timezones()
        near = difflib.get_close_matches(name, names, n=3)
        hint = f"; the nearest names are {', '.join(near)}" if near else ""
        raise typer.BadParameter(f"no time zone is called {name!r}{hint}") from None


def _local_zone() -> tzinfo:
    """Return the zone of this machine, with its changes of the clocks if it names it."""
    import os
    import zoneinfo

    name = os.environ.get("TZ", "").removeprefix(":")
    link = Path("/etc/localtime")
    if not name and link.is_symlink():
        name = str(link.resolve()).partition("zoneinfo/")[2]
    try:
        return zoneinfo.ZoneInfo(name or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(
            "this machine does not name its time zone; write one, such as --tz Europe/Berlin"
        ) from None
