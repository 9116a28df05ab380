"""The demo: two simulated pools are recorded, things happen, and the history tells them."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from recorder import cli as service
from recorder.cli import DEFAULT_DATA, DEMO_MARKER
from recorder.errors import ConfigError
from recorder.instant import Instant
from recorder.journal.verify import Report, verify

from .choices import Format
from .history.database import History
from .load import loader
from .load.known import Origin
from .questions import gaps, objects, states, tasks_listed, timeline
from .questions import plain as questions
from .questions.lacks import Lacks
from .questions.timeline import Life
from .render import events as event_screen
from .render import gaps as gap_screen
from .render import life as life_screen
from .render import tasks as task_screen
from .render.output import Column, console, write_table
from .render.words import certainty_text
from .values import value_text

TOLD = frozenset({"power_state", "resident_on", "name_description"})
SHOWN_AT = ("power_state", "resident_on", "domid", "name_description")


class Expectations(msgspec.Struct):
    """What must have come out of the demo; `failed` says what did not."""

    failed: list[str] = msgspec.field(default_factory=list)

    def expect(self, holds: bool, text: str) -> None:
        """Note an expectation that does not hold."""
        if not holds:
            self.failed.append(text)


def run(data: Path) -> list[str]:
    """Play the demo in the folder `data` and print what there is to see.

    Returns the expectations that did not hold. Raises ConfigError if `data` holds something that no
    demo left there.
    """
    _make_room(data)
    progress = Console(stderr=True, highlight=False)
    out = console()
    expected = Expectations()
    _headline(out, "xentrail demo: two simulated pools, one recorder, one history")
    with _steps(progress) as step:
        played = service.play_demo(data, step)
        report = verify(data / "journal")
        expected.expect(not report.findings, "the journal verifies without a finding")
        findings = f"{len(report.findings)} findings"
        step(f"journal verified: {report.entries:,} entries, {findings}", "loading the history")
        loaded = loader.refresh(data)
        step(f"history loaded into {loaded.path}", "")
    with loaded.open() as history:
        _tell(history, out, played, report, expected)
    _headline(out, "try next")
    for command in _next_commands(data, played):
        out.print(Text(f"  {command}", style="bold"), soft_wrap=True)
    return expected.failed


def _make_room(data: Path) -> None:
    """Sweep away what the demo before left here, and nothing else."""
    if data.exists() and any(data.iterdir()):
        if not (data / DEMO_MARKER).exists():
            raise ConfigError(
                f"{data} is not empty and not from a demo; choose another folder with --data DIR"
            )
        shutil.rmtree(data)
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / DEMO_MARKER).touch()
    except OSError as error:
        raise ConfigError(
            f"{data} cannot be written ({error.strerror}); choose another folder with --data DIR"
        ) from error


@contextmanager
def _steps(progress: Console) -> "Iterator[service.Narrate]":
    """Show what is going on at the moment, and tick off what is done."""
    with progress.status("starting two simulated pools") as status:

        def done(text: str, coming: str) -> None:
            progress.print(Text.assemble(("  ✓ ", "green"), text), soft_wrap=True)
            status.update(coming)

        yield done


def _headline(out: Console, text: str) -> None:
    out.print()
    out.print(Rule(Text(text, style="bold"), align="left"))


def _tell(
    history: History,
    out: Console,
    played: "service.Played",
    report: Report,
    expected: Expectations,
) -> None:
    """Print the chapters of the story, each a question that a command answers."""
    name = f"{played.vm_pool}/{played.vm}"
    _headline(out, "what was recorded")
    _recorded(history, played, report, expected)
    _headline(out, "where the recorder was blind  (xentrail gaps)")
    _gaps(history, expected)
    _headline(out, "what changed meanwhile, by comparison  (xentrail events --origin inferred)")
    _inferred(history, out, expected)
    _headline(out, f"the life of {played.vm}  (xentrail history {name})")
    _life(history, played, expected)
    _headline(out, f"{played.vm} at two instants  (xentrail at INSTANT {name})")
    _two_instants(history, played, expected)
    _headline(out, "what was attempted, and how it ended  (xentrail tasks)")
    _tasks(history, expected)


class _Count(msgspec.Struct):
    pool: str
    live: int
    baseline: int
    inferred: int
    objects: int
    changes: int


def _recorded(
    history: History, played: "service.Played", report: Report, expected: Expectations
) -> None:
    counts = history.all(
        _Count,
        """
        SELECT pool, count(*) FILTER (origin = 'live') AS live,
            count(*) FILTER (origin = 'baseline') AS baseline,
            count(*) FILTER (origin = 'inferred') AS inferred,
            count(DISTINCT ref) AS objects,
            (SELECT count(*) FROM changes c WHERE c.pool = e.pool) AS changes
        FROM events e GROUP BY pool ORDER BY pool
        """,
    )
    titles = ["pool", "events seen", "baseline", "inferred", "objects", "field changes"]
    columns = [Column(title, right=title != "pool") for title in titles]
    rows = [[one.pool, *(f"{n:,}" for n in msgspec.structs.astuple(one)[1:])] for one in counts]
    write_table(columns, rows)
    seen = {one.pool: one.live for one in counts}
    expected.expect(
        seen == dict(played.events), "every event that was made durable is in the history"
    )
    expected.expect(report.last_seq == report.entries, "the journal has no hole in its numbers")


def _gaps(history: History, expected: Expectations) -> None:
    rows = gaps.gaps(history)
    gap_screen.show(rows, gaps.blindness(history, rows, pool=None), Format.TABLE, ())
    closed = sorted(row.cause for row in rows if not row.open)
    expected.expect(
        closed == ["events-lost", "session-lost"], "both interruptions are gaps that were closed"
    )
    lost = sum(row.ids_missed or 0 for row in rows if row.cause == "events-lost")
    expected.expect(lost > 0, "the events that the flood cost are counted")
    still_open = [row.cause for row in rows if row.open]
    expected.expect(
        still_open == ["recorder-stopped"] * 2, "the stop of the recorder is an open gap a pool"
    )


def _inferred(history: History, out: Console, expected: Expectations) -> None:
    rows = questions.events(history, questions.Filter(origin=Origin.INFERRED, limit=1000))
    event_screen.show(rows[:6], Format.TABLE, Lacks())
    if len(rows) > 6:
        out.print(Text(f"... and {len(rows) - 6} more", style="dim"))
    expected.expect(bool(rows), "what the flood changed was inferred")
    expected.expect(all(row.gap for row in rows), "every inferred change names its gap")


def _life(history: History, played: "service.Played", expected: Expectations) -> None:
    found = objects.find(history, played.vm, pool=played.vm_pool, cls="vm")
    told = _telling(timeline.life_of(history, found))
    texts = [
        text or "" for step in told.steps for one in step.changes for text in (one.old, one.new)
    ]
    names = objects.names_in(history, found.pool, texts)
    life_screen.show(told, Format.TABLE, names, Lacks())
    states_seen = [
        one.new for step in told.steps for one in step.changes if one.field == "power_state"
    ]
    expected.expect(
        states_seen == ['"Running"', '"Halted"'], "the VM was seen to start and to be shut down"
    )


def _telling(told: Life) -> Life:
    """Keep the changes that a person asks about first."""
    steps = []
    for step in told.steps:
        changes = [change for change in step.changes if change.field in TOLD]
        if changes or step.operation != "mod":
            steps.append(msgspec.structs.replace(step, changes=changes))
    return msgspec.structs.replace(told, steps=steps)


def _two_instants(history: History, played: "service.Played", expected: Expectations) -> None:
    found = objects.find(history, played.vm, pool=played.vm_pool, cls="vm")
    moments = [
        Instant(at_us=at_ns // 1000) for at_ns in (played.running_at_ns, played.halted_at_ns)
    ]
    told = [states.state_of(history, found, moment) for moment in moments]
    texts = [str(one.fields.get(name)) for one in told for name in SHOWN_AT]
    names = objects.names_in(history, found.pool, texts)
    columns = [Column("field"), *(Column(str(moment)) for moment in moments)]
    rows = [[name, *(value_text(one.fields.get(name), names) for one in told)] for name in SHOWN_AT]
    certainties = [certainty_text(one.certainty, one.reason) for one in told]
    write_table(columns, [*rows, ["(certainty)", *certainties]])
    powers = [one.fields.get("power_state") for one in told]
    expected.expect(powers == ["Running", "Halted"], "the state at both instants is the true one")


def _tasks(history: History, expected: Expectations) -> None:
    told = tasks_listed.tasks(history)
    rows = [row for row in told if (row.name_label or "").startswith("Async.")]
    task_screen.show(rows, Format.TABLE, Lacks())
    failures = [row.error_code for row in rows if row.status == "failure"]
    expected.expect(failures == ["VM_BAD_POWER_STATE"], "the refused start is a failed task")
    good = [row for row in rows if row.status == "success"]
    expected.expect(len(good) >= 4, "the other tasks succeeded")


def _next_commands(data: Path, played: "service.Played") -> Sequence[str]:
    """Return commands that work as they stand, in the folder and shell of the demo."""
    found = shutil.which("xentrail")
    program = "xentrail" if found and Path(found).samefile(sys.argv[0]) else sys.argv[0]
    where = "" if data == DEFAULT_DATA else f" --data {shlex.quote(str(data))}"
    moment = Instant(at_us=played.running_at_ns // 1000)
    query = "SELECT class, count(*) AS events FROM events GROUP BY class ORDER BY events DESC"
    return [
        f"{program} history {played.vm_pool}/{played.vm}{where}",
        f"{program} at {moment} --class vm{where}",
        f'{program} sql "{query}"{where}',
    ]
