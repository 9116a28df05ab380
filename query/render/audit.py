"""The audit of a run: what it finds, what changed besides, and the verdict."""

from collections import Counter
from collections.abc import Iterator, Sequence

from ..audit.finding import Level
from ..audit.judge import Audit, Verdict
from ..audit.radius import Change
from ..choices import Format
from ..questions.lacks import Lacks
from ..records import Json
from ..values import short_ref
from .output import Column, Text, console, plain_of, write_csv, write_json, write_table
from .runs import UNKNOWN

_SEQS_MAX = 6
_FIELDS_MAX = 4
_HEADER = [
    *("run", "about", "call", "class", "ref", "name"),
    *("told", "verdict", "rules", "seqs", "text"),
]


def show(told: Audit, form: Format, lacks: Lacks, *, everything: bool) -> None:
    """Write an audit; on the screen calls as claimed and consequences only if `everything` is."""
    if form is Format.JSON:
        write_json({"audit": told, **plain_of(lacks)})
    elif form is Format.CSV:
        write_csv(_rows(told), _HEADER)
    else:
        if everything:
            _calls(told)
        if told.findings:
            _findings(told)
        _changes(told.changes, everything=everything)
        style = "green" if told.is_proven else "bold yellow"
        console().print(Text(verdict_line(told), style=style), soft_wrap=True)


def verdict_line(told: Audit) -> str:
    """Return the verdict in a sentence."""
    return f"run {told.run} of {told.script} on {told.pool}: {told.verdict}: {told.why}"


def _calls(told: Audit) -> None:
    columns = [
        Column("call", right=True),
        Column("round", right=True, spare=True),
        Column("object", wide=True),
        Column("method"),
        Column("outcome"),
        Column("verdict"),
        Column("entries", wide=True),
    ]
    cells = [
        (
            str(row.step),
            str(row.round or "-"),
            f"{row.cls}:{row.name or short_ref(row.ref)}",
            row.method.rpartition(".")[2],
            row.outcome or UNKNOWN,
            row.verdict.value,
            _entries(row.seqs),
        )
        for row in told.steps
    ]
    loud = [i for i, row in enumerate(told.steps) if row.verdict is not Verdict.PROVEN]
    write_table(columns, cells, loud=loud)


def _findings(told: Audit) -> None:
    columns = [
        Column("call", right=True),
        Column("rule"),
        Column("finding"),
        Column("what", wide=True),
        Column("entries", wide=True, spare=True),
    ]
    cells = [
        (
            "-" if one.step is None else str(one.step),
            one.rule.value,
            one.level.value,
            one.text,
            _entries(one.seqs),
        )
        for one in told.findings
    ]
    loud = [i for i, one in enumerate(told.findings) if one.level is Level.CONTRADICTED]
    write_table(columns, cells, loud=loud)


def _changes(changes: Sequence[Change], *, everything: bool) -> None:
    """Write strangers one by one, and of consequences how many there are, unless all are wanted."""
    strangers = [one for one in changes if one.chain is None]
    shown = changes if everything else strangers
    if shown:
        columns = [
            Column("changed besides", wide=True),
            Column("because it", wide=True),
            Column("changes", right=True),
            Column("fields", wide=True),
            Column("entries"),
        ]
        cells = [
            (
                f"{one.cls}:{one.name or short_ref(one.ref)}",
                one.chain or "NOT OF THE RUN",
                str(one.changes),
                _fields(one),
                _entries(dict.fromkeys([one.first_seq, one.last_seq])),
            )
            for one in shown
        ]
        write_table(columns, cells, loud=[i for i, one in enumerate(shown) if one.chain is None])
    if len(changes) > len(shown):
        classes = Counter(one.cls for one in changes if one.chain is not None)
        words = ", ".join(f"{number} {cls}" for cls, number in sorted(classes.items()))
        console().print(Text(f"changed because of the run: {words}", style="dim"))


def _fields(one: Change) -> str:
    more = len(one.fields) - _FIELDS_MAX
    words = ", ".join(one.fields[:_FIELDS_MAX]) + (f" and {more} more" if more > 0 else "")
    return f"{words} (in a gap)" if one.inferred else words


def _entries(seqs: Sequence[int] | dict[int, None]) -> str:
    told = [f"@{seq}" for seq in seqs]
    more = len(told) - _SEQS_MAX
    return " ".join(told[:_SEQS_MAX]) + (f" and {more} more" if more > 0 else "")


def _rows(told: Audit) -> Iterator[dict[str, Json]]:
    """Yield a row for the verdict, and one for each call, finding and change."""
    seqs: list[Json] = [*sorted({seq for row in told.steps for seq in row.seqs})]
    run: dict[str, Json] = {"run": told.run}
    yield run | {"about": "run", "verdict": told.verdict.value, "seqs": seqs, "text": told.why}
    for step in told.steps:
        yield run | {
            "about": "call",
            "call": step.step,
            "class": step.cls,
            "ref": step.ref,
            "name": step.name,
            "told": step.outcome,
            "verdict": step.verdict.value,
            "rules": [rule.value for rule in step.rules],
            "seqs": [*step.seqs],
            "text": step.method,
        }
    for one in told.findings:
        yield run | {
            "about": "finding",
            "call": one.step,
            "verdict": one.level.value,
            "rules": [one.rule.value],
            "seqs": [*one.seqs],
            "text": one.text,
        }
    for change in told.changes:
        yield run | {
            "about": "change",
            "class": change.cls,
            "ref": change.ref,
            "name": change.name,
            "verdict": "stranger" if change.chain is None else "consequence",
            "seqs": [change.first_seq, change.last_seq],
            "text": change.chain or ", ".join(change.fields),
        }
