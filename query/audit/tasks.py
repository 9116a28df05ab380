"""Rules about tasks: what events say of them is what the outcomes claim. Pure.

A task of which nothing was told is contradicted only where nothing can have been missed.
"""

from collections.abc import Iterator, Sequence

import msgspec

from recorder.workloads.outcomes import Outcome

from .claims import Claims, StepClaim
from .finding import Finding, Rule, contradicted, unproven
from .recorded import Recorded, TaskSeen

_STATUS = {
    Outcome.SUCCESS: "success",
    Outcome.FAILURE: "failure",
    Outcome.CHANGED: "failure",
    Outcome.CANCELLED: "cancelled",
}
_EARLY_S, _LATE_S = 10.0, 1.0


def last_of(step: StepClaim) -> int | None:
    """Return the entry that ended a call; None if none is known."""
    return None if step.ended is None else step.ended.seq


def evidence_of(step: StepClaim, recorded: Recorded) -> int | None:
    """Return the entry that told the end of a call; that it was written down may come later."""
    end = recorded.end_of(step.task)
    if step.ended is None or end is None:
        return last_of(step)
    return min(end.seq, step.ended.seq)


def absence(step: StepClaim, recorded: Recorded, rule: Rule, text: str) -> Finding:
    """Return what it means that nothing was told: a lie, or that it can have been missed."""
    gaps = recorded.gaps_in(step.intended.seq, last_of(step))
    if gaps or recorded.last_states:
        return unproven(rule, text, [*step.seqs, *gaps], step.number)
    return contradicted(rule, text, step.seqs, step.number)


