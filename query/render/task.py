"""Everything of one task."""

from collections.abc import Iterable, Iterator

from ..choices import Format
from ..questions.lacks import Lacks
from ..questions.tasks_errors import in_words
from ..questions.tasks_listed import Target, TaskRow
from ..questions.tasks_told import Span, TaskChange, TaskStory
from ..records import Json
from ..values import change_text, changed_values, short_ref, value_text
from .life import PERMISSIONS
from .output import Text, console, plain_of, write_csv, write_json
from .tasks import curve_text, has_steps, outcome_text, status_text
from .words import Names, at_text

CURVE_CELLS = 16
_HEADER = ["pool", "seq", "task", "how", "received_at", "class", "ref", "name", "operation"]
_HEADER += ["origin", "gap", "field", "old", "new", "range_gaps"]


def show(
    told: TaskStory, form: Format, names: Names, lacks: Lacks, *, everything: bool = True
) -> None:
    """Write everything of one task; as CSV, the changed fields under it.

    A table leaves out changes of allowed and current operations, unless `everything` is asked for.
    """
    if form is Format.JSON:
        changes = [
            {**plain_of(one), "changes": changed_values(one.changes)} for one in told.changes
        ]
        words = _error_words(told.task, names)
        story = {**plain_of(told), "changes": changes, "error_in_words": words}
        write_json({**story, "names": names, **plain_of(lacks)})
    elif form is Format.CSV:
        pool, gaps = told.task.pool, [*map(int, lacks.gaps_of(told.task.pool))]
        rows = (row for one in told.changes for row in _rows(one))
        write_csv([{"pool": pool, **row, "range_gaps": [*gaps]} for row in rows], _HEADER)
    else:
        out = console()
        for line in _lines(told, names, lacks, everything=everything):
            out.print(line, no_wrap=True, overflow="ellipsis")


def hidden(told: TaskStory) -> int:
    """Return how many changed fields a table leaves out."""
    return sum(field.field in PERMISSIONS for one in told.changes for field in one.changes)


def _rows(one: TaskChange) -> Iterable[dict[str, Json]]:
    row = {name: value for name, value in plain_of(one).items() if name != "changes"}
    for change in changed_values(one.changes) or [{}]:
        yield row | change


def _error_words(row: TaskRow, names: Names) -> str | None:
    return None if row.error_code is None else in_words(row.error_code, row.error_params, names)


def _lines(told: TaskStory, names: Names, lacks: Lacks, *, everything: bool) -> Iterator[Text]:
    row = told.task
    label = value_text(row.name_label, names) if row.name_label else "-"
    yield Text(f"{row.pool}/task:{label} (uuid {row.uuid or '-'})", style="bold")
    for title, text in _facts(row, names):
        yield Text(f"{title:<10}{' '.join(text.split())}")
    if row.targets:
        yield Text("objects", style="bold")
        yield from (Text(f"  {_target_text(one, told)}") for one in row.targets)
    if len(told.tree) > 1:
        yield Text("tree", style="bold")
        for one in told.tree:
            style = "bold" if one.ref == row.ref else ""
            yield Text(_branch_text(one, names), style=style)
    changes = _events(told, names, lacks, everything=everything)
    yield Text("changes under it" if changes else "no change under it", style="bold")
    yield from changes


def _facts(row: TaskRow, names: Names) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a task itself, under its titles."""
    yield "status", status_text(row)
    if row.error_code is not None:
        words = _error_words(row, names)
        yield "error", f"{outcome_text(row)}" if words is None else f"{row.error_code}: {words}"
    if row.result is not None:
        yield "result", value_text(row.result, names)
    took = "" if row.duration_s is None else f", took {row.duration_s:g} s"
    yield "created", at_text(row.created)
    yield "finished", f"{at_text(row.finished)}{took}"
    if row.curve:
        steps = " ".join(f"{point.progress:.0%} at @{point.seq}" for point in row.curve)
        curve = f"{curve_text(row, cells=CURVE_CELLS)} " if has_steps(row.curve) else ""
        yield "progress", f"{curve}{steps}"
    yield "recorded", f"@{row.first_seq} to @{row.last_seq}"
    gap = "" if row.departure_gap is None else f" @{row.departure_gap}"
    yield (
        "gone",
        "not as far as it was recorded" if row.departure is None else f"{row.departure}{gap}",
    )


def _target_text(one: Target, told: TaskStory) -> str:
    spans = [span for span in told.spans if (span.task, span.ref) == (told.task.ref, one.ref)]
    if one.how == "carried":
        how = f"{one.operation}: carried it {', '.join(map(_span_text, spans))}"
    else:
        how = f"in its {one.how}" if one.how != "mentioned" else "mentioned in its record"
    name = value_text(one.name or one.ref, {})
    return f"{one.cls or 'unknown'} {name}: {how} [@{one.seq}]"


def _span_text(span: Span) -> str:
    until = "now" if span.until_seq is None else f"@{span.until_seq}"
    across = "" if span.gap is None else f" (across gap @{span.gap})"
    return f"@{span.since_seq} to {until}{across}"


def _branch_text(row: TaskRow, names: Names) -> str:
    label = value_text(row.name_label or "-", names)
    texts = [label, (row.uuid or short_ref(row.ref))[:8], status_text(row), outcome_text(row)]
    return " ".join(
        "  ".join(["  " * (row.depth + 1) + texts[0], *texts[1:]]).rstrip().splitlines()
    )


def _events(told: TaskStory, names: Names, lacks: Lacks, *, everything: bool) -> list[Text]:
    """Return the changes, and each gap where it was opened."""
    blocks: list[tuple[int, list[Text]]] = []
    for gap in lacks.gaps:
        said = f"-- gap @{gap.seq} ({gap.cause}): what came in it is not known --"
        blocks.append((gap.seq, [Text(said, style="yellow")]))
    for one in told.changes:
        fields = [each for each in one.changes if everything or each.field not in PERMISSIONS]
        if fields or not one.changes:
            texts = [change_text(one.cls, field, names) for field in fields] or [one.operation]
            blocks.append((one.seq, _change_lines(one, texts, told)))
    return [line for _, lines in sorted(blocks, key=lambda block: block[0]) for line in lines]


def _change_lines(one: TaskChange, texts: list[str], told: TaskStory) -> list[Text]:
    under = "" if one.task == told.task.ref else f" by {_label_of(one.task, told)}"
    head = f"{at_text(one.received_at)}  {f'@{one.seq}':>8}  "
    name = value_text(one.name or one.ref, {})
    style = "" if one.how.startswith("carried") else "cyan"
    return [
        Text(f"{head}{one.cls} {name}: {text}  [{one.how}{under}]", style=style) for text in texts
    ]


def _label_of(task: str, told: TaskStory) -> str:
    labels = {row.ref: row.operation or row.name_label for row in told.tree}
    return value_text(labels.get(task) or task, {})