def task_is_of_the_call(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """The task bears the name of the method, and its object carried it."""
    owners: dict[str, StepClaim] = {}
    for step in claims.steps:
        task = step.task
        if task is None:
            if step.succeeded:
                text = "it is said to have been done, without a task"
                yield contradicted(Rule.TASK, text, step.seqs, step.number)
            continue
        before = owners.setdefault(task, step)
        if before is not step:
            text = f"its task is that of call {before.number}, too"
            yield contradicted(Rule.TASK, text, [*before.seqs, *step.seqs], step.number)
        if step.called and step.ended and step.ended.task != step.called.task:
            text = "its outcome names another task than its call"
            yield contradicted(Rule.TASK, text, step.seqs, step.number)
        seen = recorded.task(task)
        if not seen:
            yield absence(step, recorded, Rule.TASK, "nothing was recorded of its task")
            continue
        yield from _of_another(step, seen, recorded)


def _of_another(step: StepClaim, seen: Sequence[TaskSeen], recorded: Recorded) -> Iterator[Finding]:
    task = seen[0].ref
    names = {one.record.name_label for one in seen if one.record is not None}
    if names and f"Async.{step.intended.method}" not in names:
        text = f"its task is one of {', '.join(sorted(names))}"
        yield contradicted(Rule.TASK, text, [*step.seqs, seen[0].seq], step.number)
    carriers = recorded.carriers.get(task, frozenset())
    if carriers and step.intended.ref not in carriers:
        seqs = [seq for (_, seq), tasks in recorded.carried.items() if task in tasks]
        text = f"its task worked on another object than {step.intended.name}"
        yield contradicted(Rule.TASK, text, [*step.seqs, *seqs], step.number)


def task_is_within_the_call(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """Events of the task lie between the intent and the outcome."""
    for step in claims.steps:
        seen, end = recorded.task(step.task), recorded.end_of(step.task)
        if not seen:
            continue
        if seen[0].seq < step.intended.seq:
            text = "its task was there before it was intended"
            yield contradicted(Rule.INTERVAL, text, [seen[0].seq, *step.seqs], step.number)
        if step.ended is None or end is None or step.ended.source != "events":
            continue
        if end.seq > step.ended.seq:
            text = "its task ended after the outcome was written"
            yield contradicted(Rule.INTERVAL, text, [*step.seqs, end.seq], step.number)


def task_ended_as_claimed(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """The status of the task is that of the outcome; of what nobody knows nothing is recorded."""
    for step in claims.steps:
        ended, end = step.ended, recorded.end_of(step.task)
        if ended is None or step.task is None or not recorded.task(step.task):
            continue
        wanted = _STATUS.get(Outcome(ended.outcome)) if ended.outcome in set(Outcome) else None
        if wanted is None:
            yield from _unknown(step, end, recorded)
        elif end is None or end.record is None:
            text = f"no event tells that its task ended with {wanted}"
            yield absence(step, recorded, Rule.STATUS, text)
        elif end.record.status != wanted:
            text = f"its task ended with {end.record.status}, not {wanted}"
            yield contradicted(Rule.STATUS, text, [*step.seqs, end.seq], step.number)


def _unknown(step: StepClaim, end: TaskSeen | None, recorded: Recorded) -> Iterator[Finding]:
    """Nobody is said to know how it ended, or it is said not to have been made."""
    assert step.ended is not None
    if step.ended.outcome not in {Outcome.VANISHED, Outcome.INTERRUPTED}:
        text = f"it is said to be {step.ended.outcome}, but has a task"
        yield contradicted(Rule.STATUS, text, step.seqs, step.number)
        return
    if end is None or end.record is None or end.seq > step.ended.seq:
        return
    text = f"its task ended with {end.record.status}, which is said to be {step.ended.outcome}"
    seqs = [*step.seqs, end.seq]
    if recorded.gaps_in(step.intended.seq, step.ended.seq):
        yield unproven(Rule.STATUS, text, seqs, step.number)
    else:
        yield contradicted(Rule.STATUS, text, seqs, step.number)


def task_says_what_is_claimed(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """Error and result are those of the task, in the outcome and in the record beside it."""
    for step in claims.steps:
        ended, end = step.ended, recorded.end_of(step.task)
        if ended is None or end is None or end.record is None or ended.outcome not in _STATUS:
            continue
        seqs = [*step.seqs, end.seq]
        if step.error != end.record.error_info:
            text = f"its task failed with {_json(end.record.error_info)}, not {_json(step.error)}"
            if not end.record.error_info:
                text = f"its task has no error, and {_json(step.error)} is claimed"
            yield contradicted(Rule.ERROR, text, seqs, step.number)
        if step.record is not None and step.record.result != end.record.result:
            text = f"its task returned {end.record.result!r}, not {step.record.result!r}"
            yield contradicted(Rule.RESULT, text, seqs, step.number)
        if step.record is not None and step.record.status != end.record.status:
            text = f"its task is {end.record.status}, and {step.record.status} in the outcome"
            yield contradicted(Rule.STATUS, text, seqs, step.number)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def entry_tells_the_end(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """The entry that is named is an event of this task, with the status that is claimed."""
    for step in claims.steps:
        ended = step.ended
        if ended is None:
            continue
        if ended.entry is None:
            if ended.source == "events":
                text = "it is said that an event told its end, and not which"
                yield contradicted(Rule.ENTRY, text, step.seqs, step.number)
            continue
        told = recorded.entries.get(ended.entry)
        seqs = [*step.seqs, ended.entry]
        if told is None and _is_repeated(step, ended.entry, recorded):
            continue
        if told is None:
            text = f"@{ended.entry}, which is said to tell its end, is no event of a task"
            yield contradicted(Rule.ENTRY, text, seqs, step.number)
        elif told.ref != step.task:
            text = f"@{ended.entry}, which is said to tell its end, is of another task"
            yield contradicted(Rule.ENTRY, text, seqs, step.number)
        elif ended.entry > ended.seq:
            text = f"@{ended.entry}, which is said to tell its end, came after the outcome"
            yield contradicted(Rule.ENTRY, text, seqs, step.number)
        elif not _tells(told, ended.outcome):
            text = f"@{ended.entry} does not tell that its task ended so"
            yield contradicted(Rule.ENTRY, text, seqs, step.number)


def _is_repeated(step: StepClaim, entry: int, recorded: Recorded) -> bool:
    """A baseline may only have repeated what was told of a task before; that leaves no trace."""
    end = recorded.end_of(step.task)
    return end is not None and end.seq < entry and any(entry in one for one in recorded.readings)


def _tells(told: TaskSeen, outcome: str) -> bool:
    if outcome == Outcome.VANISHED:
        return told.operation == "del" and not told.has_ended
    return told.record is not None and told.record.status == _STATUS.get(Outcome(outcome))


def call_took_as_long(claims: Claims, recorded: Recorded) -> Iterator[Finding]:
    """What is claimed to have passed from the answer to the end of the task did pass."""
    for step in claims.steps:
        called, ended = step.called, step.ended
        if called is None or ended is None or recorded.clock_stepped or claims.resumed:
            continue
        passed_s = (ended.at_us - called.at_us) / 1e6
        if not passed_s - _EARLY_S <= ended.duration_s <= passed_s + _LATE_S:
            text = f"it is said to have taken {ended.duration_s:g} s, of {passed_s:.1f} s"
            yield contradicted(Rule.DURATION, text, step.seqs, step.number)
